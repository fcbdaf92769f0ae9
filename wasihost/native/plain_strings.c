/* The plain calls that fetch a guest's arguments and environment: see plain.h for the rules.
 *
 * The strings are `bytes` in a tuple of their own, which nothing changes and the PlainCalls holds: reading them needs
 * no GIL.
 */
#include "plain_memory.h"

void plain_strings_clear(PlainStrings *strings)
{
    PyObject *old = strings->strings;
    *strings = (PlainStrings){0};
    Py_XDECREF(old);
}

/* Strings of another type, or too many bytes, are left to the Python handlers. */
static void set(PlainStrings *strings, PyObject *tuple)
{
    uint64_t size = 0;
    if (tuple == strings->strings) /* as when a guest is entered again */
        return;
    plain_strings_clear(strings);
    if (!PyTuple_CheckExact(tuple))
        return;
    Py_ssize_t count = PyTuple_Size(tuple);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *string = PyTuple_GetItem(tuple, i);
        if (!PyBytes_CheckExact(string))
            return;
        size += (uint64_t)PyBytes_Size(string) + 1;
    }
    if (size > PIECE)
        return;
    Py_INCREF(tuple);
    *strings = (PlainStrings){.strings = tuple, .count = (uint32_t)count, .size = (uint32_t)size};
}

/* set_strings(arguments, environment, subscriptions): and the most subscriptions that one poll may have */
PyObject *plain_set_strings(PyObject *self, PyObject *args)
{
    PlainCalls *calls = (PlainCalls *)self;
    PyObject *arguments, *environment;
    unsigned long long subscriptions;
    if (!PyArg_ParseTuple(args, "OOK:set_strings", &arguments, &environment, &subscriptions))
        return NULL;
    set(&calls->arguments, arguments);
    set(&calls->environment, environment);
    calls->subscriptions = subscriptions;
    Py_RETURN_NONE;
}

/* table, text: the strings with their NULs to `text`, one after the other, and a pointer to each to `table` */
static int get(PlainStrings *strings, char *base, uint64_t size, witx_slot *slots)
{
    uint32_t table = slots[0].u32, text = slots[1].u32;
    if (strings->strings == NULL || !fits(size, table, 4 * strings->count, 4) || !inside(size, text, strings->size))
        return NOTHING_DONE;
    uint32_t at = text;
    for (uint32_t i = 0; i < strings->count; i++) {
        put_u32(base, table + 4 * i, at);
        at += (uint32_t)PyBytes_Size(PyTuple_GetItem(strings->strings, i)) + 1;
    }
    at = text; /* after the table, which it may overwrite */
    for (uint32_t i = 0; i < strings->count; i++) {
        PyObject *string = PyTuple_GetItem(strings->strings, i);
        uint32_t length = (uint32_t)PyBytes_Size(string) + 1;
        memcpy(base + at, PyBytes_AsString(string), length); /* there is a NUL behind every `bytes` */
        at += length;
    }
    return success(slots);
}

/* count, size: where to write each */
static int get_sizes(PlainStrings *strings, char *base, uint64_t size, witx_slot *slots)
{
    uint32_t first = slots[0].u32, second = slots[1].u32;
    if (strings->strings == NULL || !fits(size, first, 4, 4) || !fits(size, second, 4, 4))
        return NOTHING_DONE;
    put_u32(base, first, strings->count);
    put_u32(base, second, strings->size);
    return success(slots);
}

int plain_args_get(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    return get(&calls->arguments, base, size, slots);
}

int plain_args_sizes_get(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    return get_sizes(&calls->arguments, base, size, slots);
}

int plain_environ_get(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    return get(&calls->environment, base, size, slots);
}

int plain_environ_sizes_get(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    return get_sizes(&calls->environment, base, size, slots);
}
