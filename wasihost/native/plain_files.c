/* The plain calls on open regular files: see plain.h for the rules. Nothing here needs the GIL. */
#include "plain_memory.h"

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
    return move_here(file_of(calls, slots[0].u32, WASI_PREVIEW1_RIGHTS_FD_READ), base, size, slots, read_at);
}

int plain_fd_write(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    return move_here(file_of(calls, slots[0].u32, WASI_PREVIEW1_RIGHTS_FD_WRITE), base, size, slots, write_at);
}

int plain_fd_pread(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    return move_there(file_of(calls, slots[0].u32, WASI_PREVIEW1_RIGHTS_FD_READ), base, size, slots, read_at);
}

int plain_fd_pwrite(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    return move_there(file_of(calls, slots[0].u32, WASI_PREVIEW1_RIGHTS_FD_WRITE), base, size, slots, write_at);
}

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
    PlainFile *file = file_of(calls, slots[0].u32, WASI_PREVIEW1_RIGHTS_FD_SEEK | WASI_PREVIEW1_RIGHTS_FD_TELL);
    uint32_t result = slots[1].u32;
    if (!file || fd_of(file) < 0 || !fits(size, result, 8, 8))
        return NOTHING_DONE;
    put_u64(base, result, (uint64_t)position_of(file));
    return success(slots);
}

/* fd, result */
int plain_fd_fdstat_get(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
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
int plain_fd_filestat_get(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
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
