/* The plain case of a guest's calls, done without the GIL.
 *
 * Rules of `plain*.c`: a function does the whole call and returns 1, with errno 0 in slots[0]; or it has done nothing
 * that can be seen and returns 0, and the caller goes on as if it had not been asked. So every errno, every policy and
 * every rare case is written once, in the Python handlers. What a function reads and writes of the guest's memory is
 * checked against its size first; the memory's size and place are those that the caller passes.
 *
 * Which functions may be used for a guest is decided in `wasihost/host/plain.py`: not one that the embedder overrides
 * or observes.
 *
 * Threads. A function runs in the guest's own thread, without the GIL, while other threads run Python. The fields it
 * reads are atomic. `PlainCalls`, its tables and its files are freed with the PlainCalls only, which the run holds: a
 * thread of the embedder's that closes a descriptor of a running guest (which is not allowed, and is refused by
 * Instance) can make a call fail or reach another file of the same guest, as in Python, but cannot make it read freed
 * memory. All other fields belong to the guest's thread.
 */
#ifndef WASIHOST_PLAIN_H
#define WASIHOST_PLAIN_H

#include "native.h"
#include "witx.h"

#include <stdatomic.h>
#include <stdint.h>

/* What is known of an open file or stream of the host. `position` of a regular file is kept here alone; the rest is
 * copied from the descriptor at every change. */
typedef struct PlainFile {
    PyObject_HEAD _Atomic int fd; /* of the host; -1: closed */
    _Atomic uint32_t filetype;    /* the spec's: a regular file, or what is a stream here */
    _Atomic uint32_t flags;       /* the spec's fdflags; PLAIN_CHANGING while they change */
    _Atomic uint64_t rights;      /* the spec's rights */
    _Atomic int64_t position;     /* in bytes, not negative; 0 of a stream, whose position the host has */
    _Atomic int waits;            /* whether the system cannot read or write this stream without waiting */
    struct PlainFile *next_spare; /* in `PlainCalls.spare` */
    int is_spare;
} PlainFile;

#define PLAIN_CHANGING UINT32_MAX

/* The files by the guest's numbers. It never shrinks; a larger one replaces it. */
typedef struct PlainTable {
    uint32_t count;
    struct PlainTable *smaller; /* that this one replaced */
    _Atomic(PlainFile *) files[];
} PlainTable;

/* A clock of the system's, that a function of Python's `time` reads. */
typedef struct {
    PyObject *function;   /* NULL: the clock is not the system's */
    PyCFunction original; /* what `function` called when this was set: some libraries for tests exchange it */
    uint64_t resolution;  /* in ns */
} PlainClock;

enum { PLAIN_CLOCKS = 4, PLAIN_STOCK = 4096 };

/* Random bytes for one guest, of which those before `used` were used and are zeros. */
typedef struct {
    unsigned char *bytes; /* PLAIN_STOCK, or NULL before the first use */
    uint32_t filled, used;
    unsigned forks; /* how often the process had forked when it was filled */
} PlainStock;

/* Strings that the guest fetches: its arguments, or its environment. */
typedef struct {
    PyObject *strings; /* a tuple of bytes, which nothing changes; NULL: they are not plain */
    uint32_t count;
    uint32_t size; /* in bytes, with a NUL after each */
} PlainStrings;

/* The plain calls of one guest: Python type `_native.PlainCalls`. */
typedef struct PlainCalls {
    PyObject_HEAD _Atomic(PlainTable *) table;
    PlainFile *spare;       /* files that are in no table; used again */
    uint64_t enabled;       /* a bit for each function of `plain_functions`, then of `quick_functions` */
    PyObject *descriptors;  /* a list of closed `SharedFile`s, to be used again; NULL: none yet */
    int resolutions;        /* whether those of the clocks are known */
    uint64_t subscriptions; /* the most that one poll may have */
    PlainStrings arguments, environment;
    PlainClock clocks[PLAIN_CLOCKS];
    PlainStock stock;
} PlainCalls;

/* -- for the engine's door ---------------------------------------------------------------------------------------- */

/* One function of wasi_snapshot_preview1. `base` and `size` are the guest's memory, or the part of it that is known;
 * `slots` are the arguments, and get the errno. Needs no GIL. */
typedef int PlainFunction(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots);

/* The function that may be used for a guest's import, or NULL. `calls` is a PlainCalls or None. Needs the GIL. */
PlainFunction *wasihost_plain_function(PyObject *calls, const char *module, const char *name);

typedef struct {
    const char *name;
    PlainFunction *function;
} PlainEntry;

extern const PlainEntry plain_functions[];
extern const uint32_t plain_function_count;

/* -- plain_table.c ------------------------------------------------------------------------------------------------ */

extern PyTypeObject *plain_file_type; /* a heap type, made once */
PyTypeObject *plain_make_file_type(void);

/* Methods of PlainCalls. */
PyObject *plain_share(PyObject *self, PyObject *args);
PyObject *plain_put(PyObject *self, PyObject *args);
PyObject *plain_remove(PyObject *self, PyObject *number);

/* A closed descriptor that nothing else refers to, to be used again: a new reference, or NULL without an exception. */
PyObject *plain_take_spare(PlainCalls *calls);

/* Keeps a closed descriptor, which had this number, if only the caller refers to it and there are less than `most`. */
void plain_keep_spare(PlainCalls *calls, uint32_t number, PyObject *descriptor, Py_ssize_t most);

/* Makes the file that of a new descriptor of the host, and gives it a number. Returns -1 if it has none, for want of
 * memory. */
int plain_put_again(PlainCalls *calls, uint32_t number, PlainFile *file, int fd, uint64_t rights);

/* Frees the tables and the files of a PlainCalls that is being freed. */
void plain_table_free(PlainCalls *calls);

/* Frees an object of a heap type. */
void plain_free_object(PyObject *self);

/* -- plain_strings.c ---------------------------------------------------------------------------------------------- */

/* Method of PlainCalls. */
PyObject *plain_set_strings(PyObject *self, PyObject *args);

/* Forgets the strings. */
void plain_strings_clear(PlainStrings *strings);

/* -- plain.c ------------------------------------------------------------------------------------------------------ */

/* Empties the stock, and frees it. */
void plain_stock_clear(PlainStock *stock);

/* Nanoseconds of the system's clock with this number of the spec's clockid; 0 if it cannot be read. */
uint64_t plain_clock_now(uint32_t id);

/* The same for a guest whose clock this is; 0 if it cannot be read, or has another source. */
uint64_t plain_clock_of(PlainCalls *calls, uint32_t id);

/* Arranges that a forked child forgets the random bytes of its parent. Returns an errno. */
int plain_watch_forks(void);

#endif
