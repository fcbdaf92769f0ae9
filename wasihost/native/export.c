/* Exported functions of an instance, as Python calls them: numbers in, numbers out. */
#include "door.h"

PyObject *ended;

/* An exported function of an instance. `params` and `results` have a `struct` character per number. */
typedef struct {
    PyObject_HEAD vectorcallfunc vectorcall;
    Door *door;
    PyObject *params, *results; /* texts */
    PyObject *refuse;           /* (*numbers) -> bytes of their slots; raises for what cannot be passed */
    Extern function;
} Export;

static PyTypeObject *export_type;

typedef struct {
    const void *function;
    Slot *slots;
    size_t count;
} Call;

static void *call(Door *door, void *arguments, void **trap)
{
    Call *one = arguments;
    return engine.func_call_unchecked(door->store->context, one->function, one->slots, one->count, trap);
}

/* Put plain numbers into the slots; false for any other. */
static bool put_numbers(const char *kinds, PyObject *const *numbers, Py_ssize_t count, Slot *slots)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *number = numbers[i];
        if (kinds[i] == 'd' && PyFloat_CheckExact(number)) {
            slots[i].f64 = PyFloat_AsDouble(number);
        } else if ((kinds[i] == 'i' || kinds[i] == 'q') && PyLong_CheckExact(number)) {
            int overflow;
            long long value = PyLong_AsLongLongAndOverflow(number, &overflow);
            if (overflow || (kinds[i] == 'i' && (value < INT32_MIN || value > UINT32_MAX)))
                return false;
            slots[i].s64 = kinds[i] == 'i' ? (int64_t)(uint32_t)value : value;
        } else {
            return false;
        }
    }
    return true;
}

static PyObject *results_of(const char *kinds, Py_ssize_t count, const Slot *slots)
{
    if (count == 0)
        Py_RETURN_NONE;
    if (count == 1)
        return number_of(kinds[0], slots);
    PyObject *results = PyTuple_New(count);
    for (Py_ssize_t i = 0; results != NULL && i < count; i++) {
        PyObject *one = number_of(kinds[i], &slots[i]);
        if (one == NULL || PyTuple_SetItem(results, i, one) < 0)
            Py_CLEAR(results);
    }
    return results;
}

/* Call it with numbers: what it returns, or `ENDED`. */
static PyObject *export_call(PyObject *self, PyObject *const *numbers, size_t flags, PyObject *names)
{
    enum { FEW = 16 };
    Export *export = (Export *)self;
    Slot few[FEW], *slots = few;
    Py_ssize_t given = PyVectorcall_NARGS(flags), takes, gives;
    const char *params = PyUnicode_AsUTF8AndSize(export->params, &takes);
    const char *results = PyUnicode_AsUTF8AndSize(export->results, &gives);
    Py_ssize_t count = takes > gives ? takes : gives;
    PyObject *returned = NULL;
    if (params == NULL || results == NULL)
        return NULL;
    if (count > FEW && (slots = PyMem_Calloc((size_t)count, sizeof *slots)) == NULL)
        return PyErr_NoMemory();
    if (names != NULL || given != takes || !put_numbers(params, numbers, takes, slots)) {
        char *bytes;
        Py_ssize_t length;
        PyObject *packed = PyObject_Vectorcall(export->refuse, numbers, (size_t)given, names);
        if (packed == NULL || PyBytes_AsStringAndSize(packed, &bytes, &length) < 0) {
            Py_XDECREF(packed);
            goto out;
        }
        memcpy(slots, bytes,
               (size_t)length < (size_t)takes * sizeof(Slot) ? (size_t)length : (size_t)takes * sizeof(Slot));
        Py_DECREF(packed);
    }
    Call one = {export->function.item, slots, (size_t)count};
    int result = door_enter(export->door, call, &one);
    if (result > 0) {
        Py_INCREF(ended);
        returned = ended;
    } else if (result == 0) {
        returned = results_of(results, gives, slots);
    }
out:
    if (slots != few)
        PyMem_Free(slots);
    return returned;
}

PyObject *door_export(PyObject *self, PyObject *args)
{
    Door *door = (Door *)self;
    const char *name;
    Py_ssize_t length;
    PyObject *params, *results, *refuse;
    Extern found;
    if (!PyArg_ParseTuple(args, "s#UUO", &name, &length, &params, &results, &refuse))
        return NULL;
    if (door->store == NULL) {
        PyErr_SetObject(PyExc_RuntimeError, adapter.closed);
        return NULL;
    }
    if (!engine.instance_export_get(door->store->context, door->instance, name, (size_t)length, &found) ||
        found.kind != EXTERN_FUNC)
        Py_RETURN_NONE;
    Export *export = (Export *)PyType_GenericAlloc(export_type, 0);
    if (export == NULL)
        return NULL;
    export->vectorcall = export_call;
    export->function = found;
    Py_INCREF((PyObject *)door);
    export->door = door;
    Py_INCREF(params);
    export->params = params;
    Py_INCREF(results);
    export->results = results;
    Py_INCREF(refuse);
    export->refuse = refuse;
    return (PyObject *)export;
}

static int export_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((Export *)self)->door);
    Py_VISIT(((Export *)self)->refuse);
    return 0;
}

static void export_dealloc(PyObject *self)
{
    Export *export = (Export *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF((PyObject *)export->door);
    Py_XDECREF(export->params);
    Py_XDECREF(export->results);
    Py_XDECREF(export->refuse);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMemberDef members[] = {
    {"__vectorcalloffset__", Py_T_PYSSIZET, offsetof(Export, vectorcall), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "An exported function. A Door makes it."},
    {Py_tp_dealloc, export_dealloc},
    {Py_tp_traverse, export_traverse},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_members, members},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "wasihost.native._native.Export",
    .basicsize = sizeof(Export),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

int add_export(PyObject *module)
{
    export_type = (PyTypeObject *)PyType_FromSpec(&spec);
    ended = PyUnicode_FromString("the guest has ended");
    if (export_type == NULL || ended == NULL || PyModule_AddObjectRef(module, "ENDED", ended) < 0)
        return -1;
    return PyModule_AddType(module, export_type);
}
