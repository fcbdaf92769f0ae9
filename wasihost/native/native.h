/* What the parts of the extension `wasihost.native._native` share.
 *
 * Rules of this folder: Python.h comes first, by this header. From Python 3.12 on only the stable ABI is used, so that
 * one file serves every later version. State that is not an object's own is static and is touched with the GIL held:
 * wasihost runs in the main interpreter alone, and builds for Pythons without a GIL have no extension.
 */
#ifndef WASIHOST_NATIVE_H
#define WASIHOST_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#if defined(Py_LIMITED_API) && Py_LIMITED_API + 0 < 0x030d0000
/* Every Python has it under this name; the headers show it from the stable ABI of 3.13 on. */
PyAPI_FUNC(int) PySys_Audit(const char *event, const char *format, ...);
#endif

/* Put `value`, whose reference is taken over, in `place`, and release what was there: `Py_XSETREF` is not stable. */
static inline void wasihost_replace(PyObject **place, PyObject *value)
{
    PyObject *before = *place;
    *place = value;
    Py_XDECREF(before);
}

/* Each adds its types and functions to the module; -1 and an exception if that fails. */
int wasihost_add_buffers(PyObject *module);
int wasihost_add_door(PyObject *module);
int wasihost_add_filestat(PyObject *module);
int wasihost_add_listing(PyObject *module);
int wasihost_add_opening(PyObject *module);
int wasihost_add_plain(PyObject *module);
int wasihost_add_quick(PyObject *module);
int wasihost_add_stubs(PyObject *module);

#endif
