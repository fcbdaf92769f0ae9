/* The program of the examples in docs/: "args", "cat", "both", "files PATH" (writes it), "show PATH", "sleep SECONDS",
   "spin", "exit N". */
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int failed(const char *path) {
    perror(path);
    return 9;
}

static void copy(FILE *from) {
    char buffer[4096];
    for (size_t size; (size = fread(buffer, 1, sizeof buffer, from)) > 0;)
        fwrite(buffer, 1, size, stdout);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "args", *more = argc > 2 ? argv[2] : "";
    FILE *file;
    if (!strcmp(what, "cat")) {
        copy(stdin);
    } else if (!strcmp(what, "both")) {
        fputs("to output\n", stdout);
        fflush(stdout);
        fputs("to error\n", stderr);
    } else if (!strcmp(what, "files")) {
        file = fopen(more, "w");
        if (!file || fputs("written", file) < 0 || fclose(file))
            return failed(more);
    } else if (!strcmp(what, "show")) {
        file = fopen(more, "r");
        if (!file)
            return failed(more);
        copy(file);
    } else if (!strcmp(what, "sleep")) {
        puts("sleeping");
        fflush(stdout);
        nanosleep(&(struct timespec){.tv_sec = atoi(more)}, NULL);
    } else if (!strcmp(what, "spin")) {
        puts("spinning");
        fflush(stdout);
        for (volatile unsigned turn = 0;; turn++)
            continue;
    } else if (!strcmp(what, "exit")) {
        return atoi(more);
    } else {
        for (int i = 0; i < argc; i++)
            puts(argv[i]);
    }
    return 0;
}
