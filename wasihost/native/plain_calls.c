/* `PlainCalls` as Python sees it: see plain.h. Everything here needs the GIL. */
#include "quick.h"

#include <errno.h>
#include <string.h>

static PyTypeObject *calls_type; /* a heap type, made once: only the main interpreter is supported */

/* -- what may be used --------------------------------------------------------------------------------------------- */

static uint64_t plain_bit(uint32_t index)
{
    return UINT64_C(1) << index;
}

static uint64_t quick_bit(uint32_t index)
{
    return UINT64_C(1) << (plain_function_count + index);
}

/* The bits of a function, which may be in both lists. */
static uint64_t bits_of(const char *name)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < plain_function_count; i++)
        bits |= strcmp(plain_functions[i].name, name) == 0 ? plain_bit(i) : 0;
    for (uint32_t i = 0; i < quick_function_count; i++)
        bits |= strcmp(quick_functions[i].name, name) == 0 ? quick_bit(i) : 0;
    return bits;
}

/* enable(names): these functions may be used, and no others. Unknown names are ignored. */
static PyObject *calls_enable(PyObject *self, PyObject *names)
{
    static PyObject *last; /* nearly always the same tuple */
    static uint64_t of_last;
    if (names != last) {
        uint64_t enabled = 0;
        PyObject *tuple = PySequence_Tuple(names);
        Py_ssize_t count = tuple == NULL ? 0 : PyTuple_Size(tuple);
        for (Py_ssize_t i = 0; i < count; i++) {
            PyObject *text = PyUnicode_AsUTF8String(PyTuple_GetItem(tuple, i));
            if (text != NULL)
                enabled |= bits_of(PyBytes_AsString(text));
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

/* Whether this is a function of the module `time`. No other may be called here: it may be the method of a queue. */
static int is_of_time(PyObject *function)
{
    PyObject *module = PyCFunction_Check(function) ? PyCFunction_GetSelf(function) : NULL;
    const char *name = module != NULL && PyModule_Check(module) ? PyModule_GetName(module) : NULL;
    PyErr_Clear(); /* a module may have lost its name */
    return name != NULL && strcmp(name, "time") == 0;
}

/* Whether this is Python's own function for a clock, and returns what the system's clock shows: libraries for tests
 * replace those of the first two. */
static int shows_the_clock(PyObject *function, uint32_t id)
{
    if (!is_of_time(function))
        return 0;
    if (id > WASI_PREVIEW1_CLOCKID_MONOTONIC)
        return 1;
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
            return ((PlainCalls *)calls)->enabled & plain_bit(i) ? plain_functions[i].function : NULL;
    }
    return NULL;
}

QuickFunction *wasihost_quick_function(PyObject *calls, const char *module, const char *name)
{
    if (Py_TYPE(calls) != calls_type || strcmp(module, "wasi_snapshot_preview1") != 0)
        return NULL;
    for (uint32_t i = 0; i < quick_function_count; i++) {
        if (strcmp(quick_functions[i].name, name) == 0)
            return ((PlainCalls *)calls)->enabled & quick_bit(i) ? quick_functions[i].function : NULL;
    }
    return NULL;
}

/* call(name, memory, *numbers) -> bool: whether the function did the call. For tests: what the engine's door does. */
static PyObject *calls_call(PyObject *self, PyObject *args)
{
    Py_buffer memory;
    witx_slot slots[12] = {{.both = {0, 0}}};
    Py_ssize_t count = PyTuple_Size(args);
    if (count < 2 || count > 14) {
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
    plain_table_free(calls);
    for (uint32_t id = 0; id < PLAIN_CLOCKS; id++)
        Py_XDECREF(calls->clocks[id].function);
    plain_stock_clear(&calls->stock);
    plain_strings_clear(&calls->arguments);
    plain_strings_clear(&calls->environment);
    plain_free_object(self);
}

/* Appends the names of those functions in use, but none twice. */
static bool add_name(PyObject *names, const char *function)
{
    PyObject *name = PyUnicode_FromString(function);
    int contained = name == NULL ? -1 : PySequence_Contains(names, name);
    bool done = contained > 0 || (contained == 0 && PyList_Append(names, name) == 0);
    Py_XDECREF(name);
    return done;
}

static PyObject *get_enabled(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *names = PyList_New(0);
    uint64_t enabled = ((PlainCalls *)self)->enabled;
    for (uint32_t i = 0; names != NULL && i < plain_function_count; i++) {
        if (enabled & plain_bit(i) && !add_name(names, plain_functions[i].name))
            Py_CLEAR(names);
    }
    for (uint32_t i = 0; names != NULL && i < quick_function_count; i++) {
        if (enabled & quick_bit(i) && !add_name(names, quick_functions[i].name))
            Py_CLEAR(names);
    }
    return names;
}

static PyMethodDef calls_methods[] = {
    {"share", plain_share, METH_VARARGS, "Take over the position of an open file; None if its number is too large."},
    {"put", plain_put, METH_VARARGS, "Give a file of this guest a number."},
    {"remove", plain_remove, METH_O, "Leave this number to the Python handlers."},
    {"enable", calls_enable, METH_O, "Use these functions, and no others."},
    {"set_clocks", calls_set_clocks, METH_VARARGS, "Set what reads each clock, and the resolutions in ns."},
    {"set_strings", plain_set_strings, METH_VARARGS,
     "Set arguments, environment, and the most subscriptions of a poll."},
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
    plain_file_type = plain_make_file_type();
    calls_type = (PyTypeObject *)PyType_FromSpec(&calls_spec);
    if (plain_file_type == NULL || calls_type == NULL)
        return -1;
    return PyModule_AddObjectRef(module, "PlainFile", (PyObject *)plain_file_type) < 0 ||
                   PyModule_AddObjectRef(module, "PlainCalls", (PyObject *)calls_type) < 0
               ? -1
               : 0;
}
