/* preadv(2) and pwritev(2) over the buffers of one call, without a list and a tuple of arguments in between. */
#include "syscalls.h"
#include <sys/uio.h>
#include <unistd.h>

#define FEW 16 /* so many buffers need no memory of their own */

/* The buffers of a call, which stay where they are until `release`. */
typedef struct {
    Py_ssize_t count;
    Py_buffer *views;
    struct iovec *pieces;
    Py_buffer few_views[FEW];
    struct iovec few_pieces[FEW];
} Buffers;

static void release(Buffers *buffers)
{
    while (buffers->count > 0)
        PyBuffer_Release(&buffers->views[--buffers->count]);
    if (buffers->views != buffers->few_views) {
        PyMem_Free(buffers->views);
        PyMem_Free(buffers->pieces);
    }
}

/* Take the buffers of the list. Returns false and raises if one is no buffer, or not writable where it has to be. */
static bool take(Buffers *buffers, PyObject *list, int flags)
{
    buffers->count = 0;
    buffers->views = buffers->few_views;
    buffers->pieces = buffers->few_pieces;
    if (!PyList_Check(list)) {
        PyErr_SetString(PyExc_TypeError, "the buffers have to be a list");
        return false;
    }
    Py_ssize_t count = PyList_Size(list);
    if (count > FEW) {
        buffers->views = PyMem_Calloc((size_t)count, sizeof *buffers->views);
        buffers->pieces = PyMem_Calloc((size_t)count, sizeof *buffers->pieces);
        if (buffers->views == NULL || buffers->pieces == NULL) {
            release(buffers);
            PyErr_NoMemory();
            return false;
        }
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *buffer = PyList_GetItem(list, i);
        if (buffer == NULL || PyObject_GetBuffer(buffer, &buffers->views[i], flags) < 0) {
            release(buffers);
            return false;
        }
        buffers->count = i + 1;
        buffers->pieces[i] = (struct iovec){buffers->views[i].buf, (size_t)buffers->views[i].len};
    }
    return true;
}

/* Read (fd, list of buffers, offset) from the arguments. */
static bool read_arguments(PyObject *const *args, Py_ssize_t count, const char *name, int *fd, int64_t *offset)
{
    if (!got(count, 3, name) || !as_int(args[0], fd))
        return false;
    *offset = PyLong_AsLongLong(args[2]);
    return *offset != -1 || !PyErr_Occurred();
}

static PyObject *sized(Buffers *buffers, ssize_t size)
{
    int code = errno;
    release(buffers);
    errno = code;
    return size < 0 ? raise_errno(NULL) : PyLong_FromSsize_t(size);
}

/* preadv(fd, buffers, offset): preadv(2); readv(2) with an offset of -1. Returns the number of bytes. */
static PyObject *read_buffers(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    int fd;
    int64_t offset;
    ssize_t size;
    Buffers buffers;
    if (!read_arguments(args, count, "preadv", &fd, &offset) || !take(&buffers, args[1], PyBUF_WRITABLE))
        return NULL;
    if (offset < 0)
        CALL(size, readv(fd, buffers.pieces, (int)buffers.count));
    else if (buffers.count == 1)
        CALL(size, pread(fd, buffers.pieces->iov_base, buffers.pieces->iov_len, offset));
    else
        CALL(size, preadv(fd, buffers.pieces, (int)buffers.count, offset));
    return sized(&buffers, size);
}

/* pwritev(fd, buffers, offset): pwritev(2); writev(2) with an offset of -1. Returns the number of bytes. */
static PyObject *write_buffers(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    int fd;
    int64_t offset;
    ssize_t size;
    Buffers buffers;
    if (!read_arguments(args, count, "pwritev", &fd, &offset) || !take(&buffers, args[1], PyBUF_SIMPLE))
        return NULL;
    if (offset < 0)
        CALL(size, writev(fd, buffers.pieces, (int)buffers.count));
    else if (buffers.count == 1)
        CALL(size, pwrite(fd, buffers.pieces->iov_base, buffers.pieces->iov_len, offset));
    else
        CALL(size, pwritev(fd, buffers.pieces, (int)buffers.count, offset));
    return sized(&buffers, size);
}

static PyMethodDef methods[] = {
    {"preadv", (PyCFunction)(void (*)(void))read_buffers, METH_FASTCALL, NULL},
    {"pwritev", (PyCFunction)(void (*)(void))write_buffers, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

int wasihost_add_buffers(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
