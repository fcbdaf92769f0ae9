/* The plain case of a guest's calls about paths, and of closing: done in C with the GIL held.
 *
 * Rules of `quick*.c`: as those of plain.h, but these use the descriptors and the table of the Python handlers as they
 * are, so they need the GIL. A function does the whole call and returns 1, with errno 0 in slots[0]; or it has done
 * nothing that can be seen and returns 0; or it returns -1 with an exception set, which a handler would have raised.
 * Every errno, every policy and every rare case is in the Python handlers. Where a path leads is decided as in
 * opening.c: a single name that is not followed, or openat2(2) beneath the directory; a call that acts on an entry gets
 * one name that was proven single. No guest memory is read or written before it was compared with `size`.
 *
 * A new descriptor of the host is in no variable of Python's before the table has it, and no Python code runs between
 * the two; where Python has to run, the descriptor is in a list that is emptied or closed afterwards.
 */
#ifndef WASIHOST_QUICK_H
#define WASIHOST_QUICK_H

#include "syscalls.h"
#include "plain_memory.h"

enum { QUICK_PATH = 4096 }; /* PATH_MAX of Linux, with the zero at the end: longer paths are left to Python */

/* `host` is the guest's `wasihost.host.functions.Host`. */
typedef int QuickFunction(PyObject *host, char *base, uint64_t size, witx_slot *slots);

typedef struct {
    const char *name;
    QuickFunction *function;
} QuickEntry;

extern const QuickEntry quick_functions[];
extern const uint32_t quick_function_count;

/* The function that may be used for a guest's import, or NULL. `calls` is a PlainCalls or None. */
QuickFunction *wasihost_quick_function(PyObject *calls, const char *module, const char *name);

/* -- quick.c ------------------------------------------------------------------------------------------------------ */

/* What Python has told us once: see `set_quick`. */
typedef struct {
    PyTypeObject *directories[2]; /* HostDirectory and the class of preopens */
    PyTypeObject *file;           /* SharedFile */
    PyObject *resolving;          /* the namespace of `wasihost.sandbox.resolve`, whose `strategy` is the one in use */
    PyObject *by_openat2;         /* the strategy that is plain */
    PyObject *reserve;            /* of this process' descriptors */
    PyObject *adopt;              /* puts a descriptor of any kind into the table: see `wasihost/host/plain.py` */
    PyObject *pop, *push;         /* of `heapq` */
    PyObject *no_flags;           /* Fdflags(0) */
    PyObject *rights[4];          /* of a regular file, by whether reading (1) and writing (2) was requested */
    unsigned sealed;              /* the mode of a compiled module in the cache */
    unsigned long long all_rights;
} Quick;

extern Quick quick;

/* Attributes of the objects of Python's. */
typedef enum {
    Q_BOUNDS,
    Q_FD,
    Q_FLAGS,
    Q_FREED,
    Q_GIVEN_UP,
    Q_HIGH,
    Q_INHERITING,
    Q_KNOWN,
    Q_MAX_PATH,
    Q_NEXT,
    Q_OPEN,
    Q_LIMIT,
    Q_PLAIN,
    Q_PREOPEN,
    Q_READ_ONLY,
    Q_RIGHTS,
    Q_SHARED,
    Q_TABLE,
    Q_TIGHT,
    Q_NAMES
} QuickName;

extern PyObject *quick_names[Q_NAMES];

static inline PyObject *quick_get(PyObject *object, QuickName name)
{
    return PyObject_GetAttr(object, quick_names[name]);
}

/* Read a number that is not negative. Returns false with an exception set, if it is no such number. */
bool quick_number(PyObject *object, QuickName name, uint64_t *number);

/* 1 or 0 for a truth value, -1 with an exception. */
int quick_truth(PyObject *object, QuickName name);

/* The end of a function that has done nothing: 0, and no exception of its own. */
int quick_leave(void);

/* A directory of the host that is open in the guest. Everything is borrowed but `object`. */
typedef struct {
    PyObject *object; /* owned */
    PyObject *bounds; /* owned */
    int fd;
    int resolve; /* as in Place */
    uint64_t inheriting;
    uint64_t rights;
    bool read_only;
} QuickDirectory;

/* Find a directory by its number. Returns 1; 0 if it is none that is plain, or lacks one of `rights`. */
int quick_directory(PyObject *open, uint32_t number, uint64_t rights, QuickDirectory *directory);
void quick_release(QuickDirectory *directory);

/* Whether a device may be reached: 1, 0, or -1 with an exception. */
int quick_is_known(const QuickDirectory *directory, dev_t device);

/* A path of the guest's, copied. */
typedef struct {
    char text[QUICK_PATH];
    uint32_t length;
    char *name; /* the last component, in `text` */
} QuickPath;

/* Copy a path from the guest's memory. Returns 0 if it is not plain: also for a slash at either end. */
int quick_path(PyObject *host, const char *base, uint64_t size, uint32_t at, uint32_t length, QuickPath *path);

/* -- quick_files.c, quick_paths.c, quick_preopens.c -----------------------------------------------------------------
 */

QuickFunction quick_path_open, quick_fd_close, quick_fd_fdstat_get, quick_path_filestat_get,
    quick_path_create_directory, quick_path_remove_directory, quick_path_unlink_file, quick_path_rename,
    quick_fd_prestat_get, quick_fd_prestat_dir_name;

#endif
