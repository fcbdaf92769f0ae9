/* A store of the engine, and views of the memory in it. Each view owns the store: one that is kept after the run reads
 * the guest's last bytes, never freed ones. */
#include "door.h"

static PyTypeObject *store_type;

Store *store_new(void *engine_pointer, void *data)
{
    Store *store = PyObject_New(Store, store_type);
    if (store == NULL)
        return NULL;
    store->base = NULL;
    store->size = 0;
    store->pointer = engine.store_new(engine_pointer, data, NULL);
    store->context = engine.store_context(store->pointer);
    return store;
}

/* Deleting unmaps the memory, which may take long, and takes locks of the engine. */
static void store_dealloc(PyObject *self)
{
    Store *store = (Store *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject *token = NULL;
    PyObject *raised = take_raised();
    if (gate_enter(&token) < 0)
        PyErr_WriteUnraisable(NULL); /* of a signal handler, while another thread forks */
    Py_BEGIN_ALLOW_THREADS;
    engine.store_delete(store->pointer);
    Py_END_ALLOW_THREADS;
    gate_leave(token);
    put_raised(raised);
    PyObject_Free(self);
    Py_DECREF(type);
}

static int store_get_buffer(PyObject *self, Py_buffer *view, int flags)
{
    Store *store = (Store *)self;
    return PyBuffer_FillInfo(view, self, store->base, (Py_ssize_t)store->size, 0, flags);
}

/* A writable view of `size` bytes at `base`, a new reference. */
PyObject *store_view(Store *store, char *base, size_t size)
{
    if (size == 0) {
        Py_INCREF(adapter.empty);
        return adapter.empty;
    }
    store->base = base;
    store->size = size;
    return PyMemoryView_FromObject((PyObject *)store);
}

static PyObject *store_get_context(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromVoidPtr(((Store *)self)->context);
}

static PyObject *store_get_pointer(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromVoidPtr(((Store *)self)->pointer);
}

static PyGetSetDef attributes[] = {
    {"context", store_get_context, NULL, "The address of its `wasmtime_context_t`.", NULL},
    {"ptr", store_get_pointer, NULL, "The address of its `wasmtime_store_t`.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "A store of the engine. A Door makes it."},
    {Py_tp_dealloc, store_dealloc},
    {Py_tp_getset, attributes},
    {Py_bf_getbuffer, store_get_buffer},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "wasihost.native._native.Store",
    .basicsize = sizeof(Store),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

int add_store(PyObject *module)
{
    store_type = (PyTypeObject *)PyType_FromSpec(&spec);
    return store_type == NULL ? -1 : PyModule_AddType(module, store_type);
}
