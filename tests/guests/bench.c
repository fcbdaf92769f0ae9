/* The guest of the benchmark: makes one call over and over, and times it as bench.h says.
 *
 * bench BUDGET_MS CASE,CASE,...
 *
 * Standard input is endless and standard error takes everything. Descriptor 3 is a folder with `data` (FILE_SIZE
 * bytes), `a/b/c/leaf` and the folder `many`. One line per case: its name and the ns of one unit (one call, one pair of
 * open and close, one directory entry).
 *
 * The cases `sleep_...` and `poll_64` want a standard input that is silent; a line of the former has the ns of each sleep.
 */

#include "bench.h"

enum { FILE_SIZE = 1 << 20, SUBSCRIPTIONS = 64 };

static _Alignas(4096) uint8_t buffer[FILE_SIZE];
static __wasi_fd_t file, folder;
static __wasi_subscription_t wanted[SUBSCRIPTIONS];
static __wasi_event_t told[SUBSCRIPTIONS];

/* Below, `arg` is a size, a count, or how many parts a path has. */

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

static void wait_for_clock(__wasi_subscription_t *one, __wasi_timestamp_t timeout) {
    *one = (__wasi_subscription_t){.u.tag = __WASI_EVENTTYPE_CLOCK};
    one->u.u.clock.id = __WASI_CLOCKID_MONOTONIC;
    one->u.u.clock.timeout = timeout;
}

static void wait_for_fd(__wasi_subscription_t *one, __wasi_eventtype_t type, __wasi_fd_t fd) {
    *one = (__wasi_subscription_t){.u.tag = type};
    one->u.u.fd_read.file_descriptor = fd; /* where fd_write has it too */
}

/* The first `count` subscriptions, all alike and ready, until each was told: some hosts tell a few of them a call. */
static uint32_t poll_all(uint32_t n, uint32_t count) {
    for (uint32_t i = 0; i < n; i++) {
        __wasi_size_t got;
        for (uint32_t left = count; left; left -= got) {
            check(__wasi_poll_oneoff(wanted, told, left, &got));
            if (!got || got > left) fail("events", got);
            for (uint32_t k = 0; k < got; k++) check(told[k].error);
        }
    }
    return n;
}

static uint32_t poll_clocks(uint32_t n, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) wait_for_clock(&wanted[i], 0);
    return poll_all(n, count);
}

/* All of them but the last have nothing to report. */
static uint32_t poll_one_of(uint32_t n, uint32_t count) {
    for (uint32_t i = 0; i + 1 < count; i++) wait_for_fd(&wanted[i], __WASI_EVENTTYPE_FD_READ, 0);
    wait_for_fd(&wanted[count - 1], __WASI_EVENTTYPE_FD_WRITE, 2);
    for (uint32_t i = 0; i < n; i++) {
        __wasi_size_t got;
        check(__wasi_poll_oneoff(wanted, told, count, &got));
        if (got != 1 || told->error || told->type != __WASI_EVENTTYPE_FD_WRITE) fail("events", got);
    }
    return n;
}

static uint32_t poll_stdin(uint32_t n, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) wait_for_fd(&wanted[i], __WASI_EVENTTYPE_FD_READ, 0);
    return poll_all(n, count);
}

static uint32_t poll_stdout(uint32_t n, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) wait_for_fd(&wanted[i], __WASI_EVENTTYPE_FD_WRITE, 1);
    return poll_all(n, count);
}

static uint32_t poll_file(uint32_t n, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) wait_for_fd(&wanted[i], __WASI_EVENTTYPE_FD_READ, file);
    return poll_all(n, count);
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

static uint32_t create_unlink(uint32_t n, uint32_t arg) {
    (void)arg;
    for (uint32_t i = 0; i < n; i++) {
        check(__wasi_fd_close(open_at("new", __WASI_OFLAGS_CREAT | __WASI_OFLAGS_EXCL, __WASI_RIGHTS_FD_WRITE)));
        check(__wasi_path_unlink_file(TOP, "new"));
    }
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
    {"poll_clock_0", poll_clocks, 1},
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
    {"path_create_unlink", create_unlink, 0},
    {"fd_read_64K", read_, 1 << 16},
    {"fd_write_64K", write_, 1 << 16},
    {"fd_read_1M", read_, 1 << 20},
    {"fd_write_1M", write_, 1 << 20},
    {"fd_readdir_4K", list, 4096},
    {"fd_readdir_64K", list, 1 << 16},
    {"poll_stdin", poll_stdin, 1},
    {"poll_stdout", poll_stdout, 1},
    {"poll_file", poll_file, 1},
    {"poll_clock_0_x64", poll_clocks, SUBSCRIPTIONS},
    {"poll_stdout_x64", poll_stdout, SUBSCRIPTIONS},
    {"poll_64", poll_one_of, SUBSCRIPTIONS},
};

/* How many of these each sleep waits for: a millisecond, and something to read that never comes. */
static const struct sleep {
    const char *name;
    uint32_t count;
} sleeps[] = {
    {"sleep_1ms", 1},
    {"sleep_1ms_stdin", 2},
};

static void sleep_and_tell(const struct sleep *sleep, uint64_t budget) {
    wait_for_clock(&wanted[0], MILLISECOND);
    wait_for_fd(&wanted[1], __WASI_EVENTTYPE_FD_READ, 0);
    printf("%s", sleep->name);
    uint64_t spent = 0;
    do {
        __wasi_size_t got;
        uint64_t start = now();
        check(__wasi_poll_oneoff(wanted, told, sleep->count, &got));
        uint64_t took = now() - start;
        if (got != 1 || told->error || told->type != __WASI_EVENTTYPE_CLOCK) fail("events, not the clock's:", got);
        printf(" %llu", (unsigned long long)took);
        spent += took;
    } while (spent < budget);
    printf("\n");
}

int main(int argc, char **argv) {
    if (argc != 3) fail("arguments", argc);
    uint64_t budget = strtoull(argv[1], NULL, 10) * MILLISECOND;
    file = open_at("data", 0,
                 __WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_WRITE | __WASI_RIGHTS_FD_SEEK | __WASI_RIGHTS_FD_TELL |
                     __WASI_RIGHTS_FD_FILESTAT_GET | __WASI_RIGHTS_POLL_FD_READWRITE);
    folder = open_at("many", __WASI_OFLAGS_DIRECTORY, __WASI_RIGHTS_FD_READDIR);
    for (char *name = strtok(argv[2], ","); name; name = strtok(NULL, ",")) {
        const struct bench *bench = NULL;
        const struct sleep *sleep = NULL;
        for (unsigned i = 0; i < sizeof benches / sizeof *benches; i++) {
            if (!strcmp(name, benches[i].name)) bench = &benches[i];
        }
        for (unsigned i = 0; i < sizeof sleeps / sizeof *sleeps; i++) {
            if (!strcmp(name, sleeps[i].name)) sleep = &sleeps[i];
        }
        current = name;
        if (sleep)
            sleep_and_tell(sleep, budget);
        else if (bench)
            printf("%s %.3f\n", name, best_of(bench->run, bench->arg, budget));
        else
            fail("cases of this name:", 0);
    }
    return 0;
}
