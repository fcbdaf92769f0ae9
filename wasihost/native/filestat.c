/* fstat(2) and fstatat(2) that return the spec's `filestat`: Python's `os.stat_result` has twenty fields, of which
 * eight are needed.
 */
#include "syscalls.h"
#include "witx.h"

static PyTypeObject *record;     /* wasi_preview1.types.Filestat, a tuple of eight fields */
static PyObject *kinds;          /* tuple: the Filetype for each of the sixteen values of the type bits in st_mode */
static PyObject *exact_filestat; /* function of a descriptor: does the same in Python, for any numbers */

/* A time as ns since 1970. Returns false for one that the spec's u64 cannot hold. */
static bool nanoseconds(const struct timespec *time, uint64_t *ns)
{
    if (time->tv_sec < 0 || (uint64_t)time->tv_sec >= UINT64_MAX / 1000000000)
        return false;
    *ns = (uint64_t)time->tv_sec * 1000000000 + (uint64_t)time->tv_nsec;
    return true;
}

#ifdef __APPLE__
#define TIME(status, which) (&(status)->st_##which##timespec)
#else
#define TIME(status, which) (&(status)->st_##which##tim)
#endif

PyObject *wasihost_filestat(const struct stat *status)
{
    uint64_t atim, mtim, ctim;
    if (!nanoseconds(TIME(status, a), &atim) || !nanoseconds(TIME(status, m), &mtim) ||
        !nanoseconds(TIME(status, c), &ctim) || status->st_size < 0)
        Py_RETURN_NONE;
    if (record == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "set_filestat() has to be called first");
        return NULL;
    }
    PyObject *made = witx_begin_record((PyObject *)record, 8);
    if (made == NULL)
        return NULL;
    PyObject *kind = PyTuple_GetItem(kinds, status->st_mode >> 12 & 15);
    Py_INCREF(kind);
    PyObject *fields[8] = {
        PyLong_FromUnsignedLongLong((uint64_t)status->st_dev),
        PyLong_FromUnsignedLongLong((uint64_t)status->st_ino),
        kind,
        PyLong_FromUnsignedLongLong((uint64_t)status->st_nlink),
        PyLong_FromUnsignedLongLong((uint64_t)status->st_size),
        PyLong_FromUnsignedLongLong(atim),
        PyLong_FromUnsignedLongLong(mtim),
        PyLong_FromUnsignedLongLong(ctim),
    };
    bool complete = true;
    for (Py_ssize_t i = 0; i < 8; i++) {
        complete = complete && fields[i] != NULL;
        PyTuple_SetItem(made, i, fields[i]);
    }
    if (!complete) {
        Py_DECREF(made);
        return NULL;
    }
    return witx_end_record((PyObject *)record, made);
}

/* set_filestat(record, kinds, exact): what the records are made of. */
static PyObject *set_filestat(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *new_record, *new_kinds, *new_exact;
    if (!PyArg_ParseTuple(args, "OO!O:set_filestat", &new_record, &PyTuple_Type, &new_kinds, &new_exact))
        return NULL;
    if (!PyType_Check(new_record) || !PyType_IsSubtype((PyTypeObject *)new_record, &PyTuple_Type) ||
        PyTuple_Size(new_kinds) != 16) {
        PyErr_SetString(PyExc_TypeError, "set_filestat(a class of tuples, a tuple of 16, a function)");
        return NULL;
    }
    Py_INCREF(new_record);
    Py_INCREF(new_kinds);
    Py_INCREF(new_exact);
    PyObject *old_record = (PyObject *)record;
    record = (PyTypeObject *)new_record;
    Py_XDECREF(old_record);
    wasihost_replace(&kinds, new_kinds);
    wasihost_replace(&exact_filestat, new_exact);
    Py_RETURN_NONE;
}

/* filestat(fd): fstat(2). */
static PyObject *filestat(PyObject *Py_UNUSED(module), PyObject *descriptor)
{
    int fd, failed;
    struct stat status;
    if (!as_int(descriptor, &fd))
        return NULL;
    CALL(failed, fstat(fd, &status));
    if (failed)
        return raise_errno(NULL);
    PyObject *found = wasihost_filestat(&status);
    if (found != Py_None)
        return found;
    Py_DECREF(found);
    return PyObject_CallFunctionObjArgs(exact_filestat, descriptor, NULL);
}

static PyMethodDef methods[] = {
    {"set_filestat", set_filestat, METH_VARARGS, NULL},
    {"filestat", filestat, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

int wasihost_add_filestat(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
