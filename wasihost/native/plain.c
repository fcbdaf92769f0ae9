/* The functions of the plain case: see plain.h for the rules. Nothing here needs the GIL. */
#include "plain.h"
#include "abi.h"

#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <errno.h>
#include <sys/random.h>
#endif

#define DONE 1
#define NOTHING_DONE 0

/* Larger amounts are moved in pieces of this size by the Python handlers, with a look at the deadline between two. */
#define PIECE (1u << 20)
/* More buffers than this are left to the Python handlers. */
#define BUFFERS 64

#define NS 1000000000u

/* -- guest memory ------------------------------------------------------------------------------------------------- */

static inline int inside(uint64_t size, uint32_t at, uint64_t length)
{
    return at + length <= size;
}

/* Whether a result of `length` bytes, aligned as its largest number, may be written at `at`. */
static inline int fits(uint64_t size, uint32_t at, uint32_t length, uint32_t align)
{
    return (at & (align - 1)) == 0 && inside(size, at, length);
}

static inline void put_u32(char *base, uint32_t at, uint32_t value)
{
    memcpy(base + at, &value, sizeof value);
}

static inline void put_u64(char *base, uint32_t at, uint64_t value)
{
    memcpy(base + at, &value, sizeof value);
}

static inline int success(witx_slot *slots)
{
    slots[0].u32 = 0;
    return DONE;
}

/* Copies an iovec array of the guest's. Returns how many there are, 0 if they are not plain. */
static inline uint32_t buffers(char *base, uint64_t size, uint32_t at, uint32_t count, struct iovec *copy)
{
    if (count == 0 || count > BUFFERS || !fits(size, at, 8 * count, 4))
        return 0;
    uint64_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t pair[2]; /* address and length */
        memcpy(pair, base + at + 8 * i, sizeof pair);
        if (pair[1] == 0)
            pair[0] = 0; /* any address is right for no bytes */
        else if (!inside(size, pair[0], pair[1]))
            return 0;
        copy[i] = (struct iovec){.iov_base = base + pair[0], .iov_len = pair[1]};
        total += pair[1];
    }
    return total <= PIECE ? count : 0;
}

/* -- files -------------------------------------------------------------------------------------------------------- */

/* The open file with this number if it is one of ours and has one of `rights`, else NULL. */
static inline PlainFile *file_of(PlainCalls *calls, uint32_t number, uint64_t rights)
{
    PlainTable *table = atomic_load_explicit(&calls->table, memory_order_acquire);
    if (table == NULL || number >= table->count)
        return NULL;
    PlainFile *file = atomic_load_explicit(&table->files[number], memory_order_acquire);
    if (file == NULL || !(atomic_load_explicit(&file->rights, memory_order_relaxed) & rights))
        return NULL;
    return file;
}

static inline int fd_of(PlainFile *file)
{
    return atomic_load_explicit(&file->fd, memory_order_relaxed);
}

static inline int64_t position_of(PlainFile *file)
{
    return atomic_load_explicit(&file->position, memory_order_relaxed);
}

static inline void move_to(PlainFile *file, int64_t position)
{
    atomic_store_explicit(&file->position, position, memory_order_relaxed);
}

static inline int has(PlainFile *file, uint64_t right)
{
    return (atomic_load_explicit(&file->rights, memory_order_relaxed) & right) != 0;
}

/* With APPEND the Python handlers find the end. */
static inline int appends(PlainFile *file)
{
    return (atomic_load_explicit(&file->flags, memory_order_relaxed) & WASI_PREVIEW1_FDFLAGS_APPEND) != 0;
}

static ssize_t read_at(PlainFile *file, const struct iovec *to, uint32_t count, int64_t position)
{
    if (count == 1)
        return pread(fd_of(file), to->iov_base, to->iov_len, position);
    return preadv(fd_of(file), to, (int)count, position);
}

static ssize_t write_at(PlainFile *file, const struct iovec *from, uint32_t count, int64_t position)
{
    if (count == 1)
        return pwrite(fd_of(file), from->iov_base, from->iov_len, position);
    return pwritev(fd_of(file), from, (int)count, position);
}

/* fd, iovs, iovs_len, result */
static int fd_read(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    struct iovec to[BUFFERS];
    PlainFile *file = file_of(calls, slots[0].u32, WASI_PREVIEW1_RIGHTS_FD_READ);
    uint32_t result = slots[3].u32, count;
    if (!file || !fits(size, result, 4, 4) || !(count = buffers(base, size, slots[1].u32, slots[2].u32, to)))
        return NOTHING_DONE;
    int64_t position = position_of(file);
    ssize_t moved = read_at(file, to, count, position);
    if (moved < 0)
        return NOTHING_DONE;
    move_to(file, position + moved);
    put_u32(base, result, (uint32_t)moved);
    return success(slots);
}

/* fd, iovs, iovs_len, result */
static int fd_write(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    struct iovec from[BUFFERS];
    PlainFile *file = file_of(calls, slots[0].u32, WASI_PREVIEW1_RIGHTS_FD_WRITE);
    uint32_t result = slots[3].u32, count;
    if (!file || appends(file) || !fits(size, result, 4, 4) ||
        !(count = buffers(base, size, slots[1].u32, slots[2].u32, from)))
        return NOTHING_DONE;
    int64_t position = position_of(file);
    ssize_t moved = write_at(file, from, count, position);
    if (moved < 0)
        return NOTHING_DONE;
    move_to(file, position + moved);
    put_u32(base, result, (uint32_t)moved);
    return success(slots);
}

/* fd, iovs, iovs_len, offset, result */
static int fd_pread(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    struct iovec to[BUFFERS];
    PlainFile *file = file_of(calls, slots[0].u32, WASI_PREVIEW1_RIGHTS_FD_READ);
    uint32_t result = slots[4].u32, count;
    int64_t offset = slots[3].s64;
    if (!file || !has(file, WASI_PREVIEW1_RIGHTS_FD_SEEK) || offset < 0 || !fits(size, result, 4, 4) ||
        !(count = buffers(base, size, slots[1].u32, slots[2].u32, to)))
        return NOTHING_DONE;
    ssize_t moved = read_at(file, to, count, offset);
    if (moved < 0)
        return NOTHING_DONE;
    put_u32(base, result, (uint32_t)moved);
    return success(slots);
}

/* fd, iovs, iovs_len, offset, result */
static int fd_pwrite(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    struct iovec from[BUFFERS];
    PlainFile *file = file_of(calls, slots[0].u32, WASI_PREVIEW1_RIGHTS_FD_WRITE);
    uint32_t result = slots[4].u32, count;
    int64_t offset = slots[3].s64;
    if (!file || !has(file, WASI_PREVIEW1_RIGHTS_FD_SEEK) || appends(file) || offset < 0 || !fits(size, result, 4, 4) ||
        !(count = buffers(base, size, slots[1].u32, slots[2].u32, from)))
        return NOTHING_DONE;
    ssize_t moved = write_at(file, from, count, offset);
    if (moved < 0)
        return NOTHING_DONE;
    put_u32(base, result, (uint32_t)moved);
    return success(slots);
}

/* fd, offset, whence, result */
static int fd_seek(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    PlainFile *file = file_of(calls, slots[0].u32, WASI_PREVIEW1_RIGHTS_FD_SEEK);
    int64_t offset = slots[1].s64, start;
    uint32_t result = slots[3].u32;
    struct stat about;
    if (!file || fd_of(file) < 0 || !fits(size, result, 8, 8))
        return NOTHING_DONE;
    switch (slots[2].u32) {
    case WASI_PREVIEW1_WHENCE_SET:
        start = 0;
        break;
    case WASI_PREVIEW1_WHENCE_CUR:
        start = position_of(file);
        break;
    case WASI_PREVIEW1_WHENCE_END:
        if (fstat(fd_of(file), &about) != 0)
            return NOTHING_DONE;
        start = about.st_size;
        break;
    default:
        return NOTHING_DONE;
    }
    if (offset > INT64_MAX - start || offset + start < 0) /* start is not negative */
        return NOTHING_DONE;
    move_to(file, start + offset);
    put_u64(base, result, (uint64_t)(start + offset));
    return success(slots);
}

/* fd, result */
static int fd_tell(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    PlainFile *file = file_of(calls, slots[0].u32, WASI_PREVIEW1_RIGHTS_FD_SEEK | WASI_PREVIEW1_RIGHTS_FD_TELL);
    uint32_t result = slots[1].u32;
    if (!file || fd_of(file) < 0 || !fits(size, result, 8, 8))
        return NOTHING_DONE;
    put_u64(base, result, (uint64_t)position_of(file));
    return success(slots);
}

/* fd, result */
static int fd_fdstat_get(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    PlainFile *file = file_of(calls, slots[0].u32, UINT64_MAX);
    uint32_t result = slots[1].u32;
    if (!file || fd_of(file) < 0 || !fits(size, result, WASI_PREVIEW1_FDSTAT_SIZEOF, WASI_PREVIEW1_FDSTAT_ALIGNOF))
        return NOTHING_DONE;
    uint32_t flags = atomic_load_explicit(&file->flags, memory_order_relaxed);
    if (flags == PLAIN_CHANGING)
        return NOTHING_DONE;
    char fdstat[WASI_PREVIEW1_FDSTAT_SIZEOF] = {0}; /* a file passes no rights on */
    fdstat[WASI_PREVIEW1_FDSTAT_FS_FILETYPE_AT] = WASI_PREVIEW1_FILETYPE_REGULAR_FILE;
    uint16_t flags16 = (uint16_t)flags;
    uint64_t rights = atomic_load_explicit(&file->rights, memory_order_relaxed);
    memcpy(fdstat + WASI_PREVIEW1_FDSTAT_FS_FLAGS_AT, &flags16, sizeof flags16);
    memcpy(fdstat + WASI_PREVIEW1_FDSTAT_FS_RIGHTS_BASE_AT, &rights, sizeof rights);
    memcpy(base + result, fdstat, WASI_PREVIEW1_FDSTAT_SIZEOF);
    return success(slots);
}

/* In ns since 1970; -1 for a time that is left to the Python handlers: before 1970, or after 2262. */
static inline int64_t timestamp(struct timespec time)
{
    return time.tv_sec < 0 || time.tv_sec >= INT64_MAX / NS ? -1 : (int64_t)time.tv_sec * NS + time.tv_nsec;
}

#ifdef __APPLE__
#define TIME(about, which) (about).st_##which##timespec
#else
#define TIME(about, which) (about).st_##which##tim
#endif

/* fd, result */
static int fd_filestat_get(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    PlainFile *file = file_of(calls, slots[0].u32, WASI_PREVIEW1_RIGHTS_FD_FILESTAT_GET);
    uint32_t result = slots[1].u32;
    struct stat about;
    if (!file || !fits(size, result, WASI_PREVIEW1_FILESTAT_SIZEOF, WASI_PREVIEW1_FILESTAT_ALIGNOF) ||
        fstat(fd_of(file), &about) != 0)
        return NOTHING_DONE;
    int64_t atim = timestamp(TIME(about, a)), mtim = timestamp(TIME(about, m)), ctim = timestamp(TIME(about, c));
    if (!S_ISREG(about.st_mode) || about.st_size < 0 || atim < 0 || mtim < 0 || ctim < 0)
        return NOTHING_DONE;
    char filestat[WASI_PREVIEW1_FILESTAT_SIZEOF] = {0};
    filestat[WASI_PREVIEW1_FILESTAT_FILETYPE_AT] = WASI_PREVIEW1_FILETYPE_REGULAR_FILE;
    put_u64(filestat, WASI_PREVIEW1_FILESTAT_DEV_AT, (uint64_t)about.st_dev);
    put_u64(filestat, WASI_PREVIEW1_FILESTAT_INO_AT, (uint64_t)about.st_ino);
    put_u64(filestat, WASI_PREVIEW1_FILESTAT_NLINK_AT, (uint64_t)about.st_nlink);
    put_u64(filestat, WASI_PREVIEW1_FILESTAT_SIZE_AT, (uint64_t)about.st_size);
    put_u64(filestat, WASI_PREVIEW1_FILESTAT_ATIM_AT, (uint64_t)atim);
    put_u64(filestat, WASI_PREVIEW1_FILESTAT_MTIM_AT, (uint64_t)mtim);
    put_u64(filestat, WASI_PREVIEW1_FILESTAT_CTIM_AT, (uint64_t)ctim);
    memcpy(base + result, filestat, WASI_PREVIEW1_FILESTAT_SIZEOF);
    return success(slots);
}

/* -- clocks, random bytes, yielding ------------------------------------------------------------------------------- */

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

/* id, precision, result */
static int clock_time_get(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    uint32_t id = slots[0].u32, result = slots[2].u32;
    if (id >= PLAIN_CLOCKS || !fits(size, result, 8, 8))
        return NOTHING_DONE;
    PlainClock *clock = &calls->clocks[id];
    if (clock->function == NULL || PyCFunction_GetFunction(clock->function) != clock->original) /* reads one field */
        return NOTHING_DONE;
    uint64_t now = plain_clock_now(id);
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
    if (stock->bytes == NULL && (stock->bytes = PyMem_RawMalloc(PLAIN_STOCK)) == NULL)
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
    PyMem_RawFree(stock->bytes);
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
    {"fd_read", fd_read},
    {"fd_write", fd_write},
    {"fd_pread", fd_pread},
    {"fd_pwrite", fd_pwrite},
    {"fd_seek", fd_seek},
    {"fd_tell", fd_tell},
    {"fd_fdstat_get", fd_fdstat_get},
    {"fd_filestat_get", fd_filestat_get},
    {"clock_time_get", clock_time_get},
    {"clock_res_get", clock_res_get},
    {"random_get", random_get},
    {"sched_yield", sched_yield_},
};

const uint32_t plain_function_count = sizeof plain_functions / sizeof *plain_functions;
