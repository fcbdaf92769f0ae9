/* From Python into the guest.
 *
 * While a guest is being entered or left, Python code runs only in `to_front`, `watch` and the scope's check, before
 * the engine is called, and in `put_back` and `wait_for_fork`; what is raised there undoes the steps before it.
 */
#define _POSIX_C_SOURCE 200809L
#include "door.h"

#include <signal.h>

#ifdef __GNUC__
#define PER_THREAD __thread
#else
#define PER_THREAD _Thread_local
#endif

static PER_THREAD int nested;  /* how many stores this thread has entered */
static PER_THREAD int in_main; /* whether Python runs signal handlers in this thread: 1, -1, or 0 if not known yet */
static int running;            /* how many stores are entered, in all threads */
static bool others;            /* whether others have put their signal handlers before the engine's */
static bool displaced;         /* whether some of those wait until no guest runs */

atomic_uint handler_changes; /* how often handlers of signals were set */

static int call_nothing(PyObject *function)
{
    PyObject *returned = PyObject_CallFunctionObjArgs(function, NULL);
    Py_XDECREF(returned);
    return returned == NULL ? -1 : 0;
}

/* -- forks -------------------------------------------------------------------------------------------------------- */

int gate_enter(PyObject **token)
{
    *token = NULL;
    if (PyDict_Size(adapter.forking) > 0 && call_nothing(adapter.wait_for_fork) < 0)
        return -1;
    PyObject *thread = PyLong_FromUnsignedLong(PyThread_get_thread_ident());
    PyObject *made = PyLong_FromVoidPtr(token); /* on this thread's stack, so it is no other call's */
    int failed = thread == NULL || made == NULL || PyDict_SetItem(adapter.inside, made, thread) < 0;
    Py_XDECREF(thread);
    if (failed)
        Py_CLEAR(made);
    *token = made;
    return failed ? -1 : 0;
}

/* Called without an exception set, or with one that is kept. A fork that waited too long has removed the token. */
void gate_leave(PyObject *token)
{
    if (token == NULL)
        return;
    PyObject *raised = take_raised();
    if (PyDict_DelItem(adapter.inside, token) < 0)
        PyErr_Clear();
    Py_DECREF(token);
    put_raised(raised);
}

/* -- entering ----------------------------------------------------------------------------------------------------- */

static int is_main(void)
{
    if (in_main == 0) {
        PyObject *found = PyObject_CallFunctionObjArgs(adapter.in_main, NULL);
        if (found == NULL)
            return -1;
        in_main = found == Py_True ? 1 : -1;
        Py_DECREF(found);
    }
    return in_main > 0;
}

/* Have the guest called back when it has to end, and check whether that is now. */
static int watch(Door *door)
{
    int main = is_main();
    if (main < 0)
        return -1;
    PyObject *watching =
        PyObject_CallFunctionObjArgs(adapter.watch, door, door->engine, door->scope, main ? Py_True : Py_False, NULL);
    if (watching == NULL)
        return -1;
    Py_DECREF(watching);
    return call_nothing(door->check);
}

/* A guest that makes plain calls alone never comes to Python, where signal handlers run. So there have to be none in
 * this thread, or the guest is called back for them. Handlers that come later are noticed by `handlers_changed`. */
static int allow_plain(Door *door)
{
    int main = 0;
    door->may_be_plain = door->plain != NULL;
    door->heeds = false;
    if (door->plain == NULL || door->scope != NULL)
        return 0;
    if ((main = is_main()) < 0)
        return -1;
    door->heeds = main;
    if (main) {
        door->seen = atomic_load(&handler_changes);
        PyObject *may = PyObject_CallFunctionObjArgs(adapter.signals_may_interrupt, NULL);
        if (may == NULL)
            return -1;
        door->may_be_plain = may == Py_False;
        Py_DECREF(may);
    }
    return 0;
}

/* Handlers of signals may raise in `put_back`: they are called once each, and the first of what they raise is kept. */
static void put_back_others(void)
{
    PyObject *raised = take_raised();
    for (int times = 0; times < 8 && call_nothing(adapter.put_back) < 0; times++) {
        if (raised == NULL)
            raised = take_raised();
        else
            PyErr_Clear();
    }
    put_raised(raised);
}

/* 0: the guest returned. 1: it ended, and the door has the reason. -1: an exception is set. */
int door_enter(Door *door, Entry *entry, void *arguments)
{
    if (door->store == NULL) {
        PyErr_SetObject(PyExc_RuntimeError, adapter.closed);
        return -1;
    }
    if (door_hold(door) < 0)
        return -1;
    bool first = door->depth == 0, watching = first && door->scope != NULL;
    int result = -1;
    Py_INCREF((PyObject *)door);
    door_drop_end(door);
    door->depth++;
    nested += first;
    running += first;
    if (!(first && others && call_nothing(adapter.to_front) < 0) && !(watching && watch(door) < 0) &&
        !(first && allow_plain(door) < 0)) {
        PyThreadState *before = door->thread;
        door->thread = PyEval_SaveThread();
        void *trap = NULL, *error = entry(door, arguments, &trap);
        PyEval_RestoreThread(door->thread);
        door->thread = before;
        door->trap = trap;
        door->error = error;
        result = error != NULL || trap != NULL || door->raised != NULL;
    }
    if (watching) {
        PyObject *raised = take_raised();
        if (PyDict_DelItem(adapter.watched, (PyObject *)door) < 0)
            PyErr_Clear(); /* it was not watched yet, or this is a forked child */
        put_raised(raised);
    }
    door->depth--;
    nested -= first;
    running -= first;
    door_release(door);
    Py_DECREF((PyObject *)door);
    if (displaced && running == 0) {
        put_back_others();
        if (PyErr_Occurred())
            return -1;
    }
    return result;
}

/* -- making the instance ------------------------------------------------------------------------------------------ */

typedef struct {
    void *pre, *linker, *module;
} Making;

static void *make(Door *door, void *arguments, void **trap)
{
    Making *making = arguments;
    if (making->pre != NULL)
        return engine.instance_pre_instantiate(making->pre, door->store->context, door->instance, trap);
    return engine.linker_instantiate(making->linker, door->store->context, making->module, door->instance, trap);
}

PyObject *door_instantiate(PyObject *self, PyObject *args)
{
    Door *door = (Door *)self;
    unsigned long long pre, linker, module;
    PyObject *token;
    int exports_memory;
    if (!PyArg_ParseTuple(args, "KKKp", &pre, &linker, &module, &exports_memory) || gate_enter(&token) < 0)
        return NULL;
    Making making = {(void *)(uintptr_t)pre, (void *)(uintptr_t)linker, (void *)(uintptr_t)module};
    int result = door_enter(door, make, &making);
    gate_leave(token);
    if (result < 0)
        return NULL;
    door->looks = false;
    if (result > 0)
        Py_RETURN_FALSE;
    if (exports_memory &&
        engine.instance_export_get(door->store->context, door->instance, "memory", 6, &door->memory) &&
        door->memory.kind == EXTERN_MEMORY && door_see(door) < 0)
        return NULL;
    Py_RETURN_TRUE;
}

/* -- what the adapter tells and asks ----------------------------------------------------------------------------------
 */

static PyObject *get_nested(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(nothing))
{
    return PyLong_FromLong(nested);
}

static PyObject *set_nested(PyObject *Py_UNUSED(module), PyObject *count)
{
    long number = PyLong_AsLong(count);
    if (number == -1 && PyErr_Occurred())
        return NULL;
    nested = (int)number;
    Py_RETURN_NONE;
}

static PyObject *get_running(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(nothing))
{
    return PyLong_FromLong(running);
}

static PyObject *handlers(PyObject *Py_UNUSED(module), PyObject *args)
{
    int in_front, waiting;
    if (!PyArg_ParseTuple(args, "pp", &in_front, &waiting))
        return NULL;
    others = in_front;
    displaced = waiting;
    Py_RETURN_NONE;
}

/* The functions that the system has for the signals by which guests trap, in the order of `signals.py`. */
static PyObject *signal_functions(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(nothing))
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    void *found[sizeof numbers / sizeof *numbers];
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction action;
        sigaction(numbers[i], NULL, &action);
        found[i] = (void *)(uintptr_t)action.sa_handler;
    }
    return PyBytes_FromStringAndSize((const char *)found, sizeof found);
}

static PyObject *handlers_changed(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(nothing))
{
    atomic_fetch_add(&handler_changes, 1);
    Py_RETURN_NONE;
}

static PyObject *forked(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(nothing))
{
    in_main = 0;
    running = nested;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"get_nested", get_nested, METH_NOARGS, "How many stores this thread has entered."},
    {"set_nested", set_nested, METH_O, "Say so where another door was used."},
    {"get_running", get_running, METH_NOARGS, "How many stores are entered, in all threads."},
    {"handlers", handlers, METH_VARARGS,
     "Whether others put signal handlers before the engine's, and whether some wait."},
    {"handlers_changed", handlers_changed, METH_NOARGS, "A handler of a signal was set."},
    {"signal_functions", signal_functions, METH_NOARGS, "The system's functions for the signals by which guests trap."},
    {"forked", forked, METH_NOARGS, "This is a forked child: only this thread is here."},
    {NULL, NULL, 0, NULL},
};

int add_enter(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
