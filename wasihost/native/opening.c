/* Opening and looking up a path beneath a directory: the plain case of `wasihost.sandbox.resolve`.
 *
 * Rules of this file: a function does the whole plain case, or it has done nothing and returns None; then Python
 * decides. Plain is a single name that is no link, or a path of several that openat2(2) resolves beneath the directory.
 * No errno and no rule about paths is decided here but ENOENT and EEXIST, which mean the same for every path.
 */
#include "syscalls.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#ifndef O_LARGEFILE
#define O_LARGEFILE 0
#endif

bool wasihost_paths_are_utf8; /* Python's encoding of file names; with another one, Python decides about every path */

/* Whether the path is plain. It ends without a slash, and begins without one. */
static bool is_plain(Place *place)
{
    Py_ssize_t size;
    if (place->resolve < 0 || !wasihost_paths_are_utf8)
        return false;
    place->text = PyUnicode_AsUTF8AndSize(place->path, &size);
    if (place->text == NULL) {
        PyErr_Clear(); /* it has surrogates */
        return false;
    }
    if (size == 0 || strlen(place->text) != (size_t)size || place->text[0] == '/' || place->text[size - 1] == '/')
        return false;
    place->several = memchr(place->text, '/', (size_t)size) != NULL;
    return place->several ? place->resolve > 0 : strcmp(place->text, "..") != 0;
}

/* Read (dirfd, path, follow, known, resolve) from the first five arguments. */
static bool read_place(PyObject *const *args, Place *place)
{
    int follow;
    place->path = args[1];
    place->known = args[3];
    if (!PyUnicode_Check(place->path)) {
        PyErr_SetString(PyExc_TypeError, "the path has to be a str");
        return false;
    }
    if (!as_int(args[0], &place->dirfd) || (follow = PyObject_IsTrue(args[2])) < 0 || !as_int(args[4], &place->resolve))
        return false;
    place->follow = follow;
    return true;
}

int wasihost_open_place(const Place *place, int flags, int mode)
{
    flags |= O_CLOEXEC;
    if (!place->several)
        return openat(place->dirfd, place->text, flags | O_NOFOLLOW, mode);
#ifdef __linux__
    flags |= place->follow ? 0 : O_NOFOLLOW;
    if (!(flags & O_PATH))
        flags |= O_LARGEFILE;
    uint64_t how[3] = {(uint64_t)flags, flags & O_CREAT ? (uint64_t)mode : 0, (uint64_t)place->resolve};
    return (int)syscall(437, place->dirfd, place->text, how, sizeof how); /* the same number on every architecture */
#else
    errno = ENOSYS;
    return -1;
#endif
}

/* After a call has failed: raise what is clear. Returns NULL then, and None where Python has to find out more. */
static PyObject *failed(const Place *place)
{
    if (PyErr_Occurred() || errno == ENOENT || errno == EEXIST)
        return raise_errno(place->path);
    Py_RETURN_NONE;
}

int wasihost_is_known(PyObject *known, dev_t device)
{
    PyObject *number = PyLong_FromUnsignedLongLong((uint64_t)device);
    if (number == NULL)
        return -1;
    int contained = PySequence_Contains(known, number);
    Py_DECREF(number);
    return contained;
}

/* Append a new descriptor to the list that owns it, or close it. */
static bool hold(PyObject *held, int fd)
{
    PyObject *number = PyLong_FromLong(fd);
    bool done = number != NULL && PyList_Append(held, number) == 0;
    Py_XDECREF(number);
    if (!done)
        close(fd);
    return done;
}

/* open_plain(dirfd, path, follow, known, resolve, flags, mode, held)
 *
 * Open the path. Returns its st_mode, negated if its device is not in `known`; the new descriptor is the last in
 * `held`. Returns None if nothing was done. Raises FileNotFoundError, FileExistsError, and what an audit hook raises.
 */
static PyObject *open_plain(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Place place;
    int flags, mode, fd;
    struct stat status;
    if (!got(count, 8, "open_plain") || !read_place(args, &place) || !as_int(args[5], &flags) ||
        !as_int(args[6], &mode))
        return NULL;
    if (!is_plain(&place))
        Py_RETURN_NONE;
    if (PySys_Audit("open", "OOi", place.path, Py_None, flags) < 0)
        return NULL;
    CALL(fd, wasihost_open_place(&place, flags, mode));
    if (fd < 0)
        return failed(&place);
    if (!hold(args[7], fd))
        return NULL;
    if (fstat(fd, &status) < 0) /* the inode is in memory: not worth releasing the GIL */
        return raise_errno(place.path);
    int known = wasihost_is_known(place.known, status.st_dev);
    return known < 0 ? NULL : PyLong_FromLong(known ? (long)status.st_mode : -(long)status.st_mode);
}

int wasihost_stat_place(const Place *place, struct stat *status)
{
    if (!place->several)
        return fstatat(place->dirfd, place->text, status, AT_SYMLINK_NOFOLLOW);
#ifdef O_PATH
    int fd = wasihost_open_place(place, O_PATH, 0);
    if (fd < 0)
        return -1;
    int result = fstat(fd, status);
    int code = errno;
    close(fd);
    errno = code;
    return result;
#else
    errno = ENOSYS;
    return -1;
#endif
}

/* filestat_plain(dirfd, path, follow, known, resolve)
 *
 * Returns the spec's record of the file at the path; None if Python has to find out. Raises FileNotFoundError.
 */
static PyObject *filestat_plain(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Place place;
    struct stat status;
    int result;
    if (!got(count, 5, "filestat_plain") || !read_place(args, &place))
        return NULL;
    if (!is_plain(&place))
        Py_RETURN_NONE;
    CALL(result, wasihost_stat_place(&place, &status));
    if (result < 0)
        return failed(&place);
    if (!place.several && place.follow && S_ISLNK(status.st_mode))
        Py_RETURN_NONE;
    int known = wasihost_is_known(place.known, status.st_dev);
    if (known < 0)
        return NULL;
    if (!known)
        Py_RETURN_NONE;
    return wasihost_filestat(&status);
}

static PyMethodDef methods[] = {
    {"open_plain", (PyCFunction)(void (*)(void))open_plain, METH_FASTCALL, NULL},
    {"filestat_plain", (PyCFunction)(void (*)(void))filestat_plain, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

int wasihost_add_opening(PyObject *module)
{
    PyObject *encoding = PyObject_CallNoArgs(PySys_GetObject("getfilesystemencoding"));
    if (encoding == NULL)
        return -1;
    wasihost_paths_are_utf8 = PyUnicode_CompareWithASCIIString(encoding, "utf-8") == 0;
    Py_DECREF(encoding);
    return PyModule_AddFunctions(module, methods);
}
