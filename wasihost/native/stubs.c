/* The marshalling of both specs: what the generator wrote in C, as a part of the extension. */
#include "native.h"
#include "witx.h"

extern WitxPackage wasi_preview0_package, wasi_preview1_package;

static WitxPackage *const packages[] = {&wasi_preview0_package, &wasi_preview1_package};

int wasihost_add_stubs(PyObject *module)
{
    return witx_add(module, packages, sizeof packages / sizeof *packages);
}
