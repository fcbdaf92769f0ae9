/* From the guest to the host: what the engine calls for an import, and when it is time to look whether to end. */
#include "door.h"

static const char trap_text[] = "stopped by the host";

/* Take what was raised into the door. */
static void keep_raised(Door *door)
{
    PyObject *before = door->raised;
    door->raised = take_raised();
    Py_XDECREF(before);
}

/* 0: the number is in the slot. -1 without an exception: it is no plain number of this kind. */
static int put_plain(char kind, PyObject *value, Slot *slot)
{
    if (kind == 'd' || kind == 'f') {
        double number;
        if (!PyFloat_CheckExact(value))
            return -1;
        number = PyFloat_AsDouble(value);
        if (kind == 'd')
            slot->f64 = number;
        else if (number != number || (number <= 3.4028234e38 && number >= -3.4028234e38))
            slot->f32 = (float)number;
        else
            return -1;
        return 0;
    }
    if (!PyLong_Check(value))
        return -1;
    if (kind == 'Q') {
        slot->u64 = PyLong_AsUnsignedLongLong(value);
        if (slot->u64 == UINT64_MAX && PyErr_Occurred()) {
            PyErr_Clear();
            return -1;
        }
        return 0;
    }
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow || (kind == 'I' && (number < 0 || number > UINT32_MAX)) ||
        (kind == 'i' && (number < INT32_MIN || number > INT32_MAX)))
        return -1;
    slot->s64 = number;
    return 0;
}

/* Put what a function returned into the slots. What is no plain number is left to `struct`, by the adapter. */
static int put_results(Function *function, const char *kinds, Py_ssize_t count, PyObject *returned, Slot *slots)
{
    if (count == 0)
        return 0;
    if (count == 1) {
        if (put_plain(kinds[0], returned, slots) == 0)
            return 0;
    } else if (PyTuple_Check(returned) && PyTuple_Size(returned) == count) {
        Py_ssize_t done = 0;
        while (done < count && put_plain(kinds[done], PyTuple_GetItem(returned, done), &slots[done]) == 0)
            done++;
        if (done == count)
            return 0;
    }
    PyObject *packed = PyObject_CallFunctionObjArgs(adapter.pack, function->signature, returned, NULL);
    if (packed == NULL)
        return -1;
    char *bytes;
    Py_ssize_t length;
    int failed = PyBytes_AsStringAndSize(packed, &bytes, &length);
    if (!failed)
        memcpy(slots, bytes,
               (size_t)length < (size_t)count * sizeof(Slot) ? (size_t)length : (size_t)count * sizeof(Slot));
    Py_DECREF(packed);
    return failed;
}

/* Call a function of Python's with the numbers in the slots. */
static int call_python(Function *function, Slot *slots)
{
    enum { FEW = 24 };
    PyObject *few[FEW + 1], **args = few;
    Py_ssize_t count, results, given = 0;
    const char *kinds = PyUnicode_AsUTF8AndSize(function->slots, &count);
    const char *result_kinds = PyUnicode_AsUTF8AndSize(function->result_slots, &results);
    if (kinds == NULL || result_kinds == NULL)
        return -1;
    if (count > FEW && (args = PyMem_Malloc(((size_t)count + 1) * sizeof *args)) == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    while (given < count && (args[given + 1] = number_of(kinds[given], &slots[given])) != NULL)
        given++;
    PyObject *returned = NULL;
    if (given == count)
        returned =
            PyObject_Vectorcall(function->callable, args + 1, (size_t)count | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    while (given > 0)
        Py_DECREF(args[given--]);
    if (args != few)
        PyMem_Free(args);
    if (returned == NULL)
        return -1;
    int failed = put_results(function, result_kinds, results, returned, slots);
    Py_DECREF(returned);
    return failed;
}

/* The memory of a guest that calls from its start section, before its instance is known. */
static int look_through(Door *door, void *caller)
{
    Extern found;
    door->looks = false;
    if (!engine.caller_export_get(caller, "memory", 6, &found) || found.kind != EXTERN_MEMORY)
        return 0;
    door->memory = found;
    return door_see(door);
}

/* Do the call in C if that can be, else by the stub. -1: an exception is set, which ends the run. */
static int call_stub(Door *door, Function *function, Slot *slots)
{
    if (function->quick != NULL) {
        if (PyErr_CheckSignals() < 0)
            return -1;
        int done = function->quick(function->host, door->base, door->size, slots);
        if (done > 0)
            return 0;
        if (done < 0) { /* as if a handler had raised it */
            WitxCall call;
            witx_begin(&call, function->stub, NULL);
            witx_raised(&call);
            return witx_end(&call, slots);
        }
    }
    return function->stub->function->call(function->stub, slots);
}

/* The callback of every import; `environment` is its index. */
void *call_host(void *environment, void *caller, Slot *slots, size_t Py_UNUSED(count))
{
    Door *door = engine.context_get_data(engine.caller_context(caller));
    Function *function = &door->functions[(uintptr_t)environment];
    void *trap = NULL;
    if (function->plain != NULL && door->may_be_plain &&
        (!door->heeds || door->seen == atomic_load_explicit(&handler_changes, memory_order_relaxed)) &&
        function->plain((PlainCalls *)door->plain, door->base, door->size, slots))
        return NULL;
    PyEval_RestoreThread(door->thread);
    if ((door->looks && look_through(door, caller) < 0) ||
        (function->stub != NULL ? call_stub(door, function, slots) : call_python(function, slots)) < 0) {
        keep_raised(door);
        trap = engine.trap_new(trap_text, sizeof trap_text - 1);
    }
    door->thread = PyEval_SaveThread();
    return trap;
}

/* Called back by the engine when its epoch was incremented: the guest continues unless its scope or a signal handler
 * raises. */
void *check_scope(void *Py_UNUSED(context), void *data, uint64_t *delta, uint8_t *kind)
{
    Door *door = data;
    void *error = NULL;
    PyEval_RestoreThread(door->thread);
    PyObject *checked = PyErr_CheckSignals() < 0 ? NULL : PyObject_CallFunctionObjArgs(door->check, NULL);
    if (checked == NULL) {
        keep_raised(door);
        error = engine.error_new(trap_text);
    } else {
        Py_DECREF(checked);
        *delta = 1;
        *kind = 0; /* WASMTIME_UPDATE_DEADLINE_CONTINUE */
    }
    door->thread = PyEval_SaveThread();
    return error;
}
