/* One call of a guest, as the stubs write it: a list of steps, each of which does nothing unless all before it went
   well. The rules are those of witx.h, which includes this file. */

#ifndef WITX_CALL_H
#define WITX_CALL_H

/* How far a call has come. Each step does nothing unless all before it went well. */
typedef enum {
    WITX_FINE,
    WITX_FAILED,   /* an exception is set */
    WITX_INVALID,  /* the guest passed a value that its type does not have */
    WITX_BAD_TEXT, /* or text that is not UTF-8 */
    WITX_ERRNO,    /* the handler raised `number` */
} WitxStatus;

typedef struct {
    WitxStub *stub;
    PyObject **args; /* the handler's, from 1 on: the place before them belongs to the calling convention */
    int count;
    WitxStatus status;
    int64_t number;
    PyObject *returned;
    PyObject *item; /* of it, where that had to be made */
} WitxCall;

void witx_text(WitxCall *call, uint32_t at, uint32_t length, const char *what);
void witx_bytes(WitxCall *call, uint32_t at, uint32_t length, const char *what);
void witx_buffers(WitxCall *call, uint32_t at, uint32_t count, const char *what);
void witx_pointer(WitxCall *call, uint32_t at, PyObject *codec, const char *what);
void witx_const_pointer(WitxCall *call, uint32_t at, PyObject *codec, const char *what);
void witx_list(WitxCall *call, uint32_t at, uint32_t count, PyObject *codec, const char *what);
void witx_value(WitxCall *call, uint32_t at, uint32_t size, uint32_t align, PyObject *codec, const char *what);
void witx_trap_if_refused(WitxCall *call, const char *what);
void witx_raised(WitxCall *call);
PyObject *witx_item(WitxCall *call, Py_ssize_t index);
void witx_store_item_slowly(WitxCall *call, char character, uint32_t at, Py_ssize_t index, const char *what);
int witx_reach_slowly(WitxGuest *guest, uint32_t at, uint32_t size, uint32_t align, const char *what);
void witx_store_slowly(WitxCall *call, const char *format, uint32_t size, uint32_t align, uint32_t at, PyObject *value,
                       int starred, const char *what);
void witx_store_record(WitxCall *call, const WitxLayout *layout, uint32_t at, PyObject *value, const char *what);
void witx_store_value(WitxCall *call, uint32_t at, uint32_t size, uint32_t align, PyObject *codec, PyObject *value,
                      const char *what);
int witx_end(WitxCall *call, witx_slot *slots);
int witx_end_with(WitxCall *call, witx_slot *slots, char character);
void witx_ord(WitxCall *call);
void witx_address(WitxCall *call);
int witx_unsigned(PyObject *value, uint64_t high, uint64_t *bits);
int witx_signed(PyObject *value, int64_t low, int64_t high, uint64_t *bits);
int witx_real(PyObject *value, int narrow, uint64_t *bits);

/* The bits of a plain number that is in the range of its type; -1 without an exception for anything else. */
static inline int witx_bits(PyObject *value, char character, uint64_t *bits)
{
    switch (character) {
    case 'B':
        return witx_unsigned(value, UINT8_MAX, bits);
    case 'H':
        return witx_unsigned(value, UINT16_MAX, bits);
    case 'I':
        return witx_unsigned(value, UINT32_MAX, bits);
    case 'Q':
        return witx_unsigned(value, UINT64_MAX, bits);
    case 'b':
        return witx_signed(value, INT8_MIN, INT8_MAX, bits);
    case 'h':
        return witx_signed(value, INT16_MIN, INT16_MAX, bits);
    case 'i':
        return witx_signed(value, INT32_MIN, INT32_MAX, bits);
    case 'q':
        return witx_signed(value, INT64_MIN, INT64_MAX, bits);
    default:
        return witx_real(value, character == 'f', bits);
    }
}

/* Bytes of a number, by its `struct` character. */
static inline uint32_t witx_size(char character)
{
    switch (character) {
    case 'B':
    case 'b':
        return 1;
    case 'H':
    case 'h':
        return 2;
    case 'Q':
    case 'q':
    case 'd':
        return 8;
    default:
        return 4;
    }
}

static inline void witx_begin(WitxCall *call, WitxStub *stub, PyObject **args)
{
    call->stub = stub;
    call->args = args;
    call->count = 0;
    call->status = WITX_FINE;
    call->returned = NULL;
    call->item = NULL;
}

/* Make `value`, a new reference or NULL with an exception, the next argument. */
static inline void witx_give(WitxCall *call, PyObject *value)
{
    if (value == NULL) {
        call->status = WITX_FAILED;
        return;
    }
    call->args[++call->count] = value;
}

static inline void witx_u32(WitxCall *call, uint32_t number)
{
    if (call->status == WITX_FINE) {
        witx_give(call, PyLong_FromUnsignedLong(number));
    }
}

static inline void witx_s32(WitxCall *call, int32_t number)
{
    if (call->status == WITX_FINE) {
        witx_give(call, PyLong_FromLong(number));
    }
}

static inline void witx_u64(WitxCall *call, uint64_t number)
{
    if (call->status == WITX_FINE) {
        witx_give(call, PyLong_FromUnsignedLongLong(number));
    }
}

static inline void witx_s64(WitxCall *call, int64_t number)
{
    if (call->status == WITX_FINE) {
        witx_give(call, PyLong_FromLongLong(number));
    }
}

static inline void witx_float(WitxCall *call, double number)
{
    if (call->status == WITX_FINE) {
        witx_give(call, PyFloat_FromDouble(number));
    }
}

/* A number whose type is narrower than what it arrives in. */
static inline void witx_narrow(WitxCall *call, int64_t number, int64_t low, int64_t high)
{
    if (call->status == WITX_FINE && (number < low || number > high)) {
        call->status = WITX_INVALID;
    }
    witx_s64(call, number);
}

static inline void witx_bool(WitxCall *call, uint32_t number)
{
    if (call->status != WITX_FINE) {
        return;
    }
    if (number > 1) {
        call->status = WITX_INVALID;
        return;
    }
    witx_give(call, PyBool_FromLong((long)number));
}

/* A Unicode scalar value. */
static inline void witx_char(WitxCall *call, uint32_t number)
{
    if (call->status != WITX_FINE) {
        return;
    }
    if (number > 0x10FFFF || (number >= 0xD800 && number < 0xE000)) {
        call->status = WITX_INVALID;
        return;
    }
    witx_give(call, PyUnicode_FromOrdinal((int)number));
}

/* A member of an enum, or flags. */
static inline void witx_member(WitxCall *call, WitxTable *table, uint64_t number)
{
    if (call->status != WITX_FINE) {
        return;
    }
    PyObject *member = witx_look_up(table, number);
    if (member == NULL && !PyErr_Occurred()) {
        call->status = WITX_INVALID;
    } else {
        witx_give(call, member);
    }
}

/* Call the handler with the arguments. An errno that it raises is kept in `number`. */
static inline void witx_call(WitxCall *call)
{
    if (call->status == WITX_FINE) {
        call->returned = PyObject_Vectorcall(call->stub->handler, call->args + 1,
                                             (size_t)call->count | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        if (call->returned == NULL) {
            witx_raised(call);
        }
    }
    for (int i = 1; i <= call->count; i++) {
        Py_DECREF(call->args[i]);
    }
}

/* 0: `size` bytes at `at` are inside the memory, and `at` is a multiple of `align`. -1: an exception is set. */
static inline int witx_reach(WitxGuest *guest, uint32_t at, uint32_t size, uint32_t align, const char *what)
{
    if ((uint64_t)at + size <= guest->size && (at & (align - 1)) == 0) {
        return 0;
    }
    return witx_reach_slowly(guest, at, size, align, what);
}

/* Store one number, of the type that `struct` has by this character. What is no plain number in its range is left to
   `struct`, which has its own rules and messages. */
static inline void witx_store(WitxCall *call, char character, uint32_t at, PyObject *value, const char *what)
{
    const char format[3] = {'<', character, 0};
    uint32_t size = witx_size(character);
    uint64_t bits;
    if (call->status != WITX_FINE) {
        return;
    }
    if (witx_bits(value, character, &bits) < 0) {
        witx_store_slowly(call, format, size, size, at, value, 0, what);
    } else if (witx_reach(call->stub->guest, at, size, size, what) < 0) {
        call->status = WITX_FAILED;
    } else {
        memcpy(call->stub->guest->base + at, &bits, size);
    }
}

/* The same for an item of the tuple that the handler returned. */
static inline void witx_store_item(WitxCall *call, char character, uint32_t at, Py_ssize_t index, const char *what)
{
    if (call->status != WITX_FINE)
        return;
    if (PyTuple_Check(call->returned) && index < PyTuple_Size(call->returned))
        witx_store(call, character, at, PyTuple_GetItem(call->returned, index), what);
    else
        witx_store_item_slowly(call, character, at, index, what);
}

#endif
