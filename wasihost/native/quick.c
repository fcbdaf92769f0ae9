/* The list of quick calls, and what they have in common: see quick.h for the rules. */
#include "quick.h"

Quick quick;
PyObject *quick_names[Q_NAMES];

static const char *const names[Q_NAMES] = {
    [Q_BOUNDS] = "bounds",     [Q_FD] = "fd",           [Q_FLAGS] = "flags",         [Q_FREED] = "_freed",
    [Q_GIVEN_UP] = "given_up", [Q_HIGH] = "high",       [Q_KNOWN] = "known",         [Q_INHERITING] = "inheriting",
    [Q_MAX_PATH] = "max_path", [Q_NEXT] = "_next",      [Q_OPEN] = "open",           [Q_LIMIT] = "limit",
    [Q_PLAIN] = "plain",       [Q_PREOPEN] = "preopen", [Q_READ_ONLY] = "read_only", [Q_RIGHTS] = "rights",
    [Q_SHARED] = "shared",     [Q_TABLE] = "table",     [Q_TIGHT] = "tight",
};

const QuickEntry quick_functions[] = {
    {"path_open", quick_path_open},
    {"fd_close", quick_fd_close},
    {"fd_fdstat_get", quick_fd_fdstat_get},
    {"path_filestat_get", quick_path_filestat_get},
    {"path_create_directory", quick_path_create_directory},
    {"path_remove_directory", quick_path_remove_directory},
    {"path_unlink_file", quick_path_unlink_file},
    {"path_rename", quick_path_rename},
    {"fd_prestat_get", quick_fd_prestat_get},
    {"fd_prestat_dir_name", quick_fd_prestat_dir_name},
};

const uint32_t quick_function_count = sizeof quick_functions / sizeof *quick_functions;

bool quick_number(PyObject *object, QuickName name, uint64_t *number)
{
    PyObject *value = quick_get(object, name);
    if (value == NULL)
        return false;
    *number = PyLong_AsUnsignedLongLong(value);
    Py_DECREF(value);
    return *number != UINT64_MAX || !PyErr_Occurred();
}

int quick_truth(PyObject *object, QuickName name)
{
    PyObject *value = quick_get(object, name);
    if (value == NULL)
        return -1;
    int truth = PyObject_IsTrue(value);
    Py_DECREF(value);
    return truth;
}

int quick_leave(void)
{
    PyErr_Clear();
    return NOTHING_DONE;
}

/* What `bounds` say of paths, as the strategy in use has it: see `resolve` of Place. */
static bool read_bounds(QuickDirectory *directory)
{
    PyObject *plain = quick_get(directory->bounds, Q_PLAIN);
    bool done = plain != NULL && as_int(plain, &directory->resolve);
    Py_XDECREF(plain);
    if (done && directory->resolve > 0 && PyDict_GetItemString(quick.resolving, "strategy") != quick.by_openat2)
        directory->resolve = 0;
    return done;
}

int quick_directory(PyObject *open, uint32_t number, uint64_t rights, QuickDirectory *directory)
{
    *directory = (QuickDirectory){0};
    PyObject *key = PyLong_FromUnsignedLong(number);
    PyObject *found = key == NULL ? NULL : PyDict_GetItemWithError(open, key);
    Py_XDECREF(key);
    if (found == NULL || (Py_TYPE(found) != quick.directories[0] && Py_TYPE(found) != quick.directories[1]))
        return quick_leave();
    Py_INCREF(found);
    directory->object = found;
    uint64_t fd;
    int read_only;
    if (!quick_number(found, Q_FD, &fd) || !quick_number(found, Q_RIGHTS, &directory->rights) ||
        !quick_number(found, Q_INHERITING, &directory->inheriting) ||
        (read_only = quick_truth(found, Q_READ_ONLY)) < 0 || (directory->bounds = quick_get(found, Q_BOUNDS)) == NULL ||
        !read_bounds(directory) || !(directory->rights & rights) || fd > INT32_MAX || directory->resolve < 0) {
        quick_release(directory);
        return quick_leave();
    }
    directory->fd = (int)fd;
    directory->read_only = read_only != 0;
    return 1;
}

void quick_release(QuickDirectory *directory)
{
    Py_XDECREF(directory->object);
    Py_XDECREF(directory->bounds);
}

int quick_is_known(const QuickDirectory *directory, dev_t device)
{
    PyObject *known = quick_get(directory->bounds, Q_KNOWN);
    int contained = known == NULL ? -1 : wasihost_is_known(known, device);
    Py_XDECREF(known);
    return contained;
}

/* Whether the text is what Python would make a path of: ASCII, or UTF-8 where file names are. */
static bool is_text(const char *text, uint32_t length)
{
    unsigned char all = 0;
    for (uint32_t i = 0; i < length; i++)
        all |= (unsigned char)text[i];
    if (all < 0x80)
        return true;
    PyObject *decoded = wasihost_paths_are_utf8 ? PyUnicode_DecodeUTF8(text, length, "strict") : NULL;
    Py_XDECREF(decoded);
    PyErr_Clear();
    return decoded != NULL;
}

int quick_path(PyObject *host, const char *base, uint64_t size, uint32_t at, uint32_t length, QuickPath *path)
{
    uint64_t most;
    if (length == 0 || length >= QUICK_PATH || !inside(size, at, length) || base[at] == '/' ||
        base[at + length - 1] == '/')
        return NOTHING_DONE;
    if (!quick_number(host, Q_MAX_PATH, &most) || length > most)
        return quick_leave();
    memcpy(path->text, base + at, length);
    path->text[length] = 0;
    path->length = length;
    if (strlen(path->text) != length || !is_text(path->text, length))
        return NOTHING_DONE;
    char *slash = strrchr(path->text, '/');
    path->name = slash == NULL ? path->text : slash + 1;
    return 1;
}

/* set_quick(directories, file, namespace, by_openat2, reserve, adopt, pop, push, no_flags, rights, sealed, all_rights)
 */
static PyObject *set_quick(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *given[14];
    Quick new = {0};
    if (!PyArg_ParseTuple(args, "(O!O!)O!O!OOOOOO(OOOO)IK:set_quick", &PyType_Type, &given[0], &PyType_Type, &given[1],
                          &PyType_Type, &given[2], &PyDict_Type, &given[3], &given[4], &given[5], &given[6], &given[7],
                          &given[8], &given[9], &given[10], &given[11], &given[12], &given[13], &new.sealed,
                          &new.all_rights))
        return NULL;
    for (size_t i = 0; i < 14; i++)
        Py_INCREF(given[i]); /* kept as long as the process: nobody sets them twice but a module that is loaded again */
    new.directories[0] = (PyTypeObject *)given[0];
    new.directories[1] = (PyTypeObject *)given[1];
    new.file = (PyTypeObject *)given[2];
    new.resolving = given[3];
    new.by_openat2 = given[4];
    new.reserve = given[5];
    new.adopt = given[6];
    new.pop = given[7];
    new.push = given[8];
    new.no_flags = given[9];
    memcpy(new.rights, given + 10, sizeof new.rights);
    quick = new;
    Py_RETURN_NONE;
}

/* quick_call(host, name, memory, *numbers) -> bool: whether C did the call. For tests: what the engine's door does. */
static PyObject *quick_call(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer memory;
    witx_slot slots[12] = {{.both = {0, 0}}};
    Py_ssize_t count = PyTuple_Size(args);
    if (count < 3 || count > 15) {
        PyErr_SetString(PyExc_TypeError, "quick_call(host, name, memory, *numbers)");
        return NULL;
    }
    for (Py_ssize_t i = 3; i < count; i++)
        slots[i - 3].u64 = PyLong_AsUnsignedLongLongMask(PyTuple_GetItem(args, i));
    const char *name = PyErr_Occurred() ? NULL : PyUnicode_AsUTF8AndSize(PyTuple_GetItem(args, 1), NULL);
    if (name == NULL)
        return NULL;
    QuickFunction *function = NULL;
    for (uint32_t i = 0; i < quick_function_count; i++) {
        if (strcmp(quick_functions[i].name, name) == 0)
            function = quick_functions[i].function;
    }
    if (function == NULL)
        Py_RETURN_FALSE;
    if (PyObject_GetBuffer(PyTuple_GetItem(args, 2), &memory, PyBUF_WRITABLE) != 0)
        return NULL;
    int done = function(PyTuple_GetItem(args, 0), memory.buf, (uint64_t)memory.len, slots);
    PyBuffer_Release(&memory);
    return done < 0 ? NULL : PyBool_FromLong(done);
}

static PyMethodDef methods[] = {
    {"set_quick", set_quick, METH_VARARGS, NULL},
    {"quick_call", quick_call, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

int wasihost_add_quick(PyObject *module)
{
    for (size_t i = 0; i < Q_NAMES; i++) {
        if (quick_names[i] == NULL && (quick_names[i] = PyUnicode_InternFromString(names[i])) == NULL)
            return -1;
    }
    return PyModule_AddFunctions(module, methods);
}
