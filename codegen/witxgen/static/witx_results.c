/* What a handler returned or raised: into guest memory, or an errno, or an exception that ends the run.

   Rules of this file: those of witx.h. Whatever is not a plain number in range is left to `struct` and the package's
   codecs, so that it is converted or refused by their rules and with their messages. */

#include "witx.h"
#include <math.h>

static PyObject *take_exception(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(value, traceback);
    Py_XDECREF(traceback);
    Py_DECREF(type);
    return value;
#endif
}

/* An int from 0 to `high`. -1 without an exception for anything else, as in the two below. */
int witx_unsigned(PyObject *value, uint64_t high, uint64_t *bits)
{
    if (!PyLong_Check(value))
        return -1;
    *bits = PyLong_AsUnsignedLongLong(value);
    if (*bits == UINT64_MAX && PyErr_Occurred()) {
        PyErr_Clear();
        return -1;
    }
    return *bits <= high ? 0 : -1;
}

/* An int from `low` to `high`. */
int witx_signed(PyObject *value, int64_t low, int64_t high, uint64_t *bits)
{
    if (!PyLong_Check(value))
        return -1;
    int64_t number = PyLong_AsLongLong(value);
    if (number == -1 && PyErr_Occurred()) {
        PyErr_Clear();
        return -1;
    }
    *bits = (uint64_t)number;
    return number >= low && number <= high ? 0 : -1;
}

/* A float, which fits 32 bits where it has to be `narrow`. */
int witx_real(PyObject *value, int narrow, uint64_t *bits)
{
    if (!PyFloat_Check(value))
        return -1;
    double number = PyFloat_AsDouble(value);
    float single = narrow ? (float)number : 0;
    if (narrow && isinf(single) && !isinf(number))
        return -1;
    *bits = 0;
    memcpy(bits, narrow ? (void *)&single : (void *)&number, narrow ? sizeof single : sizeof number);
    return 0;
}

/* The bits of a result, as `struct` would pack it. -1 with its exception. */
static int result_bits(PyObject *value, char character, uint64_t *bits)
{
    const char format[3] = {'<', character, 0};
    if (witx_bits(value, character, bits) == 0)
        return 0;
    PyObject *packed = PyObject_CallFunction(witx_pack, "sO", format, value);
    if (packed == NULL)
        return -1;
    *bits = 0;
    memcpy(bits, PyBytes_AsString(packed), (size_t)PyBytes_Size(packed));
    Py_DECREF(packed);
    return 0;
}

/* What the handler raised: an errno, the guest's own error, or an exception that ends the run. */
void witx_raised(WitxCall *call)
{
    const WitxFunction *function = call->stub->function;
    WitxGuest *guest = call->stub->guest;
    PyObject *number = NULL;
    uint64_t bits;
    call->status = WITX_FAILED;
    if (function->errors == NULL)
        return;
    if (PyErr_ExceptionMatches(guest->package->wasi_error)) {
        PyObject *error = take_exception();
        number = PyObject_GetAttrString(error, "errno");
        Py_DECREF(error);
    } else if (PyErr_ExceptionMatches(PyExc_OSError)) {
        PyObject *error = take_exception();
        number = PyObject_CallMethod(guest->guest, "errno_of", "O", error);
        Py_DECREF(error);
    } else if (function->refuses_late && PyErr_ExceptionMatches(guest->package->bad_value)) {
        PyErr_Clear();
        call->status = WITX_INVALID;
        return;
    }
    if (number != NULL && result_bits(number, function->result_slots[0], &bits) == 0) {
        call->number = (int64_t)bits;
        call->status = WITX_ERRNO;
    }
    Py_XDECREF(number);
}

/* An item of what the handler returned, borrowed; NULL if the call has failed. */
PyObject *witx_item(WitxCall *call, Py_ssize_t index)
{
    if (call->status != WITX_FINE)
        return NULL;
    PyObject *number = PyLong_FromSsize_t(index), *before = call->item;
    call->item = number != NULL ? PyObject_GetItem(call->returned, number) : NULL;
    if (call->item == NULL)
        call->status = WITX_FAILED;
    Py_XDECREF(before);
    Py_XDECREF(number);
    return call->item;
}

/* As `witx_store_item`, for a handler that did not return a tuple of this many: a list will do, the rest is its bug. */
void witx_store_item_slowly(WitxCall *call, char character, uint32_t at, Py_ssize_t index, const char *what)
{
    uint32_t size = witx_size(character);
    if ((at & (size - 1)) != 0 && witx_reach(call->stub->guest, at, size, size, what) < 0)
        call->status = WITX_FAILED;
    PyObject *item = witx_item(call, index);
    witx_store(call, character, at, item, what);
}

/* Store a result by `struct.pack_into`: whatever is no plain number in range raises what it raises there. */
void witx_store_slowly(WitxCall *call, const char *format, uint32_t size, uint32_t align, uint32_t at, PyObject *value,
                       int starred, const char *what)
{
    PyObject *guest = call->stub->guest->guest, *done = NULL;
    /* As the stubs in Python do it: an address that is not aligned is noticed first. */
    if ((at & (align - 1)) != 0 && witx_reach(call->stub->guest, at, size, align, what) < 0) {
        call->status = WITX_FAILED;
        return;
    }
    PyObject *values = starred ? PySequence_Tuple(value) : Py_BuildValue("(O)", value);
    PyObject *view = values != NULL ? PyObject_CallMethod(guest, "checked_view", "IIIs", at, size, align, what) : NULL;
    PyObject *place = view != NULL ? Py_BuildValue("sOI", format, view, at) : NULL;
    PyObject *args = place != NULL ? PySequence_Concat(place, values) : NULL;
    if (args != NULL)
        done = PyObject_Call(witx_pack_into, args, NULL);
    if (done == NULL)
        call->status = WITX_FAILED;
    Py_XDECREF(done);
    Py_XDECREF(args);
    Py_XDECREF(place);
    Py_XDECREF(view);
    Py_XDECREF(values);
}

/* Store a record whose members are numbers. */
void witx_store_record(WitxCall *call, const WitxLayout *layout, uint32_t at, PyObject *value, const char *what)
{
    char bytes[256];
    uint64_t bits;
    if (call->status != WITX_FINE)
        return;
    Py_ssize_t count = (Py_ssize_t)strlen(layout->characters);
    int plain = layout->size <= sizeof bytes && PyTuple_Check(value) && PyTuple_Size(value) == count;
    if (plain)
        memset(bytes, 0, layout->size);
    for (Py_ssize_t i = 0; plain && i < count; i++) {
        char character = layout->characters[i];
        plain = witx_bits(PyTuple_GetItem(value, i), character, &bits) == 0;
        if (plain)
            memcpy(bytes + layout->offsets[i], &bits, witx_size(character));
    }
    if (!plain)
        witx_store_slowly(call, layout->format, layout->size, layout->align, at, value, 1, what);
    else if (witx_reach(call->stub->guest, at, layout->size, layout->align, what) < 0)
        call->status = WITX_FAILED;
    else
        memcpy(call->stub->guest->base + at, bytes, layout->size);
}

/* Store a value by the package's own codec. */
void witx_store_value(WitxCall *call, uint32_t at, uint32_t size, uint32_t align, PyObject *codec, PyObject *value,
                      const char *what)
{
    PyObject *guest = call->stub->guest->guest;
    if (call->status != WITX_FINE)
        return;
    PyObject *view = PyObject_CallMethod(guest, "checked_view", "IIIs", at, size, align, what);
    PyObject *done = view != NULL ? PyObject_CallMethod(codec, "put", "OIO", guest, at, value) : NULL;
    if (done == NULL)
        call->status = WITX_FAILED;
    Py_XDECREF(done);
    Py_XDECREF(view);
}

/* Replace the character that the handler returned by its number. */
void witx_ord(WitxCall *call)
{
    if (call->status != WITX_FINE)
        return;
    PyObject *number = NULL;
    if (PyUnicode_Check(call->returned) && PyUnicode_GetLength(call->returned) == 1)
        number = PyLong_FromUnsignedLong(PyUnicode_ReadChar(call->returned, 0));
    else
        PyErr_Format(PyExc_TypeError, "%s returned %R, not a character", call->stub->function->method, call->returned);
    Py_DECREF(call->returned);
    call->returned = number;
    if (number == NULL)
        call->status = WITX_FAILED;
}

/* Replace the pointer that the handler returned by its address. */
void witx_address(WitxCall *call)
{
    if (call->status != WITX_FINE)
        return;
    PyObject *number = PyObject_GetAttrString(call->returned, "address");
    Py_DECREF(call->returned);
    call->returned = number;
    if (number == NULL)
        call->status = WITX_FAILED;
}

/* The end of a function that returns an errno, or nothing. */
int witx_end(WitxCall *call, witx_slot *slots)
{
    const WitxErrors *errors = call->stub->function->errors;
    Py_XDECREF(call->returned);
    Py_XDECREF(call->item);
    if (call->status == WITX_FAILED)
        return -1;
    if (errors != NULL)
        slots[0].u64 = call->status == WITX_INVALID    ? (uint64_t)errors->invalid
                       : call->status == WITX_BAD_TEXT ? (uint64_t)errors->bad_text
                       : call->status == WITX_ERRNO    ? (uint64_t)call->number
                                                       : 0;
    return 0;
}

/* The end of a function whose result is what the handler returned. */
int witx_end_with(WitxCall *call, witx_slot *slots, char character)
{
    uint64_t bits = 0;
    if (call->status == WITX_FINE && result_bits(call->returned, character, &bits) < 0)
        call->status = WITX_FAILED;
    slots[0].u64 = bits;
    return witx_end(call, slots);
}
