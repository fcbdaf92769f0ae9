/* Makes the calls that its standard input asks for, each with the numbers given, and tells what they did to memory.
 *
 * Input: one `struct record` per call, followed by `size` bytes, a multiple of 8, that are put at ARENA before the call.
 * Whoever writes it knows the address: paths, buffers and their arrays are in those bytes, surrounded by sentinels.
 * Output, after each call: the errno, then each run of bytes that changed (offset from ARENA, length, the bytes), then
 * END. All numbers are little-endian, 32 bits, but for `args`. A function that is not in the list ends the program
 * with status 1, input that does not fit with status 2.
 *
 * The descriptors that `path_open` gives are kept, in slots. An argument whose upper half is SLOT is replaced by the
 * descriptor in the slot that its lower half names, and so is one of at least SLOT_IN_MEMORY in a subscription.
 *
 * No libc between the calls and the host: what goes in and comes out is what the host sees and writes.
 */

#include <stdint.h>
#include <string.h>

#define ARENA ((uint8_t *)0x100000)
#define SCRIPT ((uint8_t *)0x200000)
#define REPORT ((uint8_t *)0x400000)
#define TOP 0x500000

enum { END = -1, PAGE = 0x10000, SLOT = 0x534C4F54, SLOT_IN_MEMORY = 0x100000, SLOTS = 64, NONE = 99 };

struct record {
    char name[28];
    uint32_t size;
    uint64_t args[9];
};

/* One row per function: its name, its parameters as core wasm has them, and where they come from. */
#define I(n) ((int32_t)args[n])
#define L(n) ((int64_t)args[n])
#define FUNCTIONS(F)                                                                                         \
    F(fd_advise, (int32_t, int64_t, int64_t, int32_t), (I(0), L(1), L(2), I(3)))                             \
    F(fd_allocate, (int32_t, int64_t, int64_t), (I(0), L(1), L(2)))                                          \
    F(fd_close, (int32_t), (I(0)))                                                                           \
    F(fd_datasync, (int32_t), (I(0)))                                                                        \
    F(fd_fdstat_get, (int32_t, int32_t), (I(0), I(1)))                                                       \
    F(fd_fdstat_set_flags, (int32_t, int32_t), (I(0), I(1)))                                                 \
    F(fd_fdstat_set_rights, (int32_t, int64_t, int64_t), (I(0), L(1), L(2)))                                 \
    F(fd_filestat_get, (int32_t, int32_t), (I(0), I(1)))                                                     \
    F(fd_filestat_set_size, (int32_t, int64_t), (I(0), L(1)))                                                \
    F(fd_filestat_set_times, (int32_t, int64_t, int64_t, int32_t), (I(0), L(1), L(2), I(3)))                 \
    F(fd_pread, (int32_t, int32_t, int32_t, int64_t, int32_t), (I(0), I(1), I(2), L(3), I(4)))               \
    F(fd_prestat_get, (int32_t, int32_t), (I(0), I(1)))                                                      \
    F(fd_prestat_dir_name, (int32_t, int32_t, int32_t), (I(0), I(1), I(2)))                                  \
    F(fd_pwrite, (int32_t, int32_t, int32_t, int64_t, int32_t), (I(0), I(1), I(2), L(3), I(4)))              \
    F(fd_read, (int32_t, int32_t, int32_t, int32_t), (I(0), I(1), I(2), I(3)))                               \
    F(fd_readdir, (int32_t, int32_t, int32_t, int64_t, int32_t), (I(0), I(1), I(2), L(3), I(4)))             \
    F(fd_renumber, (int32_t, int32_t), (I(0), I(1)))                                                         \
    F(fd_seek, (int32_t, int64_t, int32_t, int32_t), (I(0), L(1), I(2), I(3)))                               \
    F(fd_sync, (int32_t), (I(0)))                                                                            \
    F(fd_tell, (int32_t, int32_t), (I(0), I(1)))                                                             \
    F(fd_write, (int32_t, int32_t, int32_t, int32_t), (I(0), I(1), I(2), I(3)))                              \
    F(path_create_directory, (int32_t, int32_t, int32_t), (I(0), I(1), I(2)))                                \
    F(path_filestat_get, (int32_t, int32_t, int32_t, int32_t, int32_t), (I(0), I(1), I(2), I(3), I(4)))      \
    F(path_filestat_set_times, (int32_t, int32_t, int32_t, int32_t, int64_t, int64_t, int32_t),              \
      (I(0), I(1), I(2), I(3), L(4), L(5), I(6)))                                                            \
    F(path_link, (int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t),                            \
      (I(0), I(1), I(2), I(3), I(4), I(5), I(6)))                                                            \
    F(path_open, (int32_t, int32_t, int32_t, int32_t, int32_t, int64_t, int64_t, int32_t, int32_t),          \
      (I(0), I(1), I(2), I(3), I(4), L(5), L(6), I(7), I(8)))                                                \
    F(path_readlink, (int32_t, int32_t, int32_t, int32_t, int32_t, int32_t),                                 \
      (I(0), I(1), I(2), I(3), I(4), I(5)))                                                                  \
    F(path_remove_directory, (int32_t, int32_t, int32_t), (I(0), I(1), I(2)))                                \
    F(path_rename, (int32_t, int32_t, int32_t, int32_t, int32_t, int32_t),                                   \
      (I(0), I(1), I(2), I(3), I(4), I(5)))                                                                  \
    F(path_symlink, (int32_t, int32_t, int32_t, int32_t, int32_t), (I(0), I(1), I(2), I(3), I(4)))           \
    F(path_unlink_file, (int32_t, int32_t, int32_t), (I(0), I(1), I(2)))                                     \
    F(poll_oneoff, (int32_t, int32_t, int32_t, int32_t), (I(0), I(1), I(2), I(3)))

#define DECLARE(name, types, values) \
    __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) int32_t wasi_##name types;
FUNCTIONS(DECLARE)

__attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_exit"), noreturn)) void leave(int32_t);

static int32_t call(const char *name, const uint64_t *args) {
#define CALL(row, types, values) \
    if (!strcmp(name, #row)) return wasi_##row values;
    FUNCTIONS(CALL)
    leave(1);
}

static uint32_t slots[SLOTS], opened;

static uint32_t in_slot(uint32_t number) { return number < opened ? slots[number] : NONE; }

/* The arguments of a call, with the descriptors that they mean. */
static void resolve(const struct record *next, uint64_t *args) {
    for (int i = 0; i < 9; i++) args[i] = next->args[i] >> 32 == SLOT ? in_slot((uint32_t)next->args[i]) : next->args[i];
    if (strcmp(next->name, "poll_oneoff")) return;
    for (uint32_t i = 0; i < args[2]; i++) {
        uint8_t *subscription = (uint8_t *)(uint32_t)args[0] + 48 * i;
        uint32_t *fd = (uint32_t *)(subscription + 16);
        if (subscription[8] && *fd >= SLOT_IN_MEMORY) *fd = in_slot(*fd - SLOT_IN_MEMORY);
    }
}

/* What a slot names after a call: its descriptor may have been closed, or have moved to another number. */
static void keep(const struct record *next, const uint64_t *args, int32_t error) {
    if (error) return;
    if (opened < SLOTS && !strcmp(next->name, "path_open")) slots[opened++] = *(uint32_t *)(uint32_t)args[8];
    int renumbers = !strcmp(next->name, "fd_renumber");
    if (!renumbers && strcmp(next->name, "fd_close")) return;
    for (uint32_t i = 0; i < opened; i++)
        if (slots[i] == (uint32_t)args[0]) slots[i] = renumbers ? (uint32_t)args[1] : NONE;
}

static uint8_t *put(uint8_t *at, uint32_t number) {
    memcpy(at, &number, sizeof number);
    return at + sizeof number;
}

/* Every byte of one stream, through `fd_read` or `fd_write`: how many there were before it ended. */
static uint32_t transfer(int32_t (*how)(int32_t, int32_t, int32_t, int32_t), int32_t fd, uint8_t *at, uint32_t size) {
    uint32_t done = 0, step = 1;
    while (step && done < size) {
        uint32_t vector[2] = {(uint32_t)(at + done), size - done};
        if (how(fd, (int32_t)vector, 1, (int32_t)&step)) break;
        done += step;
    }
    return done;
}

static void report(int32_t error, const uint8_t *before, uint32_t size) {
    uint8_t *at = put(REPORT, (uint32_t)error);
    for (uint32_t i = 0; i < size; i++) {
        uint32_t from = i;
        while (i < size && ARENA[i] != before[i]) i++;
        if (i == from) continue;
        at = put(put(at, from), i - from);
        memcpy(at, ARENA + from, i - from);
        at += i - from;
    }
    at = put(at, (uint32_t)END);
    transfer(wasi_fd_write, 1, REPORT, (uint32_t)(at - REPORT));
}

int main(void) {
    __builtin_wasm_memory_grow(0, TOP / PAGE - __builtin_wasm_memory_size(0));
    uint32_t size = transfer(wasi_fd_read, 0, SCRIPT, (uint32_t)(REPORT - SCRIPT));
    if (size == (uint32_t)(REPORT - SCRIPT)) leave(2);
    for (uint8_t *at = SCRIPT; at < SCRIPT + size;) {
        const struct record *next = (const struct record *)at;
        const uint8_t *image = at + sizeof *next;
        if (next->size > (uint32_t)(SCRIPT - ARENA)) leave(2);
        memcpy(ARENA, image, next->size);
        uint64_t args[9];
        resolve(next, args);
        int32_t error = call(next->name, args);
        keep(next, args, error);
        report(error, image, next->size);
        at += sizeof *next + next->size;
    }
    return 0;
}
