/* The C runtime of generated stubs: a guest's memory, Python values from a guest's numbers, results into its memory.

   Rules of this file: nothing of any one spec or engine. An address is unsigned, and is compared with the memory in 64
   bits before it is used; a size that the guest passed is compared with the memory before anything is allocated by it.
   After any call that may run Python code the memory may have moved, so `base` is read again: no pointer into it is
   kept in a variable. Whatever is not the usual case is left to the package's Python half, so that it ends the same.

   Everything here needs the GIL. */

#ifndef WITX_H
#define WITX_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error                                                                                                                 \
    "numbers are copied to and from guest memory as they are: this needs a little-endian machine; use the Python stubs"
#endif

/* One number of core wasm as the engine passes it, in 16 bytes: parameters in order, and the result in the first. */
typedef union {
    uint32_t u32;
    int32_t s32;
    uint64_t u64;
    int64_t s64;
    float f32;
    double f64;
    uint64_t both[2];
} witx_slot;

typedef struct WitxGuest WitxGuest;
typedef struct WitxStub WitxStub;
typedef struct WitxPackage WitxPackage;

/* What makes memoryviews of guest memory. Each view owns it, and it owns the memory: a view may outlive the run. */
typedef struct {
    PyObject_HEAD PyObject *owner; /* keeps the memory that is viewed */
    Py_buffer source;              /* the same, where the memory is a Python buffer; `source.obj` is NULL otherwise */
    char *start;                   /* the view that is being made; NULL at any other time */
    Py_ssize_t length;
    char *kept; /* where the guest's `kept_view` begins; NULL as soon as it may have been released */
} WitxMemory;

/* A guest as its stubs see it: one for each `bind`. Whoever provides the memory sets the first three fields and
   `memory`; where it is not set, they come from the view of `guest` for the time of a call from Python. */
struct WitxGuest {
    PyObject_HEAD char *base; /* the memory, and how many bytes of it are known: never more than there are */
    uint64_t size;
    int (*refresh)(WitxGuest *guest); /* reads both again, when an access goes beyond `size`; -1 with an exception */
    WitxMemory *memory;               /* owned; NULL while there is none */
    void *provider;                   /* for whoever set `refresh` */
    PyObject *guest;                  /* the package's own `Guest`, in Python: pointers, faults, `errno_of` */
    WitxPackage *package;
    PyObject *kept_list, *kept_view; /* the last list of one buffer, to be used again if no handler kept it */
    uint32_t kept_length;
};

/* The errnos of one error enum for what the stubs refuse themselves; negative where the enum has no such case. */
typedef struct {
    int64_t invalid;  /* a value that its type does not have */
    int64_t bad_text; /* text that is not UTF-8 */
} WitxErrors;

/* One function of a spec. `slots` and `result_slots` have a `struct` character per number, as a Python `Signature`. */
typedef struct WitxFunction {
    const char *module, *name, *method; /* as the guest imports it, and the handler's method */
    const char *slots, *result_slots;
    const WitxErrors *errors; /* NULL for a function without an error */
    int refuses_late;         /* whether a BadValue of the handler is the guest's error too */
    /* With the GIL held. 0: the result is in slots[0]. -1: a Python exception is set, which ends the run. */
    int (*call)(WitxStub *stub, witx_slot *slots);
} WitxFunction;

/* A function bound to a handler and a guest. From Python it is called with numbers, as the stubs in Python are. */
struct WitxStub {
    PyObject_HEAD vectorcallfunc vectorcall;
    const WitxFunction *function;
    WitxGuest *guest;
    PyObject *handler;
};

/* The members of an enum or the values of flags, by their number. */
typedef struct {
    PyObject **members; /* where the package has a tuple of them all */
    uint64_t count;
    PyObject *values; /* where flags are too wide for that: the package's table, */
    struct {
        uint64_t bits;
        PyObject *flags;
    } recent[16]; /* and some of what was looked up in it, each in the place that its bits choose */
} WitxTable;

/* A record whose members are numbers. */
typedef struct {
    const char *format;     /* for `struct` */
    const char *characters; /* of the members alone, and where each lies */
    const uint32_t *offsets;
    uint32_t size, align;
} WitxLayout;

/* A member of a record, or what a case of a variant carries. */
typedef struct WitxShape WitxShape;
typedef struct {
    uint32_t offset;
    char character;         /* of a number, by `struct`, or `?` of a bool; 0 of a value of another shape */
    WitxTable *table;       /* what the number is looked up in, or NULL */
    const WitxShape *shape; /* of the value, or NULL */
} WitxMember;

/* A case of a variant. */
typedef struct {
    PyObject *const *class;
    const WitxMember *member; /* what it carries, with the offset in the variant; NULL: nothing */
} WitxCase;

enum { WITX_LARGEST = 256 }; /* bytes of a value */

/* A record or variant whose members are numbers, or such records and variants. */
struct WitxShape {
    uint32_t size, align;
    PyObject *const *class;    /* of a record; NULL: a plain tuple */
    uint32_t count;            /* of the members, or of the cases */
    const WitxMember *members; /* of a record */
    char tag;                  /* of a variant: the number's `struct` character; 0 of a record */
    const WitxCase *cases;
};

/* What the generated half of a package is made of. Its Python objects are loaded when it is first bound. */
struct WitxPackage {
    const char *name;
    const WitxFunction *functions;
    size_t function_count;
    WitxTable *tables;
    size_t table_count;
    PyObject **codecs;
    const WitxShape *const *shapes; /* of the codecs that are replaced by those in C; NULL for the others */
    size_t codec_count;
    PyObject **classes; /* of the shapes */
    size_t class_count;
    PyObject *guest_fault, *bad_value, *wasi_error, *pointer, *const_pointer;
};

/* -- for the module that the stubs are part of ----------------------------------------------------------------- */

int witx_add(PyObject *module, WitxPackage *const *packages, size_t count);
WitxStub *witx_stub(PyObject *object);

/* -- for whoever provides the memory ----------------------------------------------------------------------------- */

WitxMemory *witx_memory_new(PyObject *owner);
void witx_guest_forget(WitxGuest *guest);
PyObject *witx_view(WitxGuest *guest, uint32_t at, uint32_t length);

void witx_forget_kept(WitxGuest *guest);
int witx_refresh_from_python(WitxGuest *guest);

/* -- inside the runtime ---------------------------------------------------------------------------------------------
 */

extern PyTypeObject *witx_memory_type;
extern newfunc witx_new_tuple;               /* of tuples, for `Pointer` */
extern PyObject *witx_pack, *witx_pack_into; /* of `struct` */
int witx_add_memory(void);
int witx_add_values(void);
PyObject *witx_new_codec(const WitxShape *shape, PyObject *python);
PyObject *witx_look_up(WitxTable *table, uint64_t bits);
PyObject *witx_make(PyTypeObject *type);
void witx_free(PyObject *self);

/* -- one call, as the stubs write it ------------------------------------------------------------------------------ */

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
