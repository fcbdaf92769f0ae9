/* What the files with plain functions share: access to guest memory, and their names. */
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

static inline int success(witx_slot *slots)
{
    slots[0].u32 = 0;
    return DONE;
}

PlainFunction plain_fd_read, plain_fd_write, plain_fd_pread, plain_fd_pwrite, plain_fd_seek, plain_fd_tell,
    plain_fd_fdstat_get, plain_fd_filestat_get;

#endif
