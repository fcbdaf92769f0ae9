/* The runtime as Python sees it: guests and stubs as objects.

   Rules of this file: those of witx.h. Types and names are static, since one interpreter of a process uses them. */

#include "witx.h"
#include <structmember.h>

newfunc witx_new_tuple;
PyObject *witx_pack, *witx_pack_into;
static PyTypeObject *guest_type, *stub_type;

/* -- guests and stubs ------------------------------------------------------------------------------------------------
 */

/* Guest(package, guest) */
static PyObject *guest_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    const char *name;
    PyObject *guest;
    if (kwargs != NULL && PyDict_Size(kwargs) != 0) {
        PyErr_SetString(PyExc_TypeError, "Guest takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "sO:Guest", &name, &guest))
        return NULL;
    WitxPackage *package = witx_find_package(name);
    if (package == NULL || witx_load_package(package, name) < 0)
        return NULL;
    WitxGuest *self = (WitxGuest *)witx_make(type);
    if (self == NULL)
        return NULL;
    self->refresh = witx_refresh_from_python;
    self->package = package;
    self->guest = Py_NewRef(guest);
    return (PyObject *)self;
}

static int guest_traverse(WitxGuest *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->memory);
    Py_VISIT(self->guest);
    Py_VISIT(self->kept_list);
    Py_VISIT(self->kept_view);
    return 0;
}

static int guest_clear(WitxGuest *self)
{
    witx_guest_forget(self);
    return 0;
}

static void guest_dealloc(WitxGuest *self)
{
    PyObject_GC_UnTrack(self);
    witx_guest_forget(self);
    Py_XDECREF((PyObject *)self->guest);
    witx_free((PyObject *)self);
}

/* A number of Python's as the canonical one of a slot. */
static int fill_slot(witx_slot *slot, char character, PyObject *value)
{
    if (character == 'f' || character == 'd') {
        double number = PyFloat_AsDouble(value);
        if (character == 'f')
            slot->f32 = (float)number;
        else
            slot->f64 = number;
    } else {
        slot->u64 = PyLong_AsUnsignedLongLongMask(value);
        if (character == 'I' || character == 'i')
            slot->u64 &= UINT32_MAX;
    }
    return PyErr_Occurred() != NULL ? -1 : 0;
}

/* The result of a function as Python sees it. */
static PyObject *result(const WitxFunction *function, const witx_slot *slots)
{
    switch (function->result_slots[0]) {
    case 'I':
        return PyLong_FromUnsignedLong(slots[0].u32);
    case 'i':
        return PyLong_FromLong(slots[0].s32);
    case 'Q':
        return PyLong_FromUnsignedLongLong(slots[0].u64);
    case 'q':
        return PyLong_FromLongLong(slots[0].s64);
    case 'f':
        return PyFloat_FromDouble(slots[0].f32);
    case 'd':
        return PyFloat_FromDouble(slots[0].f64);
    default:
        return Py_NewRef(Py_None);
    }
}

/* Call a stub with the memory that the Python half has now, and leave the guest as it was: an engine may be using it.
 */
static PyObject *call_apart(WitxStub *self, witx_slot *slots)
{
    WitxGuest *guest = self->guest;
    witx_forget_kept(guest);
    const WitxGuest before = *guest;
    guest->base = NULL;
    guest->size = 0;
    guest->memory = NULL;
    guest->refresh = witx_refresh_from_python;
    int status = self->function->call(self, slots);
    witx_forget_kept(guest);
    Py_XDECREF((PyObject *)guest->memory);
    guest->base = before.base;
    guest->size = before.size;
    guest->memory = before.memory;
    guest->refresh = before.refresh;
    return status == 0 ? result(self->function, slots) : NULL;
}

/* A call with numbers, from Python. */
static PyObject *stub_from_python(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *names)
{
    WitxStub *self = (WitxStub *)callable;
    const WitxFunction *function = self->function;
    Py_ssize_t count = PyVectorcall_NARGS(nargsf), wanted = (Py_ssize_t)strlen(function->slots);
    witx_slot few[16], *slots = few;
    PyObject *returned = NULL;
    if (count != wanted || (names != NULL && PyTuple_Size(names) != 0)) {
        PyErr_Format(PyExc_TypeError, "%s() takes %zd numbers by position, %zd given", function->method, wanted, count);
        return NULL;
    }
    if (count > (Py_ssize_t)(sizeof few / sizeof *few)) {
        slots = PyMem_Malloc((size_t)count * sizeof *slots);
        if (slots == NULL)
            return PyErr_NoMemory();
    }
    int status = 0;
    for (Py_ssize_t i = 0; status == 0 && i < count; i++)
        status = fill_slot(&slots[i], function->slots[i], args[i]);
    if (status == 0)
        returned = call_apart(self, slots);
    if (slots != few)
        PyMem_Free(slots);
    return returned;
}

static int stub_traverse(WitxStub *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->guest);
    Py_VISIT(self->handler);
    return 0;
}

static void stub_dealloc(WitxStub *self)
{
    PyObject_GC_UnTrack(self);
    Py_XDECREF((PyObject *)self->guest);
    Py_XDECREF(self->handler);
    witx_free((PyObject *)self);
}

static PyObject *stub_repr(WitxStub *self)
{
    return PyUnicode_FromFormat("<stub %s of %s, in C>", self->function->name, self->function->module);
}

static PyObject *stub_name(WitxStub *self, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(self->function->method);
}

/* The stub that `object` is, or NULL, without an exception. */
WitxStub *witx_stub(PyObject *object)
{
    return Py_IS_TYPE(object, stub_type) ? (WitxStub *)object : NULL;
}

/* stub(handlers, module, name) */
static PyObject *guest_stub(WitxGuest *self, PyObject *args)
{
    PyObject *handlers;
    const char *module, *name;
    const WitxPackage *package = self->package;
    if (!PyArg_ParseTuple(args, "Oss:stub", &handlers, &module, &name))
        return NULL;
    for (size_t i = 0; i < package->function_count; i++) {
        const WitxFunction *function = &package->functions[i];
        if (strcmp(function->name, name) != 0 || strcmp(function->module, module) != 0)
            continue;
        PyObject *handler = PyObject_GetAttrString(handlers, function->method);
        WitxStub *stub = handler != NULL ? (WitxStub *)witx_make(stub_type) : NULL;
        if (stub == NULL) {
            Py_XDECREF(handler);
            return NULL;
        }
        stub->vectorcall = stub_from_python;
        stub->function = function;
        stub->guest = (WitxGuest *)Py_NewRef((PyObject *)self);
        stub->handler = handler;
        return (PyObject *)stub;
    }
    PyErr_Format(PyExc_KeyError, "%s has no function %s of a module %s", package->name, name, module);
    return NULL;
}

/* functions(package) */
static PyObject *functions(PyObject *module, PyObject *args)
{
    const char *name;
    (void)module;
    if (!PyArg_ParseTuple(args, "s:functions", &name))
        return NULL;
    const WitxPackage *package = witx_find_package(name);
    PyObject *list = package != NULL ? PyList_New(0) : NULL;
    for (size_t i = 0; list != NULL && i < package->function_count; i++) {
        PyObject *one = Py_BuildValue("(ss)", package->functions[i].module, package->functions[i].name);
        if (one == NULL || PyList_Append(list, one) < 0)
            Py_CLEAR(list);
        Py_XDECREF(one);
    }
    return list;
}

/* codecs(package) */
static PyObject *codecs_of(PyObject *module, PyObject *args)
{
    const char *name;
    (void)module;
    if (!PyArg_ParseTuple(args, "s:codecs", &name))
        return NULL;
    WitxPackage *package = witx_find_package(name);
    PyObject *list = package != NULL && witx_load_package(package, name) == 0 ? PyList_New(0) : NULL;
    for (size_t i = 0; list != NULL && i < package->codec_count; i++) {
        if (PyList_Append(list, package->codecs[i]) < 0)
            Py_CLEAR(list);
    }
    return list;
}

/* -- types -----------------------------------------------------------------------------------------------------------
 */

static PyMethodDef guest_methods[] = {
    {"stub", (PyCFunction)(void (*)(void))guest_stub, METH_VARARGS,
     PyDoc_STR("stub(handlers, module, name): the stub of a function, bound to the handlers' method of its name.")},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot guest_slots[] = {
    {Py_tp_doc, "Guest(package, guest): a guest, as the stubs in C of a package see it; `guest` is the package's own."},
    {Py_tp_new, guest_new},
    {Py_tp_traverse, guest_traverse},
    {Py_tp_clear, guest_clear},
    {Py_tp_dealloc, guest_dealloc},
    {Py_tp_methods, guest_methods},
    {0, NULL},
};
static PyType_Spec guest_spec = {
    .name = "witx.Guest",
    .basicsize = sizeof(WitxGuest),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = guest_slots,
};

static PyMemberDef stub_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(WitxStub, vectorcall), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};
static PyGetSetDef stub_properties[] = {
    {"__name__", (getter)stub_name, NULL, "The handler's method.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot stub_slots[] = {
    {Py_tp_doc, "A function of a spec, bound to a handler and a guest: numbers in, the errno out."},
    {Py_tp_traverse, stub_traverse},
    {Py_tp_dealloc, stub_dealloc},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_repr, stub_repr},
    {Py_tp_members, stub_members},
    {Py_tp_getset, stub_properties},
    {0, NULL},
};
static PyType_Spec stub_spec = {
    .name = "witx.Stub",
    .basicsize = sizeof(WitxStub),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = stub_slots,
};

static PyMethodDef module_functions[] = {
    {"functions", functions, METH_VARARGS,
     PyDoc_STR("functions(package): the import module and the name of each function.")},
    {"codecs", codecs_of, METH_VARARGS, PyDoc_STR("codecs(package): the readers and writers that the stubs use.")},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject *add_type(PyObject *module, PyType_Spec *spec)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromSpec(spec);
    return type != NULL && PyModule_AddType(module, type) == 0 ? type : NULL;
}

/* Add `Guest`, `Stub` and `functions` over these packages to the extension that the stubs are part of. */
int witx_add(PyObject *module, WitxPackage *const *packages, size_t count)
{
    PyObject *structs = PyImport_ImportModule("struct");
    witx_know_packages(packages, count);
    witx_new_tuple = (newfunc)PyType_GetSlot(&PyTuple_Type, Py_tp_new);
    witx_pack = structs != NULL ? PyObject_GetAttrString(structs, "pack") : NULL;
    witx_pack_into = witx_pack != NULL ? PyObject_GetAttrString(structs, "pack_into") : NULL;
    Py_XDECREF(structs);
    if (witx_pack_into == NULL || witx_add_memory() < 0 || witx_add_values() < 0 ||
        (guest_type = add_type(module, &guest_spec)) == NULL || (stub_type = add_type(module, &stub_spec)) == NULL)
        return -1;
    return PyModule_AddFunctions(module, module_functions);
}
