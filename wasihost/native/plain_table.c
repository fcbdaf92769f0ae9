/* A guest's open files as C knows them, by number: see plain.h. Everything here needs the GIL.
 *
 * Rule of this file: nothing that a plain function may read is freed before the PlainCalls itself. A table that became
 * too small, and a file that is in no table any more, are kept; a file that only `spare` still holds is used again.
 */
#include "plain.h"

#include <stddef.h>
#include <stdlib.h>

/* A guest's numbers for open files are the lowest free ones: what has a larger one is left to the Python handlers. */
#define MOST_FILES (1u << 20)
#define FIRST_ROOM 16

PyTypeObject *plain_file_type;

void plain_free_object(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

/* -- PlainFile ---------------------------------------------------------------------------------------------------- */

static PyObject *get_fd(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromLong(atomic_load(&((PlainFile *)self)->fd));
}

static PyObject *get_flags(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLong(atomic_load(&((PlainFile *)self)->flags));
}

static PyObject *get_rights(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(atomic_load(&((PlainFile *)self)->rights));
}

static PyObject *get_position(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromLongLong(atomic_load_explicit(&((PlainFile *)self)->position, memory_order_relaxed));
}

static int set_position(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    long long position = value == NULL ? -1 : PyLong_AsLongLong(value);
    if (position < 0) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "a position in a file is a number from 0 to 2**63-1");
        return -1;
    }
    atomic_store_explicit(&((PlainFile *)self)->position, position, memory_order_relaxed);
    return 0;
}

/* The host fd is about to be closed: C must not use it again, as its number may soon be another file's. */
static PyObject *file_close(PyObject *self, PyObject *Py_UNUSED(none))
{
    atomic_store(&((PlainFile *)self)->fd, -1);
    Py_RETURN_NONE;
}

/* update(rights, flags): copy what the descriptor has now. `flags` of None: they are about to change. */
static PyObject *file_update(PyObject *self, PyObject *args)
{
    unsigned long long rights;
    PyObject *flags;
    if (!PyArg_ParseTuple(args, "KO:update", &rights, &flags))
        return NULL;
    unsigned long number = flags == Py_None ? PLAIN_CHANGING : PyLong_AsUnsignedLong(flags);
    if (PyErr_Occurred())
        return NULL;
    atomic_store(&((PlainFile *)self)->rights, rights);
    atomic_store(&((PlainFile *)self)->flags, (uint32_t)number);
    Py_RETURN_NONE;
}

static PyGetSetDef file_fields[] = {
    {"fd", get_fd, NULL, "The host fd; -1 if it is closed.", NULL},
    {"flags", get_flags, NULL, "The spec's fdflags.", NULL},
    {"rights", get_rights, NULL, "The spec's rights.", NULL},
    {"position", get_position, set_position, "Where the next read or write begins, in bytes.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef file_methods[] = {
    {"close", file_close, METH_NOARGS, "Forget the host fd, which is about to be closed."},
    {"update", file_update, METH_VARARGS, "Copy rights and flags; flags of None are about to change."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot file_slots[] = {
    {Py_tp_doc, "An open file or stream, as C knows it. Made by `PlainCalls.share`."},
    {Py_tp_dealloc, plain_free_object},
    {Py_tp_getset, file_fields},
    {Py_tp_methods, file_methods},
    {0, NULL},
};

static PyType_Spec file_spec = {
    .name = "wasihost.native._native.PlainFile",
    .basicsize = sizeof(PlainFile),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = file_slots,
};

PyTypeObject *plain_make_file_type(void)
{
    return (PyTypeObject *)PyType_FromSpec(&file_spec);
}

/* -- the table ---------------------------------------------------------------------------------------------------- */

/* Makes room for a file with this number. Returns the table, or NULL with an exception. */
static PlainTable *table_for(PlainCalls *calls, uint32_t number)
{
    PlainTable *old = atomic_load(&calls->table);
    uint32_t had = old == NULL ? 0 : old->count, count = had == 0 ? FIRST_ROOM : had;
    if (number < had)
        return old;
    while (count <= number)
        count *= 2;
    PlainTable *new = calloc(1, offsetof(PlainTable, files) + count * sizeof new->files[0]);
    if (new == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    new->count = count;
    new->smaller = old;
    for (uint32_t i = 0; i < had; i++)
        atomic_store_explicit(&new->files[i], atomic_load(&old->files[i]), memory_order_relaxed);
    atomic_store(&calls->table, new);
    return new;
}

/* Puts a file (a reference of it), or NULL, into the table; what was there becomes spare. A file that gets another
 * number is spare and in the table for a time: it is not used again while the table has a reference too. */
static void exchange(PlainCalls *calls, PlainTable *table, uint32_t number, PlainFile *file)
{
    PlainFile *old = atomic_exchange(&table->files[number], file);
    if (old != NULL && old->is_spare) {
        Py_DECREF((PyObject *)old); /* `spare` has another reference */
    } else if (old != NULL) {
        old->is_spare = 1;
        old->next_spare = calls->spare;
        calls->spare = old;
    }
}

/* A file to use: one that nothing but `spare` holds, or a new one. All are looked at, so that there are at most as many
 * files as were in use at once. */
static PlainFile *take_file(PlainCalls *calls)
{
    for (PlainFile **link = &calls->spare; *link != NULL; link = &(*link)->next_spare) {
        PlainFile *file = *link;
        if (Py_REFCNT((PyObject *)file) == 1) {
            *link = file->next_spare;
            file->is_spare = 0;
            return file;
        }
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(plain_file_type, Py_tp_alloc);
    return (PlainFile *)allocate(plain_file_type, 0);
}

/* share(number, fd, filetype, rights, flags, position) -> PlainFile | None */
PyObject *plain_share(PyObject *self, PyObject *args)
{
    PlainCalls *calls = (PlainCalls *)self;
    unsigned long long number, rights;
    unsigned int filetype, flags;
    long long position;
    int fd;
    if (!PyArg_ParseTuple(args, "KiIKIL:share", &number, &fd, &filetype, &rights, &flags, &position))
        return NULL;
    if (number >= MOST_FILES || position < 0)
        Py_RETURN_NONE;
    PlainTable *table = table_for(calls, (uint32_t)number);
    if (table == NULL)
        return NULL;
    exchange(calls, table, (uint32_t)number, NULL);
    PlainFile *file = take_file(calls);
    if (file == NULL)
        return NULL;
    atomic_store_explicit(&file->filetype, filetype, memory_order_relaxed);
    atomic_store_explicit(&file->waits, 0, memory_order_relaxed);
    atomic_store_explicit(&file->rights, rights, memory_order_relaxed);
    atomic_store_explicit(&file->flags, flags, memory_order_relaxed);
    atomic_store_explicit(&file->position, position, memory_order_relaxed);
    atomic_store_explicit(&file->fd, fd, memory_order_relaxed);
    exchange(calls, table, (uint32_t)number, file); /* the reference that take_file returned */
    Py_INCREF((PyObject *)file);
    return (PyObject *)file;
}

/* put(number, file): the file has this number now */
PyObject *plain_put(PyObject *self, PyObject *args)
{
    unsigned long long number;
    PyObject *file;
    if (!PyArg_ParseTuple(args, "KO!:put", &number, plain_file_type, &file))
        return NULL;
    if (number < MOST_FILES) {
        PlainTable *table = table_for((PlainCalls *)self, (uint32_t)number);
        if (table == NULL)
            return NULL;
        Py_INCREF((PyObject *)file);
        exchange((PlainCalls *)self, table, (uint32_t)number, (PlainFile *)file);
    }
    Py_RETURN_NONE;
}

/* remove(number): no file of ours has this number */
PyObject *plain_remove(PyObject *self, PyObject *number_object)
{
    PlainCalls *calls = (PlainCalls *)self;
    unsigned long long number = PyLong_AsUnsignedLongLong(number_object);
    if (PyErr_Occurred())
        return NULL;
    PlainTable *table = atomic_load(&calls->table);
    if (table != NULL && number < table->count)
        exchange(calls, table, (uint32_t)number, NULL);
    Py_RETURN_NONE;
}

PyObject *plain_take_spare(PlainCalls *calls)
{
    Py_ssize_t count = calls->descriptors == NULL ? 0 : PyList_Size(calls->descriptors);
    if (count == 0)
        return NULL;
    PyObject *descriptor = PyList_GetItem(calls->descriptors, count - 1);
    Py_INCREF(descriptor);
    if (PyList_SetSlice(calls->descriptors, count - 1, count, NULL) < 0) {
        PyErr_Clear();
        Py_CLEAR(descriptor);
    }
    return descriptor;
}

void plain_keep_spare(PlainCalls *calls, uint32_t number, PyObject *descriptor, Py_ssize_t most)
{
    PlainTable *table = atomic_load(&calls->table);
    if (table != NULL && number < table->count)
        exchange(calls, table, number, NULL); /* the file will have another number */
    if (Py_REFCNT(descriptor) != 1 || (calls->descriptors == NULL && (calls->descriptors = PyList_New(0)) == NULL) ||
        (PyList_Size(calls->descriptors) < most && PyList_Append(calls->descriptors, descriptor) < 0))
        PyErr_Clear(); /* then it is freed */
}

int plain_put_again(PlainCalls *calls, uint32_t number, PlainFile *file, int fd, uint64_t rights)
{
    atomic_store_explicit(&file->rights, rights, memory_order_relaxed);
    atomic_store_explicit(&file->flags, 0, memory_order_relaxed);
    atomic_store_explicit(&file->position, 0, memory_order_relaxed);
    atomic_store_explicit(&file->fd, fd, memory_order_relaxed);
    PlainTable *table = number < MOST_FILES ? table_for(calls, number) : NULL;
    if (table == NULL)
        return number < MOST_FILES ? -1 : 0;
    if (atomic_load(&table->files[number]) != file) {
        Py_INCREF((PyObject *)file);
        exchange(calls, table, number, file);
    }
    return 0;
}

void plain_table_free(PlainCalls *calls)
{
    PlainTable *table = atomic_load(&calls->table);
    for (uint32_t i = 0; table != NULL && i < table->count; i++)
        Py_XDECREF((PyObject *)atomic_load(&table->files[i]));
    while (table != NULL) {
        PlainTable *smaller = table->smaller;
        free(table);
        table = smaller;
    }
    Py_CLEAR(calls->descriptors);
    while (calls->spare != NULL) {
        PlainFile *file = calls->spare;
        calls->spare = file->next_spare;
        Py_DECREF((PyObject *)file);
    }
}
