/* Quick calls by which a guest finds the directories that were opened for it: see quick.h for the rules. */
#include "quick.h"

#define NAME_LENGTH_AT (4 + WASI_PREVIEW1_PRESTAT_DIR_PR_NAME_LEN_AT) /* after the tag of the variant `prestat` */

enum { PRESTAT_SIZE = 8 };

/* The guest path of a preopened directory of the host, as bytes: a new reference. NULL without an exception for every
 * other number. */
static PyObject *name_of(PyObject *host, uint32_t number)
{
    PyObject *table = quick_get(host, Q_TABLE), *open = table == NULL ? NULL : quick_get(table, Q_OPEN);
    PyObject *key = open == NULL ? NULL : PyLong_FromUnsignedLong(number);
    PyObject *directory = key == NULL ? NULL : PyDict_GetItemWithError(open, key), *path = NULL, *name = NULL;
    if (directory != NULL && (Py_TYPE(directory) == quick.directories[0] || Py_TYPE(directory) == quick.directories[1]))
        path = quick_get(directory, Q_PREOPEN);
    if (path != NULL && PyUnicode_Check(path))
        name = PyUnicode_EncodeFSDefault(path);
    Py_XDECREF(path);
    Py_XDECREF(key);
    Py_XDECREF(open);
    Py_XDECREF(table);
    PyErr_Clear();
    return name;
}

/* fd, result */
int quick_fd_prestat_get(PyObject *host, char *base, uint64_t size, witx_slot *slots)
{
    uint32_t result = slots[1].u32;
    PyObject *name = fits(size, result, PRESTAT_SIZE, 4) ? name_of(host, slots[0].u32) : NULL;
    if (name == NULL)
        return NOTHING_DONE;
    memset(base + result, 0, PRESTAT_SIZE);
    base[result] = WASI_PREVIEW1_PREOPENTYPE_DIR;
    put_u32(base + result, NAME_LENGTH_AT, (uint32_t)PyBytes_Size(name));
    Py_DECREF(name);
    return success(slots);
}

/* fd, path, path_len */
int quick_fd_prestat_dir_name(PyObject *host, char *base, uint64_t size, witx_slot *slots)
{
    uint32_t at = slots[1].u32, length = slots[2].u32;
    PyObject *name = inside(size, at, length) ? name_of(host, slots[0].u32) : NULL;
    if (name == NULL)
        return NOTHING_DONE;
    int short_enough = PyBytes_Size(name) <= (Py_ssize_t)length;
    if (short_enough)
        memcpy(base + at, PyBytes_AsString(name), (size_t)PyBytes_Size(name));
    Py_DECREF(name);
    return short_enough ? success(slots) : NOTHING_DONE;
}
