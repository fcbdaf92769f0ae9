/* The arguments of a handler: Python values from a guest's numbers and memory.

   Rules of this file: those of witx.h. Each function does nothing unless the call went well so far. */

#include "witx.h"

/* Flags of a type that is too wide for a tuple of all values. */
static PyObject *wide_flags(WitxTable *table, uint64_t bits)
{
    size_t place = (size_t)((bits * 0x9E3779B97F4A7C15u) >> 60);
    PyObject *flags = table->recent[place].flags;
    if (flags != NULL && table->recent[place].bits == bits)
        return Py_NewRef(flags);
    PyObject *number = PyLong_FromUnsignedLongLong(bits);
    flags = number != NULL ? PyObject_GetItem(table->values, number) : NULL;
    Py_XDECREF(number);
    if (flags != NULL) {
        PyObject *before = table->recent[place].flags;
        table->recent[place].bits = bits;
        table->recent[place].flags = Py_NewRef(flags);
        Py_XDECREF(before);
    } else if (PyErr_ExceptionMatches(PyExc_LookupError)) {
        PyErr_Clear();
    }
    return flags;
}

/* The member of an enum, or the flags, of this number: a new reference; NULL without an exception if there is none. */
PyObject *witx_look_up(WitxTable *table, uint64_t bits)
{
    if (table->members == NULL)
        return wide_flags(table, bits);
    return bits < table->count ? Py_NewRef(table->members[bits]) : NULL;
}

/* UTF-8 text. */
void witx_text(WitxCall *call, uint32_t at, uint32_t length, const char *what)
{
    WitxGuest *guest = call->stub->guest;
    if (call->status != WITX_FINE)
        return;
    if (length == 0) {
        witx_give(call, PyUnicode_FromStringAndSize("", 0));
        return;
    }
    if (witx_reach(guest, at, length, 1, what) < 0) {
        call->status = WITX_FAILED;
        return;
    }
    PyObject *text = PyUnicode_DecodeUTF8(guest->base + at, (Py_ssize_t)length, NULL);
    if (text == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
        PyErr_Clear();
        call->status = WITX_BAD_TEXT;
        return;
    }
    witx_give(call, text);
}

/* Bytes, as a view of them: new, or NULL with an exception. For no bytes any address is valid. */
static PyObject *checked_view(WitxGuest *guest, uint32_t at, uint32_t length, const char *what)
{
    if (length == 0)
        at = 0;
    else if (witx_reach(guest, at, length, 1, what) < 0)
        return NULL;
    return witx_view(guest, at, length);
}

/* A run of bytes. */
void witx_bytes(WitxCall *call, uint32_t at, uint32_t length, const char *what)
{
    if (call->status == WITX_FINE)
        witx_give(call, checked_view(call->stub->guest, at, length, what));
}

/* A new list of this view, which it takes over. */
static PyObject *list_of(PyObject *view)
{
    PyObject *list = view != NULL ? PyList_New(1) : NULL;
    if (list != NULL)
        PyList_SetItem(list, 0, view);
    else
        Py_XDECREF(view);
    return list;
}

/* A list of one buffer: the last one again, if the guest passes the same and no handler kept it or a part of it. */
static PyObject *one_buffer(WitxGuest *guest, uint32_t at, uint32_t length, const char *what)
{
    if (length == 0)
        return list_of(witx_view(guest, 0, 0));
    if (witx_reach(guest, at, length, 1, what) < 0)
        return NULL;
    PyObject *list = guest->kept_list, *view = guest->kept_view;
    if (list != NULL && guest->memory->kept == guest->base + at && guest->kept_length == length &&
        Py_REFCNT(list) == 1 && Py_REFCNT(view) == 2 && PyList_Size(list) == 1 && PyList_GetItem(list, 0) == view)
        return Py_NewRef(list);
    view = witx_view(guest, at, length);
    list = list_of(Py_XNewRef(view));
    witx_forget_kept(guest);
    if (list == NULL) {
        Py_XDECREF(view);
        return NULL;
    }
    guest->kept_view = view;
    guest->kept_list = Py_NewRef(list);
    guest->kept_length = length;
    guest->memory->kept = guest->base + at;
    return list;
}

enum { MAX_BUFFERS = 1024 }; /* of one call, as POSIX' IOV_MAX: more is a bad value, not work for the host */
static const uint64_t MAX_TOTAL =
    INT32_MAX; /* bytes of them together, as POSIX' SSIZE_MAX on 32 bits: they may overlap */

/* The buffers of an iovec array, `count` pairs of address and length: a new list, or NULL. */
static PyObject *buffer_list(WitxCall *call, uint32_t at, uint32_t count, const char *what)
{
    WitxGuest *guest = call->stub->guest;
    uint32_t pair[2];
    uint64_t total = 0;
    if (count > MAX_BUFFERS) {
        call->status = WITX_INVALID;
        return NULL;
    }
    if (count != 0 && witx_reach(guest, at, 8 * count, 4, what) < 0)
        return NULL;
    if (count == 1) {
        memcpy(pair, guest->base + at, sizeof pair);
        return one_buffer(guest, pair[0], pair[1], what);
    }
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (uint32_t i = 0; list != NULL && i < count; i++) {
        memcpy(pair, guest->base + at + 8 * i, sizeof pair);
        PyObject *view = checked_view(guest, pair[0], pair[1], what);
        if (view == NULL) {
            Py_CLEAR(list);
            break;
        }
        PyList_SetItem(list, (Py_ssize_t)i, view);
        total += pair[1];
    }
    if (list != NULL && total > MAX_TOTAL) {
        Py_CLEAR(list);
        call->status = WITX_INVALID;
    }
    return list;
}

/* A list of buffers. */
void witx_buffers(WitxCall *call, uint32_t at, uint32_t count, const char *what)
{
    if (call->status != WITX_FINE)
        return;
    PyObject *list = buffer_list(call, at, count, what);
    if (list != NULL || call->status == WITX_FINE)
        witx_give(call, list);
}

static void give_pointer(WitxCall *call, PyObject *type, uint32_t at, PyObject *codec, const char *what)
{
    if (call->status != WITX_FINE)
        return;
    PyObject *fields = Py_BuildValue("((OIOs))", call->stub->guest->guest, at, codec, what);
    witx_give(call, fields != NULL ? witx_new_tuple((PyTypeObject *)type, fields, NULL) : NULL);
    Py_XDECREF(fields);
}

/* A typed address: the package's `Pointer`, which checks every access by itself. */
void witx_pointer(WitxCall *call, uint32_t at, PyObject *codec, const char *what)
{
    give_pointer(call, call->stub->guest->package->pointer, at, codec, what);
}

/* The same for an address that the handler only reads from. */
void witx_const_pointer(WitxCall *call, uint32_t at, PyObject *codec, const char *what)
{
    give_pointer(call, call->stub->guest->package->const_pointer, at, codec, what);
}

/* A list of values. */
void witx_list(WitxCall *call, uint32_t at, uint32_t count, PyObject *codec, const char *what)
{
    WitxGuest *guest = call->stub->guest;
    const WitxErrors *errors = call->stub->function->errors;
    if (call->status != WITX_FINE)
        return;
    PyObject *values = PyObject_CallMethod(guest->guest, "values", "IIOs", at, count, codec, what);
    if (values == NULL && errors != NULL && errors->invalid >= 0 && PyErr_ExceptionMatches(guest->package->bad_value)) {
        PyErr_Clear();
        call->status = WITX_INVALID;
        return;
    }
    witx_give(call, values);
}

/* A value that is passed by its address. */
void witx_value(WitxCall *call, uint32_t at, uint32_t size, uint32_t align, PyObject *codec, const char *what)
{
    PyObject *guest = call->stub->guest->guest;
    if (call->status != WITX_FINE)
        return;
    PyObject *view = PyObject_CallMethod(guest, "checked_view", "IIIs", at, size, align, what);
    PyObject *value = view != NULL ? PyObject_CallMethod(codec, "get", "OI", guest, at) : NULL;
    if (view != NULL && value == NULL &&
        (PyErr_ExceptionMatches(PyExc_LookupError) || PyErr_ExceptionMatches(call->stub->guest->package->bad_value))) {
        PyErr_Clear();
        call->status = WITX_INVALID;
    } else {
        witx_give(call, value);
    }
    Py_XDECREF(view);
}

/* Where the package has no errno for what the guest did: a BadValue, which ends the run. */
void witx_trap_if_refused(WitxCall *call, const char *what)
{
    if (call->status != WITX_INVALID && call->status != WITX_BAD_TEXT)
        return;
    PyErr_Format(call->stub->guest->package->bad_value, "%s: not %s", what,
                 call->status == WITX_BAD_TEXT ? "UTF-8" : "a value of its type");
    call->status = WITX_FAILED;
}
