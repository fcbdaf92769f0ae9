/* The packages that were compiled in, and what each takes from its half in Python when it is first bound.

   Rules of this file: those of witx.h. Names are static, since one interpreter of a process uses them. */

#include "witx.h"

static WitxPackage *const *known_packages;
static size_t known_count;

/* Make these packages those that guests can be of. */
void witx_know_packages(WitxPackage *const *packages, size_t count)
{
    known_packages = packages;
    known_count = count;
}

static int load_table(WitxTable *table, PyObject *values)
{
    table->values = Py_NewRef(values);
    if (!PyTuple_Check(values))
        return 0;
    Py_ssize_t count = PyTuple_Size(values);
    table->members = PyMem_Calloc((size_t)count, sizeof *table->members);
    if (table->members == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    table->count = (uint64_t)count;
    for (Py_ssize_t i = 0; i < count; i++)
        table->members[i] = Py_NewRef(PyTuple_GetItem(values, i));
    return 0;
}

/* A tuple of `count` objects that the Python half of the package has under `name`. */
static PyObject *objects(PyObject *module, const char *name, size_t count)
{
    PyObject *tuple = PyObject_GetAttrString(module, name);
    if (tuple != NULL && (!PyTuple_Check(tuple) || (size_t)PyTuple_Size(tuple) != count)) {
        PyErr_Format(PyExc_ImportError, "%R has not the %s that its C half was generated with: generate both again",
                     module, name);
        Py_CLEAR(tuple);
    }
    return tuple;
}

/* Take the codecs, of which those that have a shape are replaced by codecs in C. */
static int load_codecs(WitxPackage *package, PyObject *codecs)
{
    for (size_t i = 0; i < package->codec_count; i++) {
        PyObject *codec = PyTuple_GetItem(codecs, (Py_ssize_t)i);
        const WitxShape *shape = package->shapes[i];
        package->codecs[i] = shape != NULL ? witx_new_codec(shape, codec) : Py_NewRef(codec);
        if (package->codecs[i] == NULL)
            return -1;
    }
    return 0;
}

/* Take what the stubs need from the Python half of a package, once. */
int witx_load_package(WitxPackage *package, const char *full_name)
{
    if (package->guest_fault != NULL)
        return 0;
    PyObject *name = PyUnicode_FromFormat("%s.native", full_name);
    PyObject *module = name != NULL ? PyImport_Import(name) : NULL;
    PyObject *tables = module != NULL ? objects(module, "TABLES", package->table_count) : NULL;
    PyObject *codecs = tables != NULL ? objects(module, "CODECS", package->codec_count) : NULL;
    PyObject *classes = codecs != NULL ? objects(module, "CLASSES", package->class_count) : NULL;
    PyObject *runtime = classes != NULL ? objects(module, "RUNTIME", 5) : NULL;
    int status = runtime != NULL ? 0 : -1;
    for (size_t i = 0; status == 0 && i < package->table_count; i++)
        status = load_table(&package->tables[i], PyTuple_GetItem(tables, (Py_ssize_t)i));
    for (size_t i = 0; status == 0 && i < package->class_count; i++)
        package->classes[i] = Py_NewRef(PyTuple_GetItem(classes, (Py_ssize_t)i));
    if (status == 0)
        status = load_codecs(package, codecs);
    if (status == 0) {
        package->bad_value = Py_NewRef(PyTuple_GetItem(runtime, 1));
        package->wasi_error = Py_NewRef(PyTuple_GetItem(runtime, 2));
        package->pointer = Py_NewRef(PyTuple_GetItem(runtime, 3));
        package->const_pointer = Py_NewRef(PyTuple_GetItem(runtime, 4));
        package->guest_fault = Py_NewRef(PyTuple_GetItem(runtime, 0));
    }
    Py_XDECREF(runtime);
    Py_XDECREF(classes);
    Py_XDECREF(codecs);
    Py_XDECREF(tables);
    Py_XDECREF(module);
    Py_XDECREF(name);
    return status;
}

/* The package whose full name, which may begin with the names of packages around it, is `name`. */
WitxPackage *witx_find_package(const char *name)
{
    const char *dot = strrchr(name, '.'), *last = dot != NULL ? dot + 1 : name;
    for (size_t i = 0; i < known_count; i++)
        if (strcmp(known_packages[i]->name, last) == 0)
            return known_packages[i];
    PyErr_Format(PyExc_LookupError, "no stubs of %s were compiled", name);
    return NULL;
}
