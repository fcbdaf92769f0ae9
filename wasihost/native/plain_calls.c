/* `PlainCalls` and `PlainFile` as Python sees them: see plain.h. Everything here needs the GIL.
 *
 * Rule of this file: nothing that a plain function may read is freed before the PlainCalls itself. A table that became
 * too small, and a file that is in no table any more, are kept; a file that only `spare` still holds is used again.
 */
#include "plain.h"
#include "abi.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* A guest's numbers for open files are the lowest free ones: what has a larger one is left to the Python handlers. */
#define MOST_FILES (1u << 20)
#define FIRST_ROOM 16

static PyTypeObject *file_type, *calls_type; /* heap types, made once: only the main interpreter is supported */

static void free_object(PyObject *self)
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
    {Py_tp_doc, "An open regular file, as C knows it. Made by `PlainCalls.share`."},
    {Py_tp_dealloc, free_object},
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
    PlainTable *new = PyMem_RawCalloc(1, offsetof(PlainTable, files) + count * sizeof new->files[0]);
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
        Py_DECREF(old); /* `spare` has another reference */
    } else if (old != NULL) {
        old->is_spare = 1;
        old->next_spare = calls->spare;
        calls->spare = old;
    }
}

/* A file to use: one that nothing but `spare` holds, or a new one. */
static PlainFile *take_file(PlainCalls *calls)
{
    PlainFile *file = calls->spare;
    if (file != NULL && Py_REFCNT(file) == 1) {
        calls->spare = file->next_spare;
        file->is_spare = 0;
        return file;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(file_type, Py_tp_alloc);
    return (PlainFile *)allocate(file_type, 0);
}

/* share(number, fd, rights, flags, position) -> PlainFile | None */
static PyObject *calls_share(PyObject *self, PyObject *args)
{
    PlainCalls *calls = (PlainCalls *)self;
    unsigned long long number, rights;
    unsigned int flags;
    long long position;
    int fd;
    if (!PyArg_ParseTuple(args, "KiKIL:share", &number, &fd, &rights, &flags, &position))
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
    atomic_store_explicit(&file->rights, rights, memory_order_relaxed);
    atomic_store_explicit(&file->flags, flags, memory_order_relaxed);
    atomic_store_explicit(&file->position, position, memory_order_relaxed);
    atomic_store_explicit(&file->fd, fd, memory_order_relaxed);
    exchange(calls, table, (uint32_t)number, file); /* the reference that take_file returned */
    Py_INCREF(file);
    return (PyObject *)file;
}

/* put(number, file): the file has this number now */
static PyObject *calls_put(PyObject *self, PyObject *args)
{
    unsigned long long number;
    PyObject *file;
    if (!PyArg_ParseTuple(args, "KO!:put", &number, file_type, &file))
        return NULL;
    if (number < MOST_FILES) {
        PlainTable *table = table_for((PlainCalls *)self, (uint32_t)number);
        if (table == NULL)
            return NULL;
        Py_INCREF(file);
        exchange((PlainCalls *)self, table, (uint32_t)number, (PlainFile *)file);
    }
    Py_RETURN_NONE;
}

/* remove(number): no file of ours has this number */
static PyObject *calls_remove(PyObject *self, PyObject *arg)
{
    PlainCalls *calls = (PlainCalls *)self;
    unsigned long long number = PyLong_AsUnsignedLongLong(arg);
    if (PyErr_Occurred())
        return NULL;
    PlainTable *table = atomic_load(&calls->table);
    if (table != NULL && number < table->count)
        exchange(calls, table, (uint32_t)number, NULL);
    Py_RETURN_NONE;
}

/* -- what may be used --------------------------------------------------------------------------------------------- */

static uint32_t bit_of(const char *name)
{
    for (uint32_t i = 0; i < plain_function_count; i++) {
        if (strcmp(plain_functions[i].name, name) == 0)
            return UINT32_C(1) << i;
    }
    return 0;
}

/* enable(names): these functions may be used, and no others. Unknown names are ignored. */
static PyObject *calls_enable(PyObject *self, PyObject *names)
{
    static PyObject *last; /* nearly always the same tuple */
    static uint32_t of_last;
    if (names != last) {
        uint32_t enabled = 0;
        PyObject *tuple = PySequence_Tuple(names);
        Py_ssize_t count = tuple == NULL ? 0 : PyTuple_Size(tuple);
        for (Py_ssize_t i = 0; i < count; i++) {
            PyObject *text = PyUnicode_AsUTF8String(PyTuple_GetItem(tuple, i));
            if (text != NULL)
                enabled |= bit_of(PyBytes_AsString(text));
            Py_XDECREF(text);
        }
        if (tuple == NULL || PyErr_Occurred()) {
            Py_XDECREF(tuple);
            return NULL;
        }
        PyObject *old = last;
        last = tuple;
        of_last = enabled;
        Py_XDECREF(old);
    }
    ((PlainCalls *)self)->enabled = of_last;
    Py_RETURN_NONE;
}

/* Whether this is Python's own function for a clock, and returns what the system's clock shows: libraries for tests
 * replace those of the first two. */
static int shows_the_clock(PyObject *function, uint32_t id)
{
    if (!PyCFunction_Check(function) || id > WASI_PREVIEW1_CLOCKID_MONOTONIC)
        return PyCFunction_Check(function);
    uint64_t before = plain_clock_now(id);
    PyObject *value = PyObject_CallObject(function, NULL);
    uint64_t after = plain_clock_now(id);
    uint64_t now = value == NULL ? 0 : PyLong_AsUnsignedLongLong(value);
    Py_XDECREF(value);
    if (PyErr_Occurred()) {
        PyErr_Clear();
        return 0;
    }
    return before != 0 && before <= now && now <= after;
}

/* set_clocks(functions, resolutions): for each clock id the function that reads it (builtin functions of `time` are
 * taken for the system's if they show the system's time), and its resolution in ns. */
static PyObject *calls_set_clocks(PyObject *self, PyObject *args)
{
    PlainCalls *calls = (PlainCalls *)self;
    PyObject *functions[PLAIN_CLOCKS];
    unsigned long long resolutions[PLAIN_CLOCKS];
    if (!PyArg_ParseTuple(args, "(OOOO)(KKKK):set_clocks", &functions[0], &functions[1], &functions[2], &functions[3],
                          &resolutions[0], &resolutions[1], &resolutions[2], &resolutions[3]))
        return NULL;
    for (uint32_t id = 0; id < PLAIN_CLOCKS; id++) {
        PlainClock *clock = &calls->clocks[id];
        PyObject *old = clock->function, *function = functions[id];
        clock->function = NULL;
        Py_XDECREF(old);
        clock->resolution = resolutions[id];
        if (shows_the_clock(function, id)) {
            clock->original = PyCFunction_GetFunction(function);
            Py_INCREF(function);
            clock->function = function;
        }
    }
    calls->resolutions = 1;
    Py_RETURN_NONE;
}

PlainFunction *wasihost_plain_function(PyObject *calls, const char *module, const char *name)
{
    if (Py_TYPE(calls) != calls_type || strcmp(module, "wasi_snapshot_preview1") != 0)
        return NULL;
    for (uint32_t i = 0; i < plain_function_count; i++) {
        if (strcmp(plain_functions[i].name, name) == 0)
            return ((PlainCalls *)calls)->enabled & UINT32_C(1) << i ? plain_functions[i].function : NULL;
    }
    return NULL;
}

/* call(name, memory, *numbers) -> bool: whether the function did the call. For tests: what the engine's door does. */
static PyObject *calls_call(PyObject *self, PyObject *args)
{
    Py_buffer memory;
    witx_slot slots[8] = {{.both = {0, 0}}};
    Py_ssize_t count = PyTuple_Size(args);
    if (count < 2 || count > 10) {
        PyErr_SetString(PyExc_TypeError, "call(name, memory, *numbers)");
        return NULL;
    }
    for (Py_ssize_t i = 2; i < count; i++) {
        slots[i - 2].u64 = PyLong_AsUnsignedLongLongMask(PyTuple_GetItem(args, i));
        if (PyErr_Occurred())
            return NULL;
    }
    PyObject *name = PyUnicode_AsUTF8String(PyTuple_GetItem(args, 0));
    if (name == NULL)
        return NULL;
    PlainFunction *function = wasihost_plain_function(self, "wasi_snapshot_preview1", PyBytes_AsString(name));
    Py_DECREF(name);
    if (function == NULL)
        Py_RETURN_FALSE;
    if (PyObject_GetBuffer(PyTuple_GetItem(args, 1), &memory, PyBUF_WRITABLE) != 0)
        return NULL;
    int done;
    Py_BEGIN_ALLOW_THREADS;
    done = function((PlainCalls *)self, memory.buf, (uint64_t)memory.len, slots);
    Py_END_ALLOW_THREADS;
    PyBuffer_Release(&memory);
    return PyBool_FromLong(done);
}

/* -- PlainCalls --------------------------------------------------------------------------------------------------- */

static void calls_dealloc(PyObject *self)
{
    PlainCalls *calls = (PlainCalls *)self;
    PlainTable *table = atomic_load(&calls->table);
    for (uint32_t i = 0; table != NULL && i < table->count; i++)
        Py_XDECREF(atomic_load(&table->files[i]));
    while (table != NULL) {
        PlainTable *smaller = table->smaller;
        PyMem_RawFree(table);
        table = smaller;
    }
    while (calls->spare != NULL) {
        PlainFile *file = calls->spare;
        calls->spare = file->next_spare;
        Py_DECREF(file);
    }
    for (uint32_t id = 0; id < PLAIN_CLOCKS; id++)
        Py_XDECREF(calls->clocks[id].function);
    plain_stock_clear(&calls->stock);
    free_object(self);
}

static PyObject *get_enabled(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *names = PyList_New(0);
    for (uint32_t i = 0; names != NULL && i < plain_function_count; i++) {
        if (((PlainCalls *)self)->enabled & UINT32_C(1) << i) {
            PyObject *name = PyUnicode_FromString(plain_functions[i].name);
            if (name == NULL || PyList_Append(names, name) != 0)
                Py_CLEAR(names);
            Py_XDECREF(name);
        }
    }
    return names;
}

static PyMethodDef calls_methods[] = {
    {"share", calls_share, METH_VARARGS, "Take over the position of an open file; None if its number is too large."},
    {"put", calls_put, METH_VARARGS, "Give a file of this guest a number."},
    {"remove", calls_remove, METH_O, "Leave this number to the Python handlers."},
    {"enable", calls_enable, METH_O, "Use these functions, and no others."},
    {"set_clocks", calls_set_clocks, METH_VARARGS, "Set what reads each clock, and the resolutions in ns."},
    {"call", calls_call, METH_VARARGS, "Make a call over a buffer, for tests; True if it was plain, and is done."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef calls_fields[] = {
    {"enabled", get_enabled, NULL, "The names of the functions in use.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot calls_slots[] = {
    {Py_tp_doc, "The calls of one guest that C does without the GIL."},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_dealloc, calls_dealloc},
    {Py_tp_methods, calls_methods},
    {Py_tp_getset, calls_fields},
    {0, NULL},
};

static PyType_Spec calls_spec = {
    .name = "wasihost.native._native.PlainCalls",
    .basicsize = sizeof(PlainCalls),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = calls_slots,
};

int wasihost_add_plain(PyObject *module)
{
    int failed = plain_watch_forks();
    if (failed) {
        errno = failed;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    file_type = (PyTypeObject *)PyType_FromSpec(&file_spec);
    calls_type = (PyTypeObject *)PyType_FromSpec(&calls_spec);
    if (file_type == NULL || calls_type == NULL)
        return -1;
    return PyModule_AddObjectRef(module, "PlainFile", (PyObject *)file_type) < 0 ||
                   PyModule_AddObjectRef(module, "PlainCalls", (PyObject *)calls_type) < 0
               ? -1
               : 0;
}
