/* What grows with N, and should not: times one unit at N, for each N until one takes too long.
 *
 * growth CASE N,N,...
 *
 * Descriptor 3 is a folder: `append` and `fds` write files of their own into it, `readdir` and `open` use the folders
 * `n<N>`, which have N entries `e0`, `e1`, ... One line per N: CASE_N and ns per unit. It ends early if an N has taken
 * more than PATIENCE.
 */

#include "bench.h"

enum { BUFFER = 4096, RECORD = 64, CALLS = 2000, REPEATS = 3 };

static const uint64_t PATIENCE = 700ull * MILLISECOND;

static uint8_t buffer[BUFFER];
static char path[32];

/* A file that becomes N records long, from nothing: ns per record. */
static double append(uint32_t n) {
    __wasi_fd_t file = open_at("log", __WASI_OFLAGS_CREAT | __WASI_OFLAGS_TRUNC, __WASI_RIGHTS_FD_WRITE);
    __wasi_ciovec_t part = {buffer, RECORD};
    __wasi_size_t done;
    uint64_t start = now();
    for (uint32_t i = 0; i < n; i++) check(__wasi_fd_write(file, &part, 1, &done));
    uint64_t took = now() - start;
    check(__wasi_fd_close(file));
    return (double)took / n;
}

/* The whole folder, as a libc reads it: ns per entry. */
static double readdir_(uint32_t n) {
    snprintf(path, sizeof path, "n%u", n);
    __wasi_fd_t folder = open_at(path, __WASI_OFLAGS_DIRECTORY, __WASI_RIGHTS_FD_READDIR);
    uint32_t entries = 0;
    __wasi_dircookie_t cookie = __WASI_DIRCOOKIE_START;
    __wasi_size_t used;
    uint64_t start = now();
    do {
        check(__wasi_fd_readdir(folder, buffer, BUFFER, cookie, &used));
        for (__wasi_size_t at = 0; at + sizeof(__wasi_dirent_t) <= used; entries++) {
            __wasi_dirent_t entry;
            memcpy(&entry, buffer + at, sizeof entry);
            at += sizeof entry + entry.d_namlen;
            if (at > used) break;
            cookie = entry.d_next;
        }
    } while (used == BUFFER);
    uint64_t took = now() - start;
    check(__wasi_fd_close(folder));
    if (entries < n || entries > n + 2 + n / 32) fail("entries", entries); /* those cut off are counted twice */
    return (double)took / entries;
}

/* Files all over a folder of N entries: ns per open and close. */
static double open_(uint32_t n) {
    uint64_t start = now();
    for (uint32_t i = 0; i < CALLS; i++) {
        snprintf(path, sizeof path, "n%u/e%u", n, (uint32_t)(i * 2654435761ull % n));
        check(__wasi_fd_close(open_at(path, 0, __WASI_RIGHTS_FD_READ)));
    }
    return (double)(now() - start) / CALLS;
}

/* With N descriptors open: ns to close any of them, and to open another in its place. */
static double fds(uint32_t n) {
    static __wasi_fd_t *opened;
    static uint32_t count;
    opened = realloc(opened, n * sizeof *opened);
    check(__wasi_fd_close(open_at("one", __WASI_OFLAGS_CREAT, __WASI_RIGHTS_FD_WRITE)));
    for (; count < n; count++) opened[count] = open_at("one", 0, __WASI_RIGHTS_FD_READ);
    uint64_t start = now();
    for (uint32_t i = 0; i < CALLS; i++) {
        uint32_t at = i * 2654435761ull % n;
        check(__wasi_fd_close(opened[at]));
        opened[at] = open_at("one", 0, __WASI_RIGHTS_FD_READ);
    }
    return (double)(now() - start) / CALLS;
}

static const struct {
    const char *name;
    double (*run)(uint32_t n);
} cases[] = {{"append", append}, {"readdir", readdir_}, {"open", open_}, {"fds", fds}};

int main(int argc, char **argv) {
    if (argc != 3) fail("arguments", argc);
    current = argv[1];
    uint32_t index = 0;
    while (strcmp(argv[1], cases[index].name))
        if (++index == sizeof cases / sizeof *cases) fail("cases of this name:", 0);
    for (char *number = strtok(argv[2], ","); number; number = strtok(NULL, ",")) {
        uint64_t start = now();
        double best = INFINITY;
        for (int i = 0; i < REPEATS && (!i || now() - start < PATIENCE); i++)
            best = fmin(best, cases[index].run(strtoul(number, NULL, 10)));
        printf("%s_%s %.3f\n", argv[1], number, best);
        fflush(stdout);
        if (now() - start > PATIENCE) break;
    }
    return 0;
}
