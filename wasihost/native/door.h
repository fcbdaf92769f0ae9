/* The engine's door: how a guest is entered, and how it calls the host.
 *
 *     store.c    owns a store of the engine, and makes views of its memory
 *     door.c     one instance: its functions, its memory, who is inside, and how it ended
 *     memory.c   where its memory is, and who sees it
 *     enter.c    from Python into the guest, and making the instance
 *     export.c   calls of exported functions
 *     callback.c from the guest to a stub
 *     connect.c  the engine's functions, and what is asked of the adapter in Python
 *
 * Rules of these files. All is done with the GIL held, but for the engine's own
 * functions that run guests or take long. A callback finds its door through the data of its store, so all runs and
 * threads share one linker for each module. Whatever is raised in a callback is kept in the door, and a trap stops the
 * guest; the code that entered the guest raises it. Between the first and the last step of an entry no Python code
 * runs but what is named in `enter.c`, so no signal handler and no tracer can leave the books half done. The engine is
 * not linked to: its functions are passed by address, once for each process.
 */
#ifndef WASIHOST_DOOR_H
#define WASIHOST_DOOR_H

#include "native.h"
#include "witx.h"

#include "quick.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* One number as the engine passes it: `wasmtime_val_raw_t`. Parameters come in order, and so go results. */
typedef witx_slot Slot;

/* Room for any `wasmtime_extern_t`, whose layout differs between versions: the kind comes first, the item at 8. */
typedef struct {
    uint8_t kind;
    uint64_t item[7];
} Extern;

enum { EXTERN_FUNC = 0, EXTERN_MEMORY = 3 };

typedef void *Callback(void *environment, void *caller, Slot *slots, size_t count);
typedef void *EpochCallback(void *context, void *data, uint64_t *delta, uint8_t *kind);

/* The engine's functions, in the order in which `connect` takes their addresses. */
typedef struct {
    void *(*store_new)(void *engine, void *data, void (*finalizer)(void *));
    void *(*store_context)(void *store);
    void (*store_delete)(void *store);
    void (*store_limiter)(void *store, int64_t memory, int64_t elements, int64_t instances, int64_t tables,
                          int64_t memories);
    void (*store_epoch_deadline_callback)(void *store, EpochCallback *callback, void *data, void (*finalizer)(void *));
    void (*context_set_epoch_deadline)(void *context, uint64_t ticks);
    void *(*context_get_data)(void *context);
    void *(*caller_context)(void *caller);
    bool (*caller_export_get)(void *caller, const char *name, size_t length, Extern *found);
    bool (*instance_export_get)(void *context, const uint64_t *instance, const char *name, size_t length,
                                Extern *found);
    char *(*memory_data)(void *context, const void *memory);
    size_t (*memory_data_size)(void *context, const void *memory);
    void *(*trap_new)(const char *text, size_t length);
    void (*trap_delete)(void *trap);
    void *(*error_new)(const char *text);
    void (*error_delete)(void *error);
    void *(*linker_instantiate)(void *linker, void *context, void *module, uint64_t *instance, void **trap);
    void *(*instance_pre_instantiate)(void *pre, void *context, uint64_t *instance, void **trap);
    void *(*func_call_unchecked)(void *context, const void *function, Slot *slots, size_t count, void **trap);
} Engine;

/* What the door needs of the adapter in Python, in the order in which `connect` takes it. */
typedef struct {
    PyObject *empty;     /* the view of a memory without bytes */
    PyObject *no_memory; /* () -> never: raises what a guest without a memory is told */
    PyObject *busy;      /* what an instance says to a second thread */
    PyObject *closed;    /* and when it is closed */
    PyObject *pack;      /* (signature, result) -> bytes of its slots: for results that are no plain numbers */
    PyObject *in_main;   /* () -> bool: whether Python runs signal handlers in this thread */
    PyObject *signals_may_interrupt; /* () -> bool: whether there are handlers for them */
    PyObject *watch;         /* (door, engine, scope, main): have the guest called back when its time has come */
    PyObject *watched;       /* the dict from which a door is removed when it is left */
    PyObject *to_front;      /* () -> None: put the engine's signal handlers before others */
    PyObject *put_back;      /* () -> None: the others are back */
    PyObject *inside;        /* see `wasihost.common.forking`: the calls of the engine that a fork waits for, */
    PyObject *forking;       /* whether a thread forks, */
    PyObject *wait_for_fork; /* () -> None: and how to wait for that */
} Adapter;

extern Engine engine;
extern Adapter adapter;
extern atomic_uint handler_changes;

/* From 3.12 on in the stable ABI under these names. */
#if PY_VERSION_HEX < 0x030C0000
#include <structmember.h>
#define Py_T_PYSSIZET T_PYSSIZET
#define Py_READONLY READONLY
#endif

/* -- store.c ------------------------------------------------------------------------------------------------------ */

/* A store of the engine, deleted with the last reference: the door has one, and every view of the memory. */
typedef struct {
    PyObject_HEAD void *pointer;
    void *context;
    char *base; /* of what the next view shows */
    size_t size;
} Store;

Store *store_new(void *engine_pointer, void *data);
PyObject *store_view(Store *store, char *base, size_t size);
int add_store(PyObject *module);

/* -- door.c ------------------------------------------------------------------------------------------------------- */

/* What one import of the guest is bound to. */
typedef struct {
    PyObject *callable;
    PyObject *signature;
    WitxStub *stub;       /* the callable, if it is a stub in C: it is called directly, */
    PlainFunction *plain; /* and after this function, which may do the whole call without the GIL, if there is one, */
    QuickFunction *quick; /* and this one, which may do it with the GIL */
    PyObject *host;       /* what the latter works on; NULL without it */
    PyObject *slots, *result_slots; /* else texts with a `struct` character per number */
} Function;

typedef struct {
    PyObject_HEAD Store *store; /* NULL when it is closed */
    PyThreadState *thread;      /* of the thread that is in the guest, while it does not hold the GIL */
    unsigned long owner;        /* the thread that holds this door, */
    int held;                   /* and how often */
    int depth;                  /* how many calls of this guest are running, one within another */
    bool looks; /* whether the memory may have to be found through a caller: before the instance is made */
    bool has_memory;
    Function *functions;
    Py_ssize_t count;
    PyObject *guest;  /* the State's, whose `view` the stubs use */
    PyObject *engine; /* of the adapter; with `scope` what `watch` takes */
    PyObject *scope;  /* NULL: nothing can end the guest */
    PyObject *check;  /* its method */
    PyObject *plain;  /* the PlainCalls, or NULL */
    bool heeds;       /* whether they end when a handler of a signal is set: `handler_changes` is not `seen` then */
    unsigned seen;
    bool may_be_plain; /* whether they may be done now, see `enter.c` */
    PyObject *view;    /* of the whole memory, as it was when last asked for */
    PyObject *raised;  /* why the guest was stopped, if the host did it; NULL otherwise */
    void *trap, *error;
    uint64_t instance[2];
    Extern memory;
    char *base; /* where it is, and how large it was when last asked for */
    size_t size;
} Door;

extern PyTypeObject *door_type;
int door_hold(Door *door);
void door_release(Door *door);
void door_drop_end(Door *door);
int add_door(PyObject *module);

/* -- memory.c ----------------------------------------------------------------------------------------------------- */

int door_see(Door *door);
void door_provide(Door *door, WitxStub *stub);
void door_withdraw(Door *door, WitxStub *stub);
PyObject *door_bind(PyObject *self, PyObject *address);
PyObject *door_call(PyObject *self, PyObject *args, PyObject *options);

/* -- enter.c ------------------------------------------------------------------------------------------------------ */

/* 0: nobody forks now, and the next fork waits for `token` (a new reference is put there). -1: an exception is set. */
int gate_enter(PyObject **token);
void gate_leave(PyObject *token);

/* What is called in the guest: returns an error of the engine's, or NULL. */
typedef void *Entry(Door *door, void *arguments, void **trap);

/* 0: the guest returned. 1: it ended, and the door has the reason. -1: an exception is set. */
int door_enter(Door *door, Entry *entry, void *arguments);
PyObject *door_instantiate(PyObject *self, PyObject *args);
int add_enter(PyObject *module);

/* -- export.c ----------------------------------------------------------------------------------------------------- */

PyObject *door_export(PyObject *self, PyObject *args);
int add_export(PyObject *module);

/* -- callback.c --------------------------------------------------------------------------------------------------- */

extern Callback call_host;
extern EpochCallback check_scope;

/* -- numbers ------------------------------------------------------------------------------------------------------ */

/* The number in a slot, of a kind that `struct` names. */
static inline PyObject *number_of(char kind, const Slot *slot)
{
    switch (kind) {
    case 'I':
        return PyLong_FromUnsignedLong(slot->u32);
    case 'i':
        return PyLong_FromLong(slot->s32);
    case 'Q':
        return PyLong_FromUnsignedLongLong(slot->u64);
    case 'q':
        return PyLong_FromLongLong(slot->s64);
    case 'f':
        return PyFloat_FromDouble(slot->f32);
    default:
        return PyFloat_FromDouble(slot->f64);
    }
}

/* -- exceptions --------------------------------------------------------------------------------------------------- */

/* The exception that is set, with its traceback, and no longer set; NULL if none is. */
static inline PyObject *take_raised(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *kind, *raised, *trace;
    PyErr_Fetch(&kind, &raised, &trace);
    if (kind == NULL)
        return NULL;
    PyErr_NormalizeException(&kind, &raised, &trace);
    if (trace != NULL)
        PyException_SetTraceback(raised, trace);
    Py_XDECREF(trace);
    Py_DECREF(kind);
    return raised;
#endif
}

/* Set it again. */
static inline void put_raised(PyObject *raised)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(raised);
#else
    if (raised == NULL) {
        PyErr_Clear();
        return;
    }
    PyObject *kind = (PyObject *)Py_TYPE(raised);
    Py_INCREF(kind);
    PyErr_Restore(kind, raised, PyException_GetTraceback(raised));
#endif
}

#endif
