"""Compiles the stubs in C of generated packages into an extension, as a project with a spec of its own would."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import hatch_build

_MODULE = """#include "witx.h"

extern WitxPackage {declared};
static WitxPackage *const packages[] = {{{listed}}};
static struct PyModuleDef definition = {{PyModuleDef_HEAD_INIT, .m_name = "{name}", .m_size = -1}};

PyMODINIT_FUNC PyInit_{name}(void)
{{
    PyObject *module = PyModule_Create(&definition);
    if (module != NULL && witx_add(module, packages, sizeof packages / sizeof *packages) < 0)
        Py_CLEAR(module);
    return module;
}}
"""


def compile_stubs(folder: Path, packages: Sequence[str], name: str) -> ModuleType:
    """The extension `name` with the stubs of these packages in `folder`. A warning of the compiler is an error."""
    module = folder / f"{name}.c"
    declared = ", ".join(f"{package}_package" for package in packages)
    listed = ", ".join(f"&{package}_package" for package in packages)
    module.write_text(_MODULE.format(declared=declared, listed=listed, name=name), encoding="utf-8")
    first = folder / packages[0]
    sources = [module, *first.glob("witx_*.c"), *(folder / package / "stubs.c" for package in packages)]
    flags = [*hatch_build.compiler(), *hatch_build.FLAGS, "-O0", "-Werror", f"-I{sysconfig.get_path('include')}"]
    if sys.version_info >= hatch_build.STABLE_FROM:
        flags.append("-DPy_LIMITED_API=0x030c0000")
    objects = {source: folder / f"{source.parent.name}-{source.stem}.o" for source in sources}

    def run(*command: str | Path) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda one: run(*flags, f"-I{first}", "-c", one[0], "-o", one[1]), objects.items()))
    made = folder / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
    shared = ["-bundle", "-undefined", "dynamic_lookup"] if sys.platform == "darwin" else ["-shared"]
    run(*hatch_build.compiler(), *shared, *objects.values(), "-o", made)
    spec = spec_from_file_location(name, made, loader=ExtensionFileLoader(name, str(made)))
    assert spec is not None
    assert spec.loader is not None
    extension = module_from_spec(spec)
    spec.loader.exec_module(extension)
    return extension
