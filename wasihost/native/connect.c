/* The engine's functions, by their addresses, and what the door asks of the adapter in Python. */
#include "door.h"

Engine engine;
Adapter adapter;

/* The names of the fields of `Engine`, in their order. */
static const char *const names[] = {
    "wasmtime_store_new",
    "wasmtime_store_context",
    "wasmtime_store_delete",
    "wasmtime_store_limiter",
    "wasmtime_store_epoch_deadline_callback",
    "wasmtime_context_set_epoch_deadline",
    "wasmtime_context_get_data",
    "wasmtime_caller_context",
    "wasmtime_caller_export_get",
    "wasmtime_instance_export_get",
    "wasmtime_memory_data",
    "wasmtime_memory_data_size",
    "wasmtime_trap_new",
    "wasm_trap_delete",
    "wasmtime_error_new",
    "wasmtime_error_delete",
    "wasmtime_linker_instantiate",
    "wasmtime_instance_pre_instantiate",
    "wasmtime_func_call_unchecked",
};

enum { NAMES = sizeof names / sizeof *names, PARTS = sizeof(Adapter) / sizeof(PyObject *) };

_Static_assert(sizeof(Engine) == NAMES * sizeof(void *), "a name for each function");

static PyObject *engine_functions(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(nothing))
{
    PyObject *found = PyTuple_New(NAMES);
    for (Py_ssize_t i = 0; found != NULL && i < NAMES; i++) {
        PyObject *name = PyUnicode_FromString(names[i]);
        if (name == NULL || PyTuple_SetItem(found, i, name) < 0)
            Py_CLEAR(found);
    }
    return found;
}

static PyObject *connect(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *addresses, *parts, *mine[PARTS];
    void *functions[NAMES];
    if (!PyArg_ParseTuple(args, "O!O!", &PyTuple_Type, &addresses, &PyTuple_Type, &parts))
        return NULL;
    if (PyTuple_Size(addresses) != NAMES || PyTuple_Size(parts) != PARTS)
        return PyErr_Format(PyExc_TypeError, "%d addresses and %d parts are needed", (int)NAMES, (int)PARTS);
    for (Py_ssize_t i = 0; i < NAMES; i++) {
        functions[i] = PyLong_AsVoidPtr(PyTuple_GetItem(addresses, i));
        if (functions[i] == NULL)
            return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "%s has no address", names[i]);
    }
    for (Py_ssize_t i = 0; i < PARTS; i++) {
        mine[i] = PyTuple_GetItem(parts, i);
        Py_INCREF(mine[i]);
    }
    memcpy(&engine, functions, sizeof engine);
    memcpy(&adapter, mine, sizeof adapter); /* permanently: guests may be deleted until the process ends */
    Py_RETURN_NONE;
}

static PyObject *callbacks(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(nothing))
{
    return PyLong_FromVoidPtr((void *)(uintptr_t)call_host);
}

static PyMethodDef functions[] = {
    {"engine_functions", engine_functions, METH_NOARGS, "The names of the engine's functions that `connect` needs."},
    {"connect", connect, METH_VARARGS,
     "Set their addresses, and what the door asks of the adapter (`Adapter` in door.h)."},
    {"callback", callbacks, METH_NOARGS, "The address of the callback of every import; its environment is the index."},
    {NULL, NULL, 0, NULL},
};

int wasihost_add_door(PyObject *module)
{
    if (PyModule_AddFunctions(module, functions) < 0 || add_store(module) < 0 || add_door(module) < 0)
        return -1;
    return add_enter(module) < 0 ? -1 : add_export(module);
}
