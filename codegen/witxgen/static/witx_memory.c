/* A guest's memory: views of it, and what an access beyond its known size means.

   Rules of this file: those of witx.h. */

#include "witx.h"

PyTypeObject *witx_memory_type;
static WitxMemory *no_memory;

/* A new object of a type, all of it zero. */
PyObject *witx_make(PyTypeObject *type)
{
    return ((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
}

/* Whether a tuple keeps its hash. Zeros are one, so only tuple.__new__ makes a record whose hash is right. */
static int tuples_keep_hashes(void)
{
    return Py_Version >= 0x030e0000;
}

/* A tuple of `count` items that are still to be set, to be made a record of this class by `witx_end_record`. */
PyObject *witx_begin_record(PyObject *class, Py_ssize_t count)
{
    if (tuples_keep_hashes())
        return PyTuple_New(count);
    return ((allocfunc)PyType_GetSlot((PyTypeObject *)class, Py_tp_alloc))((PyTypeObject *)class, count);
}

/* The record with these items, which are released. */
PyObject *witx_end_record(PyObject *class, PyObject *items)
{
    if (!tuples_keep_hashes())
        return items;
    PyObject *fields = PyTuple_Pack(1, items);
    PyObject *record = fields != NULL ? witx_new_tuple((PyTypeObject *)class, fields, NULL) : NULL;
    Py_XDECREF(fields);
    Py_DECREF(items);
    return record;
}

/* The end of an object of such a type. */
void witx_free(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

/* Memory that `owner` keeps: each view of it will own `owner`. */
WitxMemory *witx_memory_new(PyObject *owner)
{
    WitxMemory *memory = (WitxMemory *)witx_make(witx_memory_type);
    if (memory != NULL)
        memory->owner = Py_NewRef(owner);
    return memory;
}

static int memory_traverse(WitxMemory *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->owner);
    return 0;
}

static void memory_dealloc(WitxMemory *self)
{
    PyObject_GC_UnTrack(self);
    if (self->source.obj != NULL)
        PyBuffer_Release(&self->source);
    Py_XDECREF(self->owner);
    witx_free((PyObject *)self);
}

static int memory_getbuffer(WitxMemory *self, Py_buffer *buffer, int flags)
{
    if (self->start == NULL) {
        PyErr_SetString(PyExc_BufferError, "views of guest memory are made by its stubs; take a slice of one of them");
        buffer->obj = NULL;
        return -1;
    }
    return PyBuffer_FillInfo(buffer, (PyObject *)self, self->start, self->length, 0, flags);
}

static void memory_releasebuffer(WitxMemory *self, Py_buffer *buffer)
{
    if (buffer->buf == self->kept)
        self->kept = NULL;
}

/* Let go of the list of one buffer that would be used again. */
void witx_forget_kept(WitxGuest *guest)
{
    if (guest->memory != NULL)
        guest->memory->kept = NULL;
    Py_CLEAR(guest->kept_list);
    Py_CLEAR(guest->kept_view);
}

/* Let go of the memory: the end of a run. Views that handlers kept stay valid. */
void witx_guest_forget(WitxGuest *guest)
{
    witx_forget_kept(guest);
    guest->base = NULL;
    guest->size = 0;
    Py_CLEAR(guest->memory);
}

/* A memoryview of `length` bytes at `at`, which are known to be inside the memory. One of no bytes does not own it. */
PyObject *witx_view(WitxGuest *guest, uint32_t at, uint32_t length)
{
    static char no_bytes[1];
    WitxMemory *memory = length != 0 ? guest->memory : no_memory;
    if (memory == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the guest has no memory");
        return NULL;
    }
    /* Making it may run a finalizer, which may make another one. */
    char *const start_before = memory->start;
    const Py_ssize_t length_before = memory->length;
    memory->start = length != 0 ? guest->base + at : no_bytes;
    memory->length = length;
    PyObject *view = PyMemoryView_FromObject((PyObject *)memory);
    memory->start = start_before;
    memory->length = length_before;
    return view;
}

/* `refresh` where no engine provides the memory: the view that the Python half has, and after that a new one. */
int witx_refresh_from_python(WitxGuest *guest)
{
    PyObject *view = guest->memory == NULL ? PyObject_GetAttrString(guest->guest, "view")
                                           : PyObject_CallMethod(guest->guest, "refresh", NULL);
    if (view == NULL)
        return -1;
    WitxMemory *memory = witx_memory_new(view);
    Py_DECREF(view);
    if (memory == NULL)
        return -1;
    if (PyObject_GetBuffer(view, &memory->source, PyBUF_WRITABLE) < 0) {
        memory->source.obj = NULL;
        Py_DECREF(memory);
        return -1;
    }
    witx_forget_kept(guest);
    Py_XDECREF((PyObject *)guest->memory);
    guest->memory = memory;
    guest->base = memory->source.buf;
    guest->size = (uint64_t)memory->source.len;
    return 0;
}

/* As `witx_reach`, where the memory may have grown, or the guest is at fault. */
int witx_reach_slowly(WitxGuest *guest, uint32_t at, uint32_t size, uint32_t align, const char *what)
{
    if (guest->memory == NULL && guest->refresh(guest) < 0)
        return -1;
    if ((at & (align - 1)) == 0) {
        if ((uint64_t)at + size <= guest->size)
            return 0;
        if (guest->refresh(guest) < 0)
            return -1;
        if ((uint64_t)at + size <= guest->size)
            return 0;
    }
    PyObject *fault = PyObject_CallFunction(guest->package->guest_fault, "sIIIK", what, at, size, align,
                                            (unsigned long long)guest->size);
    if (fault != NULL) {
        PyErr_SetObject(guest->package->guest_fault, fault);
        Py_DECREF(fault);
    }
    return -1;
}

static PyType_Slot memory_slots[] = {
    {Py_tp_doc, "What makes memoryviews of a guest's memory, and owns it."},
    {Py_tp_traverse, memory_traverse},
    {Py_tp_dealloc, memory_dealloc},
    {Py_bf_getbuffer, memory_getbuffer},
    {Py_bf_releasebuffer, memory_releasebuffer},
    {0, NULL},
};
static PyType_Spec memory_spec = {
    .name = "witx.Memory",
    .basicsize = sizeof(WitxMemory),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = memory_slots,
};

/* Make the type of memories, and one for views of no bytes. */
int witx_add_memory(void)
{
    witx_memory_type = (PyTypeObject *)PyType_FromSpec(&memory_spec);
    no_memory = witx_memory_type != NULL ? witx_memory_new(Py_None) : NULL;
    return no_memory != NULL ? 0 : -1;
}
