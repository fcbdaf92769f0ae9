/* The extension `wasihost.native._native`: one line for each part that it consists of. */
#include "native.h"

static int (*const parts[])(PyObject *module) = {
    wasihost_add_buffers, wasihost_add_door,  wasihost_add_filestat, wasihost_add_listing,
    wasihost_add_opening, wasihost_add_plain, wasihost_add_quick,    wasihost_add_stubs,
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "wasihost.native._native",
    .m_doc = "What wasihost does in C where a compiler was there; wasihost.native imports it.",
    .m_size = -1, /* the state is static: see native.h */
};

PyMODINIT_FUNC PyInit__native(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL)
        return NULL;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i](module) < 0) {
            Py_DECREF(module);
            return NULL;
        }
    }
    return module;
}
