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
void witx_know_packages(WitxPackage *const *packages, size_t count);
WitxPackage *witx_find_package(const char *name);
int witx_load_package(WitxPackage *package, const char *full_name);
int witx_add_memory(void);
int witx_add_values(void);
PyObject *witx_new_codec(const WitxShape *shape, PyObject *python);
PyObject *witx_look_up(WitxTable *table, uint64_t bits);
PyObject *witx_make(PyTypeObject *type);
PyObject *witx_begin_record(PyObject *class, Py_ssize_t count);
PyObject *witx_end_record(PyObject *class, PyObject *items);
void witx_free(PyObject *self);

#include "witx_call.h"

#endif
