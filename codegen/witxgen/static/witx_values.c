/* Records and variants in guest memory: the codecs of `Pointer.read`, `load`, `write` and `store`, and of the stubs.

   Rules of this file: those of witx.h. What is not a value of its type, and a Python value of another class or out of
   range, is left to the package's own codec, so that it is read, written or refused by the same rules. An address was
   checked by the caller, and is compared with the memory once more. */

#include "witx.h"

/* A codec in C: the methods of one are the functions in a package's `Codec`. */
typedef struct {
    PyObject_HEAD const WitxShape *shape;
    PyObject *python; /* the package's own codec */
} WitxCodec;

static PyTypeObject *codec_type;
static PyObject *view_name, *get_name, *put_name;

/* -- from memory -------------------------------------------------------------------------------------------------- */

static PyObject *get_value(const WitxShape *shape, const char *at);

/* As the two below: a new value; NULL without an exception if there is no value of the type at this place. */
static PyObject *get_number(char character, WitxTable *table, const char *at)
{
    uint64_t bits = 0;
    float single;
    double real;
    uint32_t size = witx_size(character);
    memcpy(&bits, at, size);
    if (table != NULL)
        return witx_look_up(table, bits);
    switch (character) {
    case '?':
        return bits <= 1 ? PyBool_FromLong((long)bits) : NULL;
    case 'f':
        memcpy(&single, at, sizeof single);
        return PyFloat_FromDouble(single);
    case 'd':
        memcpy(&real, at, sizeof real);
        return PyFloat_FromDouble(real);
    case 'b':
        return PyLong_FromLong((int8_t)bits);
    case 'h':
        return PyLong_FromLong((int16_t)bits);
    case 'i':
        return PyLong_FromLong((int32_t)bits);
    case 'q':
        return PyLong_FromLongLong((int64_t)bits);
    default:
        return PyLong_FromUnsignedLongLong(bits);
    }
}

static PyObject *get_member(const WitxMember *member, const char *at)
{
    at += member->offset;
    return member->shape != NULL ? get_value(member->shape, at) : get_number(member->character, member->table, at);
}

static PyObject *get_value(const WitxShape *shape, const char *at)
{
    PyObject *const *class = shape->class;
    const WitxMember *members = shape->members;
    uint32_t count = shape->count;
    if (shape->tag) {
        uint64_t tag = 0;
        memcpy(&tag, at, witx_size(shape->tag));
        if (tag >= shape->count)
            return NULL;
        class = shape->cases[tag].class;
        members = shape->cases[tag].member;
        count = members != NULL;
    }
    PyObject *value = class != NULL ? witx_begin_record(*class, (Py_ssize_t)count) : PyTuple_New((Py_ssize_t)count);
    for (uint32_t i = 0; value != NULL && i < count; i++) {
        PyObject *item = get_member(&members[i], at);
        if (item == NULL || PyTuple_SetItem(value, (Py_ssize_t)i, item) < 0)
            Py_CLEAR(value);
    }
    return class != NULL && value != NULL ? witx_end_record(*class, value) : value;
}

/* -- to memory ---------------------------------------------------------------------------------------------------- */

static int put_value(const WitxShape *shape, char *at, PyObject *value);

/* As the one below: 0, or -1 without an exception if `value` is not exactly of the type. The place has zeros. */
static int put_member(const WitxMember *member, char *at, PyObject *value)
{
    uint64_t bits;
    at += member->offset;
    if (member->shape != NULL)
        return put_value(member->shape, at, value);
    if (witx_bits(value, member->character == '?' ? 'I' : member->character, &bits) < 0)
        return -1;
    memcpy(at, &bits, witx_size(member->character));
    return 0;
}

static int put_value(const WitxShape *shape, char *at, PyObject *value)
{
    PyObject *type = (PyObject *)Py_TYPE(value);
    const WitxMember *members = shape->members;
    uint32_t count = shape->count;
    if (shape->tag) {
        uint64_t tag = 0;
        while (tag < shape->count && *shape->cases[tag].class != type)
            tag++;
        if (tag == shape->count)
            return -1;
        memcpy(at, &tag, witx_size(shape->tag));
        members = shape->cases[tag].member;
        count = members != NULL;
    } else if (type != (shape->class != NULL ? *shape->class : (PyObject *)&PyTuple_Type)) {
        return -1;
    }
    if (PyTuple_Size(value) != (Py_ssize_t)count)
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        if (put_member(&members[i], at, PyTuple_GetItem(value, (Py_ssize_t)i)) < 0)
            return -1;
    }
    return 0;
}

/* -- as Python calls it ------------------------------------------------------------------------------------------- */

/* `count` values at an address of a guest: where they are, and what holds the memory meanwhile. */
typedef struct {
    PyObject *guest;
    uint64_t at;
    Py_buffer memory; /* `buf` of NULL: the codec in Python finds out why */
} Place;

/* -1 with an exception if these are not a guest and an address. */
static int open_place(Place *place, PyObject *guest, PyObject *address, uint64_t size, int flags)
{
    place->guest = guest;
    place->memory.buf = NULL;
    place->at = PyLong_AsUnsignedLongLong(address);
    PyObject *view = PyErr_Occurred() ? NULL : PyObject_GetAttr(guest, view_name);
    if (view == NULL)
        return -1;
    int failed = PyObject_GetBuffer(view, &place->memory, flags);
    Py_DECREF(view);
    if (failed) {
        PyErr_Clear();
        place->memory.buf = NULL;
    } else if (place->at > (uint64_t)place->memory.len || size > (uint64_t)place->memory.len - place->at) {
        PyBuffer_Release(&place->memory);
        place->memory.buf = NULL;
    }
    return 0;
}

static void close_place(Place *place)
{
    if (place->memory.buf != NULL)
        PyBuffer_Release(&place->memory);
}

static PyObject *get_at(WitxCodec *self, const Place *place, uint64_t offset)
{
    PyObject *value = NULL;
    if (place->memory.buf != NULL)
        value = get_value(self->shape, (const char *)place->memory.buf + place->at + offset);
    if (value == NULL && !PyErr_Occurred()) {
        PyObject *get = PyObject_GetAttr(self->python, get_name);
        value = get != NULL ? PyObject_CallFunction(get, "OK", place->guest, place->at + offset) : NULL;
        Py_XDECREF(get);
    }
    return value;
}

static int put_at(WitxCodec *self, const Place *place, uint64_t offset, PyObject *value)
{
    char bytes[WITX_LARGEST] = {0};
    if (place->memory.buf != NULL && put_value(self->shape, bytes, value) == 0) {
        memcpy((char *)place->memory.buf + place->at + offset, bytes, self->shape->size);
        return 0;
    }
    PyObject *put = PyObject_GetAttr(self->python, put_name);
    PyObject *done = put != NULL ? PyObject_CallFunction(put, "OKO", place->guest, place->at + offset, value) : NULL;
    Py_XDECREF(put);
    Py_XDECREF(done);
    return done != NULL ? 0 : -1;
}

static int takes(Py_ssize_t wanted, Py_ssize_t count, const char *names)
{
    if (count == wanted)
        return 0;
    PyErr_Format(PyExc_TypeError, "a codec takes (%s), %zd arguments given", names, count);
    return -1;
}

/* get(guest, at) */
static PyObject *codec_get(WitxCodec *self, PyObject *const *args, Py_ssize_t count)
{
    Place place;
    if (takes(2, count, "guest, at") < 0 || open_place(&place, args[0], args[1], self->shape->size, PyBUF_SIMPLE) < 0)
        return NULL;
    PyObject *value = get_at(self, &place, 0);
    close_place(&place);
    return value;
}

/* put(guest, at, value) */
static PyObject *codec_put(WitxCodec *self, PyObject *const *args, Py_ssize_t count)
{
    Place place;
    if (takes(3, count, "guest, at, value") < 0 ||
        open_place(&place, args[0], args[1], self->shape->size, PyBUF_WRITABLE) < 0)
        return NULL;
    int failed = put_at(self, &place, 0, args[2]);
    close_place(&place);
    return failed ? NULL : Py_NewRef(Py_None);
}

/* get_all(guest, at, count) */
static PyObject *codec_get_all(WitxCodec *self, PyObject *const *args, Py_ssize_t count)
{
    Place place;
    uint32_t size = self->shape->size;
    Py_ssize_t wanted = takes(3, count, "guest, at, count") < 0 ? -1 : PyLong_AsSsize_t(args[2]);
    if (wanted < 0 || (uint64_t)wanted > UINT32_MAX) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "a codec reads 0 to 2**32-1 values");
        return NULL;
    }
    if (open_place(&place, args[0], args[1], size * (uint64_t)wanted, PyBUF_SIMPLE) < 0)
        return NULL;
    PyObject *list = PyList_New(0);
    for (Py_ssize_t i = 0; list != NULL && i < wanted; i++) {
        PyObject *value = get_at(self, &place, size * (uint64_t)i);
        if (value == NULL || PyList_Append(list, value) < 0)
            Py_CLEAR(list);
        Py_XDECREF(value);
    }
    close_place(&place);
    return list;
}

/* put_all(guest, at, values) */
static PyObject *codec_put_all(WitxCodec *self, PyObject *const *args, Py_ssize_t count)
{
    Place place;
    uint32_t size = self->shape->size;
    Py_ssize_t wanted = takes(3, count, "guest, at, values") < 0 ? -1 : PyList_Size(args[2]);
    if (wanted < 0 || open_place(&place, args[0], args[1], size * (uint64_t)wanted, PyBUF_WRITABLE) < 0)
        return NULL;
    int failed = 0;
    for (Py_ssize_t i = 0; !failed && i < PyList_Size(args[2]) && i < wanted; i++) {
        PyObject *value = Py_NewRef(PyList_GetItem(args[2], i));
        failed = put_at(self, &place, size * (uint64_t)i, value);
        Py_DECREF(value);
    }
    close_place(&place);
    return failed ? NULL : Py_NewRef(Py_None);
}

#define METHOD(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef codec_methods[] = {
    {"get", METHOD(codec_get), METH_FASTCALL, PyDoc_STR("The value at an address of a guest.")},
    {"put", METHOD(codec_put), METH_FASTCALL, PyDoc_STR("Store a value at an address of a guest.")},
    {"get_all", METHOD(codec_get_all), METH_FASTCALL, PyDoc_STR("A list of the values from an address on.")},
    {"put_all", METHOD(codec_put_all), METH_FASTCALL, PyDoc_STR("Store a list of values from an address on.")},
    {NULL, NULL, 0, NULL},
};

static PyObject *codec_python(WitxCodec *self, void *closure)
{
    (void)closure;
    return Py_NewRef(self->python);
}

static PyGetSetDef codec_properties[] = {
    {"python", (getter)codec_python, NULL, "The codec of the package, which does what this one does not.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static void codec_dealloc(WitxCodec *self)
{
    Py_XDECREF(self->python);
    witx_free((PyObject *)self);
}

static PyType_Slot codec_slots[] = {
    {Py_tp_doc, "The reader and writer of a record or variant, in C."},
    {Py_tp_dealloc, codec_dealloc},
    {Py_tp_methods, codec_methods},
    {Py_tp_getset, codec_properties},
    {0, NULL},
};
static PyType_Spec codec_spec = {
    .name = "witx.Codec",
    .basicsize = sizeof(WitxCodec),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = codec_slots,
};

int witx_add_values(void)
{
    codec_type = (PyTypeObject *)PyType_FromSpec(&codec_spec);
    view_name = PyUnicode_InternFromString("view");
    get_name = PyUnicode_InternFromString("get");
    put_name = PyUnicode_InternFromString("put");
    return codec_type == NULL || view_name == NULL || get_name == NULL || put_name == NULL ? -1 : 0;
}

/* A codec as the package has them, whose functions are those of this file. */
PyObject *witx_new_codec(const WitxShape *shape, PyObject *python)
{
    WitxCodec *codec = (WitxCodec *)witx_make(codec_type);
    if (codec == NULL)
        return NULL;
    codec->shape = shape;
    codec->python = Py_NewRef(python);
    PyObject *functions[4];
    for (int i = 0; i < 4; i++)
        functions[i] = PyObject_GetAttrString((PyObject *)codec, codec_methods[i].ml_name);
    PyObject *fields =
        Py_BuildValue("((IINNNN))", shape->size, shape->align, functions[0], functions[1], functions[2], functions[3]);
    PyObject *tuple = fields != NULL ? witx_new_tuple(Py_TYPE(python), fields, NULL) : NULL;
    Py_XDECREF(fields);
    Py_DECREF((PyObject *)codec);
    return tuple;
}
