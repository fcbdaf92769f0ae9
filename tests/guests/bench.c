/* The guest of the benchmark: makes one call over and over, and times it by the host's monotonic clock.
 *
 * bench BUDGET_MS CASE,CASE,...
 *
 * Standard input is endless and standard error takes everything. Descriptor 3 is a folder with `data` (FILE_SIZE
 * bytes), `a/b/c/leaf` and the folder `many`. Each case repeats in batches that double until one takes a sixteenth of
 * the budget; the best batch counts. One line per case: its name and the ns of one unit (one call, one pair of open
 * and close, one directory entry). A call that fails ends the program with status 1: no host looks fast by refusing.
 */

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wasi/api.h>

enum { FILE_SIZE = 1 << 20, TOP = 3 };

static _Alignas(4096) uint8_t buffer[FILE_SIZE];
static __wasi_fd_t file, folder;
static const char *current = "before the first case";

static void fail(const char *what, unsigned number) {
    printf("%s: %s %u\n", current, what, number);
    exit(1);
}

static void check(__wasi_errno_t error) {
    if (error) fail("errno", error);
}

static __wasi_fd_t open_at(const char *path, __wasi_oflags_t oflags, __wasi_rights_t rights) {
    __wasi_fd_t fd;
    check(__wasi_path_open(TOP, 0, path, oflags, rights, 0, 0, &fd));
    return fd;
}

static uint64_t now(void) {
    __wasi_timestamp_t time;
    check(__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &time));
    return time;
}

/* What a case does `n` times; how many units that was. `arg` is a size, or how many parts a path has. */
typedef uint32_t loop(uint32_t n, uint32_t arg);

/* A host function that does nothing and leaves garbage for an answer. */
static uint32_t floor_(uint32_t n, uint32_t arg) {
    (void)arg;
    for (uint32_t i = 0; i < n; i++) (void)__wasi_sched_yield();
    return n;
}

static uint32_t yield(uint32_t n, uint32_t arg) {
    (void)arg;
    for (uint32_t i = 0; i < n; i++) check(__wasi_sched_yield());
    return n;
}

static uint32_t clock_(uint32_t n, uint32_t arg) {
    (void)arg;
    for (uint32_t i = 0; i < n; i++) (void)now();
    return n;
}

static uint32_t random_(uint32_t n, uint32_t size) {
    for (uint32_t i = 0; i < n; i++) check(__wasi_random_get(buffer, size));
    return n;
}

static uint32_t args_sizes(uint32_t n, uint32_t arg) {
    (void)arg;
    __wasi_size_t count, size;
    for (uint32_t i = 0; i < n; i++) check(__wasi_args_sizes_get(&count, &size));
    return n;
}

static uint32_t poll(uint32_t n, uint32_t arg) {
    (void)arg;
    __wasi_subscription_t wanted = {.u.tag = __WASI_EVENTTYPE_CLOCK};
    wanted.u.u.clock.id = __WASI_CLOCKID_MONOTONIC;
    __wasi_event_t event;
    __wasi_size_t count;
    for (uint32_t i = 0; i < n; i++) check(__wasi_poll_oneoff(&wanted, &event, 1, &count));
    return n;
}

static uint32_t fdstat(uint32_t n, uint32_t arg) {
    (void)arg;
    __wasi_fdstat_t stat;
    for (uint32_t i = 0; i < n; i++) check(__wasi_fd_fdstat_get(file, &stat));
    return n;
}

static uint32_t filestat(uint32_t n, uint32_t arg) {
    (void)arg;
    __wasi_filestat_t stat;
    for (uint32_t i = 0; i < n; i++) check(__wasi_fd_filestat_get(file, &stat));
    return n;
}

static uint32_t seek(uint32_t n, uint32_t arg) {
    (void)arg;
    __wasi_filesize_t at;
    for (uint32_t i = 0; i < n; i++) check(__wasi_fd_seek(file, i, __WASI_WHENCE_SET, &at));
    return n;
}

static uint32_t tell(uint32_t n, uint32_t arg) {
    (void)arg;
    __wasi_filesize_t at;
    for (uint32_t i = 0; i < n; i++) check(__wasi_fd_tell(file, &at));
    return n;
}

/* Reads and writes go through the file from its start, again and again. */
static uint32_t rewound(uint32_t left, uint32_t size) {
    __wasi_filesize_t at;
    if (left >= size) return left - size;
    check(__wasi_fd_seek(file, 0, __WASI_WHENCE_SET, &at));
    return FILE_SIZE - size;
}

static uint32_t read_(uint32_t n, uint32_t size) {
    __wasi_iovec_t part = {buffer, size};
    __wasi_size_t got;
    for (uint32_t i = 0, left = 0; i < n; i++) {
        left = rewound(left, size);
        check(__wasi_fd_read(file, &part, 1, &got));
        if (got != size) fail("bytes", got);
    }
    return n;
}

static uint32_t write_(uint32_t n, uint32_t size) {
    __wasi_ciovec_t part = {buffer, size};
    __wasi_size_t done;
    for (uint32_t i = 0, left = 0; i < n; i++) {
        left = rewound(left, size);
        check(__wasi_fd_write(file, &part, 1, &done));
        if (done != size) fail("bytes", done);
    }
    return n;
}

/* An endless input and an output that is thrown away. */
static uint32_t read_stream(uint32_t n, uint32_t size) {
    __wasi_iovec_t part = {buffer, size};
    __wasi_size_t got;
    for (uint32_t i = 0; i < n; i++) {
        check(__wasi_fd_read(0, &part, 1, &got));
        if (got != size) fail("bytes", got);
    }
    return n;
}

static uint32_t write_stream(uint32_t n, uint32_t size) {
    __wasi_ciovec_t part = {buffer, size};
    __wasi_size_t done;
    for (uint32_t i = 0; i < n; i++) {
        check(__wasi_fd_write(2, &part, 1, &done));
        if (done != size) fail("bytes", done);
    }
    return n;
}

/* Until all is written, as programs do: wasmtime takes one part per call. */
static uint32_t gather(uint32_t n, uint32_t count) {
    __wasi_ciovec_t parts[16];
    __wasi_size_t done;
    for (uint32_t i = 0; i < count; i++) parts[i] = (__wasi_ciovec_t){buffer + 128 * i, 64};
    for (uint32_t i = 0, left = 0; i < n; i++) {
        left = rewound(left, 64 * count);
        for (uint32_t at = 0; at < count; at += done / 64) {
            check(__wasi_fd_write(file, parts + at, count - at, &done));
            if (!done || done % 64) fail("bytes", done);
        }
    }
    return n;
}

static uint32_t pread_(uint32_t n, uint32_t size) {
    __wasi_iovec_t part = {buffer, size};
    __wasi_size_t got;
    for (uint32_t i = 0; i < n; i++) {
        check(__wasi_fd_pread(file, &part, 1, (i % (FILE_SIZE / size)) * size, &got));
        if (got != size) fail("bytes", got);
    }
    return n;
}

static const char *path_of(uint32_t parts) { return parts == 1 ? "data" : "a/b/c/leaf"; }

static uint32_t open_close(uint32_t n, uint32_t parts) {
    const __wasi_rights_t rights =
            __WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_SEEK | __WASI_RIGHTS_FD_TELL | __WASI_RIGHTS_FD_FILESTAT_GET;
    for (uint32_t i = 0; i < n; i++) check(__wasi_fd_close(open_at(path_of(parts), 0, rights)));
    return n;
}

static uint32_t path_stat(uint32_t n, uint32_t parts) {
    __wasi_filestat_t stat;
    for (uint32_t i = 0; i < n; i++) check(__wasi_path_filestat_get(TOP, 0, path_of(parts), &stat));
    return n;
}

/* The whole folder, as a libc reads it. */
static uint32_t list(uint32_t n, uint32_t room) {
    uint32_t entries = 0;
    for (uint32_t i = 0; i < n; i++) {
        __wasi_dircookie_t cookie = __WASI_DIRCOOKIE_START;
        __wasi_size_t used;
        do {
            check(__wasi_fd_readdir(folder, buffer, room, cookie, &used));
            for (__wasi_size_t at = 0; at + sizeof(__wasi_dirent_t) <= used; entries++) {
                __wasi_dirent_t entry;
                memcpy(&entry, buffer + at, sizeof entry);
                at += sizeof entry + entry.d_namlen;
                if (at > used) break;
                cookie = entry.d_next;
            }
        } while (used == room);
    }
    return entries;
}

static const struct bench {
    const char *name;
    loop *run;
    uint32_t arg;
} benches[] = {
    {"floor", floor_, 0},
    {"sched_yield", yield, 0},
    {"clock_time_get", clock_, 0},
    {"random_get_16", random_, 16},
    {"args_sizes_get", args_sizes, 0},
    {"poll_clock_0", poll, 0},
    {"fd_seek", seek, 0},
    {"fd_tell", tell, 0},
    {"stdin_read_1", read_stream, 1},
    {"stderr_write_1", write_stream, 1},
    {"fd_fdstat_get", fdstat, 0},
    {"fd_filestat_get", filestat, 0},
    {"fd_read_1", read_, 1},
    {"fd_read_4K", read_, 4096},
    {"fd_pread_4K", pread_, 4096},
    {"fd_write_1", write_, 1},
    {"fd_write_4K", write_, 4096},
    {"fd_write_16x64", gather, 16},
    {"path_open_close_d1", open_close, 1},
    {"path_open_close_d4", open_close, 4},
    {"path_filestat_get_d1", path_stat, 1},
    {"path_filestat_get_d4", path_stat, 4},
    {"fd_read_64K", read_, 1 << 16},
    {"fd_write_64K", write_, 1 << 16},
    {"fd_read_1M", read_, 1 << 20},
    {"fd_write_1M", write_, 1 << 20},
    {"fd_readdir_4K", list, 4096},
    {"fd_readdir_64K", list, 1 << 16},
};

static double best_of(const struct bench *bench, uint64_t budget) {
    double best = INFINITY;
    uint64_t spent = 0;
    uint32_t n = 1;
    do {
        uint64_t start = now();
        uint32_t units = bench->run(n, bench->arg);
        uint64_t took = now() - start;
        best = fmin(best, (double)took / units);
        spent += took;
        if (took < budget / 16) n *= 2;
    } while (spent < budget);
    return best;
}

int main(int argc, char **argv) {
    if (argc != 3) fail("arguments", argc);
    uint64_t budget = strtoull(argv[1], NULL, 10) * 1000000;
    file = open_at("data", 0,
                 __WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_WRITE | __WASI_RIGHTS_FD_SEEK | __WASI_RIGHTS_FD_TELL |
                     __WASI_RIGHTS_FD_FILESTAT_GET);
    folder = open_at("many", __WASI_OFLAGS_DIRECTORY, __WASI_RIGHTS_FD_READDIR);
    for (char *name = strtok(argv[2], ","); name; name = strtok(NULL, ",")) {
        const struct bench *found = NULL;
        for (unsigned i = 0; i < sizeof benches / sizeof *benches; i++) {
            if (!strcmp(name, benches[i].name)) found = &benches[i];
        }
        current = name;
        if (!found) fail("cases of this name:", 0);
        printf("%s %.3f\n", name, best_of(found, budget));
    }
    return 0;
}
