/* What the files with plain functions share: access to guest memory and to open files, and their names. */
#ifndef WASIHOST_PLAIN_MEMORY_H
#define WASIHOST_PLAIN_MEMORY_H

#include "plain.h"
#include "abi.h"

#include <string.h>

#define DONE 1
#define NOTHING_DONE 0

/* Larger amounts are moved in pieces of this size by the Python handlers, with a look at the deadline between two. */
#define PIECE (1u << 20)

#define NS 1000000000u

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

struct stat;

/* Writes the spec's record of a file. Returns 0 for numbers that do not fit, and are left to Python. */
int plain_put_filestat(char *base, uint32_t result, uint32_t filetype, const struct stat *about);

static inline int success(witx_slot *slots)
{
    slots[0].u32 = 0;
    return DONE;
}

/* The open file or stream with this number if it is one of ours and has all of `rights`, else NULL. */
static inline PlainFile *open_of(PlainCalls *calls, uint32_t number, uint64_t rights)
{
    PlainTable *table = atomic_load_explicit(&calls->table, memory_order_acquire);
    if (table == NULL || number >= table->count)
        return NULL;
    PlainFile *file = atomic_load_explicit(&table->files[number], memory_order_acquire);
    if (file == NULL || (atomic_load_explicit(&file->rights, memory_order_relaxed) & rights) != rights)
        return NULL;
    return file;
}

static inline int fd_of(PlainFile *file)
{
    return atomic_load_explicit(&file->fd, memory_order_relaxed);
}

static inline uint32_t filetype_of(PlainFile *file)
{
    return atomic_load_explicit(&file->filetype, memory_order_relaxed);
}

static inline int is_regular(PlainFile *file)
{
    return filetype_of(file) == WASI_PREVIEW1_FILETYPE_REGULAR_FILE;
}

PlainFunction plain_fd_read, plain_fd_write, plain_fd_pread, plain_fd_pwrite, plain_fd_seek, plain_fd_tell,
    plain_fd_fdstat_get, plain_fd_filestat_get, plain_poll_oneoff, plain_args_get, plain_args_sizes_get,
    plain_environ_get, plain_environ_sizes_get;

#endif
