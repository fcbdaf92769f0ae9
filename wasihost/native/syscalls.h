/* What the files about system calls share: errors, interrupted calls, numbers from Python.
 *
 * Rules: a call releases the GIL; one that a signal interrupted is made again, unless a signal handler raised (PEP
 * 475). Errors are those that `os` would raise. What a function returns has an owner before any Python code can run.
 */
#ifndef WASIHOST_SYSCALLS_H
#define WASIHOST_SYSCALLS_H

#include "native.h"
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* Make a system call without the GIL until no signal interrupts it. `result` below 0: see `raise_errno`. */
#define CALL(result, call)                                                                                             \
    do {                                                                                                               \
        Py_BEGIN_ALLOW_THREADS(result)                                                                                 \
        = (call);                                                                                                      \
        Py_END_ALLOW_THREADS                                                                                           \
    } while ((result) < 0 && errno == EINTR && PyErr_CheckSignals() == 0)

/* Raise OSError for `errno`, about `path` if there is one; keep what a signal handler raised. Returns NULL. */
static inline PyObject *raise_errno(PyObject *path)
{
    if (PyErr_Occurred())
        return NULL;
    return PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
}

/* Whether the function got `count` arguments; else TypeError. */
static inline bool got(Py_ssize_t given, Py_ssize_t count, const char *name)
{
    if (given != count)
        PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments, got %zd", name, count, given);
    return given == count;
}

/* Read an int of Python's as a C int. Returns false and raises if it is not one or does not fit. */
static inline bool as_int(PyObject *value, int *number)
{
    long wide = PyLong_AsLong(value);
    if (wide == -1 && PyErr_Occurred())
        return false;
    *number = (int)wide;
    if (*number != wide)
        PyErr_SetString(PyExc_OverflowError, "the number does not fit a C int");
    return *number == wide;
}

/* -- opening.c ---------------------------------------------------------------------------------------------------- */

/* Where a path leads to. */
typedef struct {
    int dirfd;
    PyObject *path;
    const char *text;
    bool follow;     /* a link that is the last component */
    bool several;    /* the path has several components */
    PyObject *known; /* set of device numbers that may be reached */
    int resolve;     /* RESOLVE_* flags for openat2; 0: only single names are plain; below 0: nothing is */
} Place;

extern bool wasihost_paths_are_utf8;

/* openat(2) of a single name, which is never followed, or openat2(2) of several. Needs no GIL. */
int wasihost_open_place(const Place *place, int flags, int mode);

/* fstatat(2) of a single name, or of several by a descriptor that is closed again. Needs no GIL. */
int wasihost_stat_place(const Place *place, struct stat *status);

/* Whether the device is one of those that may be reached: 1, 0, or -1 with an exception. */
int wasihost_is_known(PyObject *known, dev_t device);

/* filestat.c: the spec's record of a file, or None if a number of the file system's does not fit it. */
PyObject *wasihost_filestat(const struct stat *status);

#endif
