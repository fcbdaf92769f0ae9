/* One instance: its functions, its memory, who is inside, and how it ended. */
#include "door.h"

PyTypeObject *door_type;

/* -- who is inside ------------------------------------------------------------------------------------------------ */

/* Hold the door for this thread; -1 and RuntimeError if another thread does. */
int door_hold(Door *door)
{
    unsigned long thread = PyThread_get_thread_ident();
    if (door->held && door->owner != thread) {
        PyErr_SetObject(PyExc_RuntimeError, adapter.busy);
        return -1;
    }
    door->owner = thread;
    door->held++;
    return 0;
}

void door_release(Door *door)
{
    door->held--;
}

static PyObject *door_enter_held(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    if (door_hold((Door *)self) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *door_exit_held(PyObject *self, PyObject *Py_UNUSED(args))
{
    door_release((Door *)self);
    Py_RETURN_NONE;
}

static PyObject *door_is_mine(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    Door *door = (Door *)self;
    return PyBool_FromLong(door->held && door->owner == PyThread_get_thread_ident());
}

/* -- how it ended ------------------------------------------------------------------------------------------------- */

/* Free what is left of an end that nobody has taken. */
void door_drop_end(Door *door)
{
    Py_CLEAR(door->raised);
    if (door->trap != NULL)
        engine.trap_delete(door->trap);
    if (door->error != NULL)
        engine.error_delete(door->error);
    door->trap = door->error = NULL;
}

/* (what was raised in a list, the address of the engine's error, of its trap): the caller owns them. */
static PyObject *door_take_end(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    Door *door = (Door *)self;
    PyObject *raised = PyList_New(0);
    if (raised == NULL || (door->raised != NULL && PyList_Append(raised, door->raised) < 0)) {
        Py_XDECREF(raised);
        return NULL;
    }
    PyObject *end = Py_BuildValue("NKK", raised, (unsigned long long)(uintptr_t)door->error,
                                  (unsigned long long)(uintptr_t)door->trap);
    if (end != NULL) {
        Py_CLEAR(door->raised);
        door->trap = door->error = NULL;
    }
    return end;
}

/* -- its life ----------------------------------------------------------------------------------------------------- */

static void drop_functions(Door *door)
{
    Function *functions = door->functions;
    Py_ssize_t count = door->count;
    door->functions = NULL;
    door->count = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (functions[i].stub != NULL)
            door_withdraw(door, functions[i].stub);
        Py_XDECREF(functions[i].callable);
        Py_XDECREF(functions[i].host);
        Py_XDECREF(functions[i].signature);
        Py_XDECREF(functions[i].slots);
        Py_XDECREF(functions[i].result_slots);
    }
    PyMem_Free(functions);
}

/* Take (item, signature, stub) of each import. `plain` is a PlainCalls, or None. */
static int take_functions(Door *door, PyObject *wanted, PyObject *plain)
{
    Py_ssize_t count = PyList_Size(wanted);
    if (count < 0 || (door->functions = PyMem_Calloc((size_t)count + 1, sizeof *door->functions)) == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    door->count = count;
    for (Py_ssize_t i = 0; i < count; i++) {
        Function *function = &door->functions[i];
        if (!PyArg_ParseTuple(PyList_GetItem(wanted, i), "OOO", &function->callable, &function->signature,
                              &function->callable))
            return -1;
        Py_INCREF(function->callable);
        Py_INCREF(function->signature);
        function->stub = witx_stub(function->callable);
        if (function->stub != NULL && function->stub->guest->guest != door->guest)
            function->stub = NULL; /* another State's: it has its own memory */
        if (function->stub != NULL) {
            door_provide(door, function->stub);
            function->plain =
                wasihost_plain_function(plain, function->stub->function->module, function->stub->function->name);
            function->quick =
                wasihost_quick_function(plain, function->stub->function->module, function->stub->function->name);
            if (function->quick != NULL &&
                (function->host = PyObject_GetAttrString(function->stub->handler, "__self__")) == NULL) {
                PyErr_Clear(); /* the handler is no method of the host: it needs each call */
                function->quick = NULL;
            }
            continue;
        }
        function->slots = PyObject_GetAttrString(function->signature, "slots");
        function->result_slots = PyObject_GetAttrString(function->signature, "result_slots");
        if (function->slots == NULL || function->result_slots == NULL)
            return -1;
    }
    return 0;
}

static PyObject *door_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(options))
{
    return PyType_GenericAlloc(type, 0);
}

static void *address(unsigned long long number)
{
    return (void *)(uintptr_t)number;
}

/* Make the store and take all that the guest gets. */
static PyObject *door_open(PyObject *self, PyObject *args)
{
    Door *door = (Door *)self;
    unsigned long long engine_address, ticks;
    long long memory, elements;
    PyObject *guest, *wanted, *owner, *scope, *plain;
    int looks;
    if (!PyArg_ParseTuple(args, "KOO!OOKLLpO", &engine_address, &guest, &PyList_Type, &wanted, &owner, &scope, &ticks,
                          &memory, &elements, &looks, &plain))
        return NULL;
    if (door->guest != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a door is opened once");
        return NULL;
    }
    Py_INCREF(guest);
    door->guest = guest;
    Py_INCREF(owner);
    door->engine = owner;
    if (scope != Py_None) {
        Py_INCREF(scope);
        door->scope = scope;
        if ((door->check = PyObject_GetAttrString(scope, "check")) == NULL)
            return NULL;
    }
    if (plain != Py_None) {
        Py_INCREF(plain);
        door->plain = plain;
    }
    if (take_functions(door, wanted, plain) < 0 || (door->store = store_new(address(engine_address), door)) == NULL)
        return NULL;
    door->looks = looks;
    if (memory >= 0)
        engine.store_limiter(door->store->pointer, memory, elements, -1, -1, -1);
    if (door->scope != NULL)
        engine.store_epoch_deadline_callback(door->store->pointer, check_scope, door, NULL);
    if (ticks != 0)
        engine.context_set_epoch_deadline(door->store->context, ticks);
    Py_RETURN_NONE;
}

static int door_clear(PyObject *self)
{
    Door *door = (Door *)self;
    if (door->functions != NULL)
        drop_functions(door);
    door_drop_end(door);
    Py_CLEAR(door->guest);
    Py_CLEAR(door->engine);
    Py_CLEAR(door->scope);
    Py_CLEAR(door->check);
    Py_CLEAR(door->plain);
    Py_CLEAR(door->view);
    Py_CLEAR(door->store);
    return 0;
}

static int door_traverse(PyObject *self, visitproc visit, void *arg)
{
    Door *door = (Door *)self;
    Py_VISIT(Py_TYPE(self));
    for (Py_ssize_t i = 0; i < door->count; i++) {
        Py_VISIT(door->functions[i].callable);
        Py_VISIT(door->functions[i].host);
        Py_VISIT(door->functions[i].signature);
    }
    Py_VISIT(door->guest);
    Py_VISIT(door->engine);
    Py_VISIT(door->scope);
    Py_VISIT(door->check);
    Py_VISIT(door->plain);
    Py_VISIT(door->view);
    Py_VISIT(door->raised);
    return 0;
}

static void door_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    door_clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

/* Release everything; views of the memory stay valid. */
static PyObject *door_close(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    Door *door = (Door *)self;
    if (door_hold(door) < 0)
        return NULL;
    if (door->depth)
        PyErr_SetString(PyExc_RuntimeError, "the guest is running: end it, and close it when its call has returned");
    else
        door_clear(self);
    door_release(door);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

/* -- as Python sees it -------------------------------------------------------------------------------------------- */

static PyObject *door_get_store(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *store = ((Door *)self)->store == NULL ? Py_None : (PyObject *)((Door *)self)->store;
    Py_INCREF(store);
    return store;
}

static PyObject *door_get_instance(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromVoidPtr(((Door *)self)->instance);
}

static PyObject *door_get_depth(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromLong(((Door *)self)->depth);
}

static PyObject *door_get_has_memory(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((Door *)self)->has_memory);
}

static PyMethodDef methods[] = {
    {"__enter__", door_enter_held, METH_NOARGS, "Hold it for this thread; RuntimeError if another thread does."},
    {"__exit__", door_exit_held, METH_VARARGS, "Let it go."},
    {"is_mine", door_is_mine, METH_NOARGS, "Whether this thread holds it."},
    {"bind", door_bind, METH_O, "Show the memory of the extern at this address to the stubs."},
    {"take_end", door_take_end, METH_NOARGS, "Why the guest ended: ([what was raised], error, trap)."},
    {"open", door_open, METH_VARARGS, "Make the store, and take all that the guest gets."},
    {"instantiate", door_instantiate, METH_VARARGS, "Make the instance; False if the guest has ended."},
    {"export", door_export, METH_VARARGS, "An exported function; None if there is none that can be called."},
    {"close", door_close, METH_NOARGS, "Release everything; views of the memory stay valid."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef attributes[] = {
    {"store", door_get_store, NULL, "The store; None when it is closed.", NULL},
    {"instance", door_get_instance, NULL, "The address of its `wasmtime_instance_t`.", NULL},
    {"depth", door_get_depth, NULL, "How many calls of the guest are running.", NULL},
    {"has_memory", door_get_has_memory, NULL, "Whether the guest's memory is known.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "One instance of a module: its functions and memory. Called, it returns a view of the memory."},
    {Py_tp_new, door_new},
    {Py_tp_dealloc, door_dealloc},
    {Py_tp_traverse, door_traverse},
    {Py_tp_clear, door_clear},
    {Py_tp_call, door_call},
    {Py_tp_methods, methods},
    {Py_tp_getset, attributes},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "wasihost.native._native.Door",
    .basicsize = sizeof(Door),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

int add_door(PyObject *module)
{
    door_type = (PyTypeObject *)PyType_FromSpec(&spec);
    return door_type == NULL ? -1 : PyModule_AddType(module, door_type);
}
