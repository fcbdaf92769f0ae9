/* Every function of wasi_snapshot_preview1 but proc_exit, once each as a program would usually call it: times one call,
 * as bench.h says.
 *
 * functions BUDGET_MS NAME,NAME,...
 *
 * Descriptor 3 is a folder with `data` (FILE_SIZE bytes) and `a/b/c/leaf`; reads and writes are of SIZE bytes. What a
 * call needs or leaves behind (descriptors, files, bytes in a socket) is made and removed in batches that are not
 * timed. A listening socket with CLIENTS connections to accept and a connected pair may follow descriptor 3. One line
 * per function: its name and the ns of a call; the name alone if the host does not have it (NOSYS, NOTSUP), or no
 * socket for it.
 */

#include "bench.h"

/* Which wasi-libc has not declared for years. */
__attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_raise"))) extern uint16_t
proc_raise_(uint8_t signal);

enum { FILE_SIZE = 1 << 20, SIZE = 4096, BATCH = 128, CLIENTS = 64, MESSAGE = 64, CHLD = 16 };

static _Alignas(4096) uint8_t buffer[FILE_SIZE];
static __wasi_fd_t file, folder, listener, pair[2];
static __wasi_fd_t opened[BATCH];
static char names[BATCH][16];

static const __wasi_rights_t RIGHTS = __WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_WRITE | __WASI_RIGHTS_FD_SEEK |
                                      __WASI_RIGHTS_FD_TELL | __WASI_RIGHTS_FD_SYNC | __WASI_RIGHTS_FD_DATASYNC |
                                      __WASI_RIGHTS_FD_ADVISE | __WASI_RIGHTS_FD_ALLOCATE |
                                      __WASI_RIGHTS_FD_FDSTAT_SET_FLAGS | __WASI_RIGHTS_FD_FILESTAT_GET |
                                      __WASI_RIGHTS_FD_FILESTAT_SET_SIZE | __WASI_RIGHTS_FD_FILESTAT_SET_TIMES;

/* -- functions that can be called again and again -- */

static __wasi_iovec_t into = {buffer, SIZE};
static __wasi_ciovec_t from = {buffer, SIZE};
static __wasi_size_t count, size;
static __wasi_filesize_t at;
static __wasi_timestamp_t timestamp;
static __wasi_fdstat_t fdstat;
static __wasi_filestat_t filestat;
static __wasi_prestat_t prestat;
static __wasi_subscription_t subscription;
static __wasi_event_t event;
static uint8_t *vector[256];

#define AGAIN(name, call)                                                                                              \
    static __wasi_errno_t name(void) { return call; }

AGAIN(args_get, __wasi_args_get(vector, buffer))
AGAIN(args_sizes_get, __wasi_args_sizes_get(&count, &size))
AGAIN(environ_get, __wasi_environ_get(vector, buffer))
AGAIN(environ_sizes_get, __wasi_environ_sizes_get(&count, &size))
AGAIN(clock_res_get, __wasi_clock_res_get(__WASI_CLOCKID_MONOTONIC, &timestamp))
AGAIN(clock_time_get, __wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &timestamp))
AGAIN(fd_advise, __wasi_fd_advise(file, 0, SIZE, __WASI_ADVICE_NORMAL))
AGAIN(fd_allocate, __wasi_fd_allocate(file, 0, SIZE))
AGAIN(fd_datasync, __wasi_fd_datasync(file))
AGAIN(fd_fdstat_get, __wasi_fd_fdstat_get(file, &fdstat))
AGAIN(fd_fdstat_set_flags, __wasi_fd_fdstat_set_flags(file, 0))
AGAIN(fd_fdstat_set_rights, __wasi_fd_fdstat_set_rights(file, fdstat.fs_rights_base, fdstat.fs_rights_inheriting))
AGAIN(fd_filestat_get, __wasi_fd_filestat_get(file, &filestat))
AGAIN(fd_filestat_set_size, __wasi_fd_filestat_set_size(file, FILE_SIZE))
AGAIN(fd_filestat_set_times, __wasi_fd_filestat_set_times(file, 0, 1, __WASI_FSTFLAGS_MTIM))
AGAIN(fd_pread, __wasi_fd_pread(file, &into, 1, 0, &size))
AGAIN(fd_prestat_get, __wasi_fd_prestat_get(TOP, &prestat))
AGAIN(fd_prestat_dir_name, __wasi_fd_prestat_dir_name(TOP, buffer, prestat.u.dir.pr_name_len))
AGAIN(fd_pwrite, __wasi_fd_pwrite(file, &from, 1, 0, &size))
AGAIN(fd_readdir, __wasi_fd_readdir(folder, buffer, SIZE, __WASI_DIRCOOKIE_START, &size))
AGAIN(fd_seek, __wasi_fd_seek(file, 0, __WASI_WHENCE_SET, &at))
AGAIN(fd_sync, __wasi_fd_sync(file))
AGAIN(fd_tell, __wasi_fd_tell(file, &at))
AGAIN(path_filestat_get, __wasi_path_filestat_get(TOP, 0, "data", &filestat))
AGAIN(path_filestat_set_times, __wasi_path_filestat_set_times(TOP, 0, "data", 0, 1, __WASI_FSTFLAGS_MTIM))
AGAIN(path_readlink, __wasi_path_readlink(TOP, "link", buffer, SIZE, &size))
AGAIN(poll_oneoff, __wasi_poll_oneoff(&subscription, &event, 1, &size))
AGAIN(proc_raise, proc_raise_(CHLD)) /* which is ignored by default */
AGAIN(random_get, __wasi_random_get(buffer, 16))
AGAIN(sched_yield, __wasi_sched_yield())
AGAIN(sock_shutdown, __wasi_sock_shutdown(pair[1], __WASI_SDFLAGS_RD))

/* Go back to the start of the file before it ends: one seek for every FILE_SIZE / SIZE calls. */
static __wasi_errno_t fd_read(void) {
    static uint32_t left;
    if (!left--) check(__wasi_fd_seek(file, 0, __WASI_WHENCE_SET, &at)), left = FILE_SIZE / SIZE - 1;
    return __wasi_fd_read(file, &into, 1, &size);
}

static __wasi_errno_t fd_write(void) {
    static uint32_t left;
    if (!left--) check(__wasi_fd_seek(file, 0, __WASI_WHENCE_SET, &at)), left = FILE_SIZE / SIZE - 1;
    return __wasi_fd_write(file, &from, 1, &size);
}

static __wasi_errno_t path_rename(void) {
    static int turn;
    const char *ends[] = {"moved-a", "moved-b"};
    turn = !turn;
    return __wasi_path_rename(TOP, ends[!turn], TOP, ends[turn]);
}

/* -- functions of which each call needs something of its own: `before` and `after` a batch are not timed -- */

static __wasi_errno_t open_one(uint32_t i) {
    return __wasi_path_open(TOP, 0, "data", 0, __WASI_RIGHTS_FD_READ, 0, 0, &opened[i]);
}
static __wasi_errno_t close_one(uint32_t i) { return __wasi_fd_close(opened[i]); }
static __wasi_errno_t make_file(uint32_t i) {
    __wasi_fd_t made;
    check(__wasi_path_open(TOP, 0, names[i], __WASI_OFLAGS_CREAT, __WASI_RIGHTS_FD_READ, 0, 0, &made));
    return __wasi_fd_close(made);
}
static __wasi_errno_t unlink_one(uint32_t i) { return __wasi_path_unlink_file(TOP, names[i]); }
static __wasi_errno_t make_folder(uint32_t i) { return __wasi_path_create_directory(TOP, names[i]); }
static __wasi_errno_t remove_folder(uint32_t i) { return __wasi_path_remove_directory(TOP, names[i]); }
static __wasi_errno_t link_one(uint32_t i) { return __wasi_path_link(TOP, 0, "data", TOP, names[i]); }
static __wasi_errno_t symlink_one(uint32_t i) { return __wasi_path_symlink("data", TOP, names[i]); }
/* Onto a descriptor that stays: the one that was opened is gone then. */
static __wasi_errno_t renumber(uint32_t i) { return __wasi_fd_renumber(opened[i], folder); }

static __wasi_errno_t send_one(uint32_t i) {
    __wasi_ciovec_t part = {buffer, MESSAGE};
    (void)i;
    return __wasi_sock_send(pair[0], &part, 1, 0, &size);
}
static __wasi_errno_t receive_one(uint32_t i) {
    __wasi_iovec_t part = {buffer, MESSAGE};
    __wasi_roflags_t flags;
    (void)i;
    return __wasi_sock_recv(pair[1], &part, 1, 0, &size, &flags);
}

typedef __wasi_errno_t step(uint32_t i);

static const struct {
    const char *name;
    __wasi_errno_t (*again)(void); /* or these three: */
    step *before, *one, *after;
    const __wasi_fd_t *socket; /* what it needs, if anything */
} functions[] = {
    {"args_get", args_get, 0, 0, 0, 0},
    {"args_sizes_get", args_sizes_get, 0, 0, 0, 0},
    {"environ_get", environ_get, 0, 0, 0, 0},
    {"environ_sizes_get", environ_sizes_get, 0, 0, 0, 0},
    {"clock_res_get", clock_res_get, 0, 0, 0, 0},
    {"clock_time_get", clock_time_get, 0, 0, 0, 0},
    {"fd_advise", fd_advise, 0, 0, 0, 0},
    {"fd_allocate", fd_allocate, 0, 0, 0, 0},
    {"fd_close", 0, open_one, close_one, 0, 0},
    {"fd_datasync", fd_datasync, 0, 0, 0, 0},
    {"fd_fdstat_get", fd_fdstat_get, 0, 0, 0, 0},
    {"fd_fdstat_set_flags", fd_fdstat_set_flags, 0, 0, 0, 0},
    {"fd_fdstat_set_rights", fd_fdstat_set_rights, 0, 0, 0, 0},
    {"fd_filestat_get", fd_filestat_get, 0, 0, 0, 0},
    {"fd_filestat_set_size", fd_filestat_set_size, 0, 0, 0, 0},
    {"fd_filestat_set_times", fd_filestat_set_times, 0, 0, 0, 0},
    {"fd_pread", fd_pread, 0, 0, 0, 0},
    {"fd_prestat_get", fd_prestat_get, 0, 0, 0, 0},
    {"fd_prestat_dir_name", fd_prestat_dir_name, 0, 0, 0, 0},
    {"fd_pwrite", fd_pwrite, 0, 0, 0, 0},
    {"fd_read", fd_read, 0, 0, 0, 0},
    {"fd_readdir", fd_readdir, 0, 0, 0, 0},
    {"fd_renumber", 0, open_one, renumber, 0, 0},
    {"fd_seek", fd_seek, 0, 0, 0, 0},
    {"fd_sync", fd_sync, 0, 0, 0, 0},
    {"fd_tell", fd_tell, 0, 0, 0, 0},
    {"fd_write", fd_write, 0, 0, 0, 0},
    {"path_create_directory", 0, 0, make_folder, remove_folder, 0},
    {"path_filestat_get", path_filestat_get, 0, 0, 0, 0},
    {"path_filestat_set_times", path_filestat_set_times, 0, 0, 0, 0},
    {"path_link", 0, 0, link_one, unlink_one, 0},
    {"path_open", 0, 0, open_one, close_one, 0},
    {"path_readlink", path_readlink, 0, 0, 0, 0},
    {"path_remove_directory", 0, make_folder, remove_folder, 0, 0},
    {"path_rename", path_rename, 0, 0, 0, 0},
    {"path_symlink", 0, 0, symlink_one, unlink_one, 0},
    {"path_unlink_file", 0, make_file, unlink_one, 0, 0},
    {"poll_oneoff", poll_oneoff, 0, 0, 0, 0},
    {"proc_raise", proc_raise, 0, 0, 0, 0},
    {"random_get", random_get, 0, 0, 0, 0},
    {"sched_yield", sched_yield, 0, 0, 0, 0},
    {"sock_recv", 0, send_one, receive_one, 0, &pair[0]},
    {"sock_send", 0, 0, send_one, receive_one, &pair[0]},
    {"sock_shutdown", sock_shutdown, 0, 0, 0, &pair[0]},
};

static uint32_t run_one(uint32_t n, uint32_t index) {
    for (uint32_t i = 0; i < n && functions[index].again; i++) check(functions[index].again());
    for (uint32_t done = 0, batch; done < n && !functions[index].again; done += batch) {
        batch = n - done < BATCH ? n - done : BATCH;
        uint64_t start = now();
        for (uint32_t i = 0; i < batch && functions[index].before; i++) check(functions[index].before(i));
        uint64_t begin = now();
        for (uint32_t i = 0; i < batch; i++) check(functions[index].one(i));
        uint64_t end = now();
        for (uint32_t i = 0; i < batch && functions[index].after; i++) check(functions[index].after(i));
        untimed += begin - start + now() - end;
    }
    return n;
}

/* Whether the host has the function; it has been called once then. */
static int can(uint32_t index) {
    if (functions[index].socket && !*functions[index].socket) return 0;
    if (functions[index].before) check(functions[index].before(0));
    __wasi_errno_t error = functions[index].again ? functions[index].again() : functions[index].one(0);
    if (error == __WASI_ERRNO_NOSYS || error == __WASI_ERRNO_NOTSUP) return 0;
    check(error);
    if (functions[index].after) check(functions[index].after(0));
    return 1;
}

/* All connections that wait, once. */
static double accept_all(void) {
    uint64_t start = now();
    for (uint32_t i = 0; i < CLIENTS; i++) check(__wasi_sock_accept(listener, 0, &opened[i]));
    uint64_t took = now() - start;
    for (uint32_t i = 0; i < CLIENTS; i++) check(__wasi_fd_close(opened[i]));
    return (double)took / CLIENTS;
}

static void find_sockets(void) {
    __wasi_fdstat_t found;
    if (__wasi_fd_fdstat_get(TOP + 1, &found) || found.fs_filetype != __WASI_FILETYPE_SOCKET_STREAM) return;
    listener = TOP + 1;
    pair[0] = TOP + 2;
    pair[1] = TOP + 3;
}

int main(int argc, char **argv) {
    if (argc != 3) fail("arguments", argc);
    uint64_t budget = strtoull(argv[1], NULL, 10) * MILLISECOND;
    find_sockets();
    file = open_at("data", 0, RIGHTS);
    folder = open_at("a", __WASI_OFLAGS_DIRECTORY, __WASI_RIGHTS_FD_READDIR);
    for (unsigned i = 0; i < BATCH; i++) snprintf(names[i], sizeof names[i], "new-%03u", i);
    (void)__wasi_path_symlink("data", TOP, "link");
    check(__wasi_fd_close(open_at("moved-a", __WASI_OFLAGS_CREAT, __WASI_RIGHTS_FD_READ)));
    check(__wasi_fd_prestat_get(TOP, &prestat));
    check(__wasi_fd_fdstat_get(file, &fdstat));
    subscription = (__wasi_subscription_t){.u.tag = __WASI_EVENTTYPE_FD_WRITE};
    subscription.u.u.fd_write.file_descriptor = 1;
    for (char *name = strtok(argv[2], ","); name; name = strtok(NULL, ",")) {
        uint32_t index = 0, known = sizeof functions / sizeof *functions;
        current = name;
        if (!strcmp(name, "sock_accept")) {
            listener ? printf("%s %.3f\n", name, accept_all()) : printf("%s\n", name);
            continue;
        }
        while (index < known && strcmp(name, functions[index].name)) index++;
        if (index == known) fail("functions of this name:", 0);
        can(index) ? printf("%s %.3f\n", name, best_of(run_one, index, budget)) : printf("%s\n", name);
    }
    return 0;
}
