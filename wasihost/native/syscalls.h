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

/* filestat.c: the spec's record of a file, or None if a number of the file system's does not fit it. */
PyObject *wasihost_filestat(const struct stat *status);

#endif
