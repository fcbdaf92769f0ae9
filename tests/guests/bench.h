/* How guests of the benchmark time what they do: by the host's monotonic clock, in batches that double until one takes
 * a sixteenth of the budget; the best batch counts. A call that fails ends the program with status 1: no host looks
 * fast by refusing.
 */

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wasi/api.h>

enum { TOP = 3, MILLISECOND = 1000000 };

static const char *current = "before the first case";
static uint64_t untimed; /* what the case that runs has spent on work that is not its own */

static inline void fail(const char *what, unsigned number) {
    printf("%s: %s %u\n", current, what, number);
    exit(1);
}

static inline void check(__wasi_errno_t error) {
    if (error) fail("errno", error);
}

static inline uint64_t now(void) {
    __wasi_timestamp_t time;
    check(__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &time));
    return time;
}

static inline __wasi_fd_t open_at(const char *path, __wasi_oflags_t oflags, __wasi_rights_t rights) {
    __wasi_fd_t fd;
    check(__wasi_path_open(TOP, 0, path, oflags, rights, 0, 0, &fd));
    return fd;
}

/* What a case does `n` times; how many units that was. */
typedef uint32_t loop(uint32_t n, uint32_t arg);

static inline double best_of(loop *run, uint32_t arg, uint64_t budget) {
    double best = INFINITY;
    uint64_t spent = 0;
    uint32_t n = 1;
    do {
        untimed = 0;
        uint64_t start = now();
        uint32_t units = run(n, arg);
        uint64_t all = now() - start, took = all - untimed;
        best = fmin(best, (double)took / units);
        spent += all;
        if (all < budget / 16) n *= 2;
    } while (spent < budget);
    return best;
}
