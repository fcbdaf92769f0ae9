/* The plain calls of clocks and randomness, and the list of all: see plain.h for the rules. Nothing here needs the GIL.
 */
#include "plain_memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#ifdef __linux__
#include <errno.h>
#include <sys/random.h>
#endif

uint64_t plain_clock_now(uint32_t id)
{
    static const clockid_t clocks[PLAIN_CLOCKS] = {
        [WASI_PREVIEW1_CLOCKID_REALTIME] = CLOCK_REALTIME,
#ifdef __APPLE__
        [WASI_PREVIEW1_CLOCKID_MONOTONIC] = CLOCK_UPTIME_RAW, /* as Python: it stands still while the machine sleeps */
#else
        [WASI_PREVIEW1_CLOCKID_MONOTONIC] = CLOCK_MONOTONIC,
#endif
        [WASI_PREVIEW1_CLOCKID_PROCESS_CPUTIME_ID] = CLOCK_PROCESS_CPUTIME_ID,
        [WASI_PREVIEW1_CLOCKID_THREAD_CPUTIME_ID] = CLOCK_THREAD_CPUTIME_ID,
    };
    struct timespec now;
    if (id >= PLAIN_CLOCKS || clock_gettime(clocks[id], &now) != 0 || now.tv_sec < 0)
        return 0;
    return (uint64_t)now.tv_sec * NS + (uint64_t)now.tv_nsec;
}

uint64_t plain_clock_of(PlainCalls *calls, uint32_t id)
{
    PlainClock *clock = &calls->clocks[id];
    if (clock->function == NULL || PyCFunction_GetFunction(clock->function) != clock->original) /* reads one field */
        return 0;
    return plain_clock_now(id);
}

/* id, precision, result */
static int clock_time_get(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    uint32_t id = slots[0].u32, result = slots[2].u32;
    if (id >= PLAIN_CLOCKS || !fits(size, result, 8, 8))
        return NOTHING_DONE;
    uint64_t now = plain_clock_of(calls, id);
    if (now == 0)
        return NOTHING_DONE;
    put_u64(base, result, now);
    return success(slots);
}

/* id, result */
static int clock_res_get(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    uint32_t id = slots[0].u32, result = slots[1].u32;
    if (!calls->resolutions || id >= PLAIN_CLOCKS || !fits(size, result, 8, 8))
        return NOTHING_DONE;
    put_u64(base, result, calls->clocks[id].resolution);
    return success(slots);
}

/* From here on requests are served by the system directly. */
#define SMALL 64
#define FIRST_STOCK 256

static _Atomic unsigned forks;

static void forked(void)
{
    atomic_fetch_add_explicit(&forks, 1, memory_order_relaxed);
}

int plain_watch_forks(void)
{
    static int watching; /* with the GIL held */
    int failed = watching ? 0 : pthread_atfork(NULL, NULL, forked);
    watching = !failed;
    return failed;
}

/* Fills `to` with random bytes of the system's. Returns 0 if the system has none now. */
static int fill(void *to, size_t length)
{
#ifdef __linux__
    for (size_t at = 0; at < length;) {
        ssize_t got = getrandom((char *)to + at, length - at, 0);
        if (got < 0 && errno != EINTR)
            return 0;
        at += got < 0 ? 0 : (size_t)got;
    }
#else
    arc4random_buf(to, length);
#endif
    return 1;
}

/* Makes at least SMALL bytes ready. A guest that asks often gets a larger stock. */
static int fill_stock(PlainStock *stock)
{
    if (stock->bytes == NULL && (stock->bytes = malloc(PLAIN_STOCK)) == NULL)
        return 0;
    uint32_t wanted = stock->filled == 0                ? FIRST_STOCK
                      : stock->filled < PLAIN_STOCK / 2 ? 2 * stock->filled
                                                        : PLAIN_STOCK;
    unsigned now = atomic_load_explicit(&forks, memory_order_relaxed);
    stock->used = stock->filled = 0;
    if (!fill(stock->bytes, wanted))
        return 0;
    stock->filled = wanted;
    stock->forks = now;
    return 1;
}

void plain_stock_clear(PlainStock *stock)
{
    if (stock->bytes != NULL)
        memset(stock->bytes, 0, PLAIN_STOCK);
    free(stock->bytes);
    *stock = (PlainStock){0};
}

/* buf, buf_len */
static int random_get(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    uint32_t at = slots[0].u32, length = slots[1].u32;
    PlainStock *stock = &calls->stock;
    if (length > PIECE || (length != 0 && !inside(size, at, length)))
        return NOTHING_DONE;
    if (length > SMALL)
        return fill(base + at, length) ? success(slots) : NOTHING_DONE; /* the handler fills all of it again */
    if (length == 0)
        return success(slots);
    if ((stock->used + length > stock->filled || stock->forks != atomic_load_explicit(&forks, memory_order_relaxed)) &&
        !fill_stock(stock))
        return NOTHING_DONE;
    memcpy(base + at, stock->bytes + stock->used, length);
    memset(stock->bytes + stock->used, 0, length);
    stock->used += length;
    return success(slots);
}

/* The handler does nothing either; without the GIL every other thread can run anyway. */
static int sched_yield_(PlainCalls *Py_UNUSED(calls), char *Py_UNUSED(base), uint64_t Py_UNUSED(size), witx_slot *slots)
{
    return success(slots);
}

const PlainEntry plain_functions[] = {
    {"fd_read", plain_fd_read},
    {"fd_write", plain_fd_write},
    {"fd_pread", plain_fd_pread},
    {"fd_pwrite", plain_fd_pwrite},
    {"fd_seek", plain_fd_seek},
    {"fd_tell", plain_fd_tell},
    {"fd_fdstat_get", plain_fd_fdstat_get},
    {"fd_filestat_get", plain_fd_filestat_get},
    {"clock_time_get", clock_time_get},
    {"clock_res_get", clock_res_get},
    {"random_get", random_get},
    {"sched_yield", sched_yield_},
    {"poll_oneoff", plain_poll_oneoff},
    {"args_get", plain_args_get},
    {"args_sizes_get", plain_args_sizes_get},
    {"environ_get", plain_environ_get},
    {"environ_sizes_get", plain_environ_sizes_get},
};

const uint32_t plain_function_count = sizeof plain_functions / sizeof *plain_functions;
