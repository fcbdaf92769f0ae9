/* The plain calls on open regular files, and those on streams: see plain.h for the rules. Nothing here needs the GIL.
 *
 * A stream is read and written only as far as that does not wait. Where it would, the Python handler does the call: it
 * waits so that signals, a deadline or another thread can end the wait.
 */
#include "plain_memory.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* More buffers than this are left to the Python handlers. */
#define BUFFERS 64

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

/* The open regular file with this number if it is one of ours and has all of `rights`, else NULL. */
static inline PlainFile *file_of(PlainCalls *calls, uint32_t number, uint64_t rights)
{
    PlainFile *file = open_of(calls, number, rights);
    return file != NULL && is_regular(file) ? file : NULL;
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

/* -- reading and writing ------------------------------------------------------------------------------------------ */

typedef ssize_t Transfer(PlainFile *file, const struct iovec *buffers, uint32_t count, int64_t position);

static ssize_t read_at(PlainFile *file, const struct iovec *to, uint32_t count, int64_t position)
{
    if (count == 1)
        return pread(fd_of(file), to->iov_base, to->iov_len, position);
    return preadv(fd_of(file), to, (int)count, position);
}

static ssize_t write_at(PlainFile *file, const struct iovec *from, uint32_t count, int64_t position)
{
    if (appends(file))
        return -1;
    if (count == 1)
        return pwrite(fd_of(file), from->iov_base, from->iov_len, position);
    return pwritev(fd_of(file), from, (int)count, position);
}

#ifdef RWF_NOWAIT
/* -1 if the transfer would have to wait, and for whatever else the handler has to decide. */
static ssize_t transferred(PlainFile *file, ssize_t moved)
{
    if (moved < 0 && errno != EAGAIN &&
        errno != EINTR) /* most often a kind of stream for which there is no such flag */
        atomic_store_explicit(&file->waits, 1, memory_order_relaxed);
    return moved;
}

static inline int may_wait(PlainFile *file)
{
    return atomic_load_explicit(&file->waits, memory_order_relaxed);
}

static ssize_t read_stream(PlainFile *file, const struct iovec *to, uint32_t count)
{
    return may_wait(file) ? -1 : transferred(file, preadv2(fd_of(file), to, (int)count, -1, RWF_NOWAIT));
}

/* A pipe takes this much at once or not at all; of more it might take a part, where the handler waits for the rest. */
#define AT_ONCE 4096

static ssize_t write_stream(PlainFile *file, const struct iovec *from, uint32_t count)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < count; i++)
        total += from[i].iov_len;
    if (may_wait(file) || (total > AT_ONCE && filetype_of(file) != WASI_PREVIEW1_FILETYPE_CHARACTER_DEVICE))
        return -1;
    return transferred(file, pwritev2(fd_of(file), from, (int)count, -1, RWF_NOWAIT));
}
#else
static ssize_t read_stream(PlainFile *Py_UNUSED(file), const struct iovec *Py_UNUSED(to), uint32_t Py_UNUSED(count))
{
    return -1;
}

static ssize_t write_stream(PlainFile *Py_UNUSED(file), const struct iovec *Py_UNUSED(from), uint32_t Py_UNUSED(count))
{
    return -1;
}
#endif

static ssize_t read_here(PlainFile *file, const struct iovec *to, uint32_t count, int64_t position)
{
    return is_regular(file) ? read_at(file, to, count, position) : read_stream(file, to, count);
}

static ssize_t write_here(PlainFile *file, const struct iovec *from, uint32_t count, int64_t position)
{
    return is_regular(file) ? write_at(file, from, count, position) : write_stream(file, from, count);
}

/* fd, iovs, iovs_len, result: at the position of the file, which moves. */
static inline int move_here(PlainFile *file, char *base, uint64_t size, witx_slot *slots, Transfer *transfer)
{
    struct iovec parts[BUFFERS];
    uint32_t result = slots[3].u32, count;
    if (!file || !fits(size, result, 4, 4) || !(count = buffers(base, size, slots[1].u32, slots[2].u32, parts)))
        return NOTHING_DONE;
    int64_t position = position_of(file);
    ssize_t moved = transfer(file, parts, count, position);
    if (moved < 0)
        return NOTHING_DONE;
    if (is_regular(file))
        move_to(file, position + moved);
    put_u32(base, result, (uint32_t)moved);
    return success(slots);
}

/* fd, iovs, iovs_len, offset, result */
static inline int move_there(PlainFile *file, char *base, uint64_t size, witx_slot *slots, Transfer *transfer)
{
    struct iovec parts[BUFFERS];
    uint32_t result = slots[4].u32, count;
    int64_t offset = slots[3].s64;
    if (!file || !has(file, WASI_PREVIEW1_RIGHTS_FD_SEEK) || offset < 0 || !fits(size, result, 4, 4) ||
        !(count = buffers(base, size, slots[1].u32, slots[2].u32, parts)))
        return NOTHING_DONE;
    ssize_t moved = transfer(file, parts, count, offset);
    if (moved < 0)
        return NOTHING_DONE;
    put_u32(base, result, (uint32_t)moved);
    return success(slots);
}

int plain_fd_read(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    return move_here(open_of(calls, slots[0].u32, WASI_PREVIEW1_RIGHTS_FD_READ), base, size, slots, read_here);
}

int plain_fd_write(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    return move_here(open_of(calls, slots[0].u32, WASI_PREVIEW1_RIGHTS_FD_WRITE), base, size, slots, write_here);
}

int plain_fd_pread(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    return move_there(file_of(calls, slots[0].u32, WASI_PREVIEW1_RIGHTS_FD_READ), base, size, slots, read_at);
}

int plain_fd_pwrite(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    return move_there(file_of(calls, slots[0].u32, WASI_PREVIEW1_RIGHTS_FD_WRITE), base, size, slots, write_at);
}

/* -- position and attributes -------------------------------------------------------------------------------------- */

/* fd, offset, whence, result */
int plain_fd_seek(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
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
int plain_fd_tell(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    PlainFile *file = file_of(calls, slots[0].u32, 0);
    uint32_t result = slots[1].u32;
    if (!file || !has(file, WASI_PREVIEW1_RIGHTS_FD_SEEK | WASI_PREVIEW1_RIGHTS_FD_TELL) || fd_of(file) < 0 ||
        !fits(size, result, 8, 8))
        return NOTHING_DONE;
    put_u64(base, result, (uint64_t)position_of(file));
    return success(slots);
}

/* fd, result */
int plain_fd_fdstat_get(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    PlainFile *file = open_of(calls, slots[0].u32, 0);
    uint32_t result = slots[1].u32;
    if (!file || fd_of(file) < 0 || !fits(size, result, WASI_PREVIEW1_FDSTAT_SIZEOF, WASI_PREVIEW1_FDSTAT_ALIGNOF))
        return NOTHING_DONE;
    uint32_t flags = atomic_load_explicit(&file->flags, memory_order_relaxed);
    if (flags == PLAIN_CHANGING)
        return NOTHING_DONE;
    char fdstat[WASI_PREVIEW1_FDSTAT_SIZEOF] = {0}; /* a file passes no rights on */
    fdstat[WASI_PREVIEW1_FDSTAT_FS_FILETYPE_AT] = (char)filetype_of(file);
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

int plain_put_filestat(char *base, uint32_t result, uint32_t filetype, const struct stat *about)
{
    int64_t atim = timestamp(TIME(*about, a)), mtim = timestamp(TIME(*about, m)), ctim = timestamp(TIME(*about, c));
    if (about->st_size < 0 || atim < 0 || mtim < 0 || ctim < 0)
        return NOTHING_DONE;
    char filestat[WASI_PREVIEW1_FILESTAT_SIZEOF] = {0};
    filestat[WASI_PREVIEW1_FILESTAT_FILETYPE_AT] = (char)filetype;
    put_u64(filestat, WASI_PREVIEW1_FILESTAT_DEV_AT, (uint64_t)about->st_dev);
    put_u64(filestat, WASI_PREVIEW1_FILESTAT_INO_AT, (uint64_t)about->st_ino);
    put_u64(filestat, WASI_PREVIEW1_FILESTAT_NLINK_AT, (uint64_t)about->st_nlink);
    put_u64(filestat, WASI_PREVIEW1_FILESTAT_SIZE_AT, (uint64_t)about->st_size);
    put_u64(filestat, WASI_PREVIEW1_FILESTAT_ATIM_AT, (uint64_t)atim);
    put_u64(filestat, WASI_PREVIEW1_FILESTAT_MTIM_AT, (uint64_t)mtim);
    put_u64(filestat, WASI_PREVIEW1_FILESTAT_CTIM_AT, (uint64_t)ctim);
    memcpy(base + result, filestat, WASI_PREVIEW1_FILESTAT_SIZEOF);
    return DONE;
}

/* fd, result */
int plain_fd_filestat_get(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    PlainFile *file = file_of(calls, slots[0].u32, WASI_PREVIEW1_RIGHTS_FD_FILESTAT_GET);
    uint32_t result = slots[1].u32;
    struct stat about;
    if (!file || !fits(size, result, WASI_PREVIEW1_FILESTAT_SIZEOF, WASI_PREVIEW1_FILESTAT_ALIGNOF) ||
        fstat(fd_of(file), &about) != 0)
        return NOTHING_DONE;
    if (!S_ISREG(about.st_mode) || !plain_put_filestat(base, result, WASI_PREVIEW1_FILETYPE_REGULAR_FILE, &about))
        return NOTHING_DONE;
    return success(slots);
}
