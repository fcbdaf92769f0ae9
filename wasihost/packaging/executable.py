"""`wasihost build`: a program as one executable file, with the module, its compiled code, the host and the engine.

The file is a zip archive that Python runs (PEP 441): `__main__.py` and the package
`unpacker`, which unpacks the rest once. It
needs a Python on the machine, of any version that wasihost supports, and the same system and kind of processor.

Rules of this file: what goes in is read from where this process has it installed, and nothing is fetched.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from wasihost.engines import default_engine
from wasihost.errors import ConfigError
from wasihost.outcomes import printable
from wasihost.packaging import unpacked, unpacking
from wasihost.packaging.ahead import precompile
from wasihost.packaging.archive import Packed, write_archive

if TYPE_CHECKING:
    from wasihost.config.features import FeatureChoice
    from wasihost.engines.values import OnCompile
    from wasihost.packaging.ahead import Cpu

PYTHON: Final = "/usr/bin/env python3"
"""What follows `#!`."""
_PROGRAM: Final = "program/"
_MODULE: Final = "module.precompiled"
_PACKAGES: Final = ("wasihost", "wasi_preview1", "wasi_preview0", "elftools", "demangle", "click")
_DISTRIBUTIONS: Final = ("wasihost", "wasmtime", "pyelftools", "demangle", "click")
_LEFT_OUT: Final = (".c", ".h", ".pyc", ".pyi", ".tmpl", ".kept")
_MAIN: Final = """\
import sys

if sys.version_info < {oldest!r}:
    sys.exit("{name}: needs Python {shown} or newer, and this is " + sys.version.split()[0])

import os

if (sys.platform, os.uname().machine) != {machine!r}:
    sys.exit("{name}: is for {machine[0]} on {machine[1]}")

from unpacker.unpacked import Unpackable, find

try:
    folder = find("{digest}")
    if folder is None:
        from unpacker.unpacking import start

        folder = start(os.path.dirname(os.path.abspath(__file__)), "{digest}")
except Unpackable as error:
    sys.exit("{name}: " + str(error))
except KeyboardInterrupt:
    sys.exit(130)
sys.path[0] = os.path.join(folder, "lib")
from wasihost.__main__ import program

program(os.path.join(folder, {module!r}), ["--precompiled", *{options!r}])
"""


def build(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    options: Sequence[str] = (),
    python: str = PYTHON,
    cpu: Cpu = "native",
    fuel: bool = False,
    features: FeatureChoice | None = None,
    on_compile: OnCompile | None = None,
) -> int:
    """Make an executable of a module. Returns its size in bytes.

    Args:
        source: The path of the module.
        output: The path of the executable, which replaces an older file.
        options: Options of `wasihost run` that it always has, such as `["--dir", "."]`.
        python: The interpreter, as the first line has it after `#!`.
        cpu, fuel, features, on_compile: As for `precompile`.

    Raises:
        ModuleError: It is not a module that can run here.
        ConfigError: An option that `run` does not know, or something is not installed.
        OSError: A file cannot be read or written.
    """
    if not all(one.isprintable() for one in options):  # also no halves of characters, which have no UTF-8
        raise ConfigError(f"options are printable text: {printable(' '.join(options))!r}")
    if not python.isascii() or not python.isprintable() or not python or len(python) > 120:
        raise ConfigError(f"not the path of an interpreter: {printable(python)!r}")
    target = os.fspath(output)
    with tempfile.TemporaryDirectory(prefix="wasihost-build-") as scratch:
        folder = precompile(source, scratch, cpu=cpu, fuel=fuel, features=features, on_compile=on_compile)
        files = dict(_host())
        for path in sorted(Path(folder).iterdir()):
            files[f"{_MODULE}/{path.name}"] = Packed(path.read_bytes(), path.suffix == ".cwasm")
    listed = "".join(
        f"{hashlib.sha256(one.content).hexdigest()} {0o555 if one.executable else 0o444:o} {len(one.content)} {name}\n"
        for name, one in sorted(files.items())
    ).encode()
    main = _MAIN.format(
        oldest=(3, 11),
        shown="3.11",
        name=_quoted(os.path.basename(target)),
        machine=(sys.platform, os.uname().machine),
        digest=hashlib.sha256(listed).hexdigest(),
        module=_MODULE,
        options=list(options),
    )
    packed = {_PROGRAM + name: one for name, one in files.items()}
    packed["__main__.py"] = Packed(main.encode())
    packed["unpacker/__init__.py"] = Packed(b"")
    for path in (Path(unpacked.__file__), Path(unpacking.__file__)):
        packed[f"unpacker/{path.name}"] = Packed(path.read_bytes())
    packed[unpacking.FILES] = Packed(listed)
    write_archive(target, packed, before=f"#!{python}\n".encode(), executable=True, last=_PROGRAM)
    return os.stat(target).st_size


def _quoted(name: str) -> str:
    return "".join(one for one in printable(name) if one not in '"\\{}') or "program"


def _host() -> Iterator[tuple[str, Packed]]:
    """Name and content of each file of the host, the engine, and their licences."""
    for package in _PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise ConfigError(f"{package} is not installed: run: pip install --upgrade wasihost")
        top = Path(spec.submodule_search_locations[0])
        for path in sorted(top.rglob("*")):
            if path.is_file() and path.suffix not in _LEFT_OUT and "__pycache__" not in path.parts:
                yield f"lib/{package}/{path.relative_to(top).as_posix()}", Packed(path.read_bytes())
    library = Path(default_engine().library_path())
    yield "lib/wasmtime/__init__.py", Packed(b"# The library of this package alone; the host needs nothing more.\n")
    yield f"lib/wasmtime/{library.parent.name}/{library.name}", Packed(library.read_bytes(), executable=True)
    for name in _DISTRIBUTIONS:
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            raise ConfigError(f"{name} is not installed: run: pip install --upgrade wasihost") from None
        for file in found.files or ():
            parts = file.parts
            if parts[0].endswith(".dist-info") and (
                parts[1] == "METADATA" or parts[1].upper().startswith(("LICEN", "NOTICE", "COPYING"))
            ):
                yield f"lib/{file.as_posix()}", Packed(Path(str(found.locate_file(file))).read_bytes())
