/* A guest that talks while it runs, for tests of `start` and `run_async`.
 *
 *   talker progress N   N lines "i/N" on standard output, as they come
 *   talker flood        writes to standard output and error in turn, without end
 *   talker both N       N bytes to each of the two, in pieces, then copies standard input to the output
 *   talker trap         a line and half a line, then a trap
 *   talker close        a line, then closes its standard output and waits for the end of its input
 */

#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PIECE 4096

static int put(int fd, const char *data, size_t size) {
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n < 0)
            return 1;
        data += n;
        size -= n;
    }
    return 0;
}

static int copy(void) {
    char buffer[PIECE];
    for (ssize_t n; (n = read(0, buffer, sizeof buffer)) > 0;)
        if (put(1, buffer, n))
            return 1;
    return 0;
}

int main(int argc, char **argv) {
    static char piece[PIECE];
    const char *what = argc > 1 ? argv[1] : "";
    long count = argc > 2 ? atol(argv[2]) : 0;
    memset(piece, 'x', sizeof piece);
    if (!strcmp(what, "progress")) {
        for (long i = 1; i <= count; i++) {
            printf("%ld/%ld\n", i, count);
            fflush(stdout);
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        }
        return 0;
    }
    if (!strcmp(what, "flood")) {
        for (;;)
            if (put(1, piece, sizeof piece) || put(2, piece, sizeof piece))
                return 3;
    }
    if (!strcmp(what, "both")) {
        for (; count > 0; count -= PIECE) {
            size_t size = count < PIECE ? count : PIECE;
            if (put(2, piece, size) || put(1, piece, size))
                return 3;
        }
        return copy();
    }
    if (!strcmp(what, "trap")) {
        put(1, "line\nhalf", 9);
        __builtin_trap();
    }
    if (!strcmp(what, "close")) {
        put(1, "line\n", 5);
        close(1);
        put(2, "still here\n", 11);
        char byte;
        while (read(0, &byte, 1) > 0)
            continue;
        return 5;
    }
    return 2;
}
