"""`wasihost wheel`: a module as an installable wheel, with commands and typed Python functions.

The wheel is for every system: it has the module, not its compiled code, which belongs to one version of the engine. So
it needs wasihost, which compiles the module once for each user.

Rules of this file: names are checked by the rules of the packaging standards before they are used; metadata is read
back and validated by `packaging`. The same input makes the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import keyword
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from wasihost import __version__
from wasihost.errors import ConfigError
from wasihost.inspection import Report, inspect
from wasihost.outcomes import printable
from wasihost.packaging import source
from wasihost.packaging.ahead import read_module
from wasihost.packaging.api import LARGEST, Function, Parameter, identifier, read_api
from wasihost.packaging.archive import Packed, write_archive

if TYPE_CHECKING:
    from types import ModuleType

    from packaging.metadata import Metadata

_COMMAND: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LICENCE: Final = re.compile(r"(LICEN[CS]E|COPYING|NOTICE|AUTHORS)([._-].*)?", re.IGNORECASE)
_LICENCES: Final = 20
_LICENCE_SIZE: Final = 1 << 20
_EXPORTS: Final = 200
_ALLOCATORS: Final = {"malloc", "free", "calloc", "realloc", "cabi_realloc", "allocate", "deallocate"}
_NUMBERS: Final = {"i32": "int", "i64": "int", "f32": "float", "f64": "float"}


class Made(NamedTuple):
    """A wheel: its path, its bytes, and its functions."""

    path: str
    size: int
    functions: tuple[str, ...]


def wheel(
    module: str | os.PathLike[str],
    output: str | os.PathLike[str] = "dist",
    *,
    name: str,
    version: str = "0.1.0",
    summary: str = "",
    commands: Sequence[str] | None = None,
    typed: str | os.PathLike[str] | None = None,
    options: Sequence[str] = (),
    stubs: Sequence[str] = (),
    license_expression: str | None = None,
    license_files: Sequence[str | os.PathLike[str]] = (),
) -> Made:
    """Make a wheel of a module.

    Args:
        module: The path of the module.
        output: The folder for the wheel.
        name: The name of the project; the package to import has it too, with `_` for `-` and `.`.
        version, summary: Of the project.
        commands: Names of its commands, each with that name as `argv[0]`; by default one with the project's name, if
            the module is a command.
        typed: The path of a file that describes functions: see `docs/packaging.md`. Without it, a command has one
            function with its arguments, and a library one for each export that takes and returns numbers.
        options: Options of `wasihost run` that the commands always have.
        stubs: Import modules whose functions are never called.
        license_expression: An SPDX expression, such as "MIT OR Apache-2.0".
        license_files: Files to carry along, besides those beside the module that look like licences.

    Raises:
        ModuleError: It is not a module that can run here.
        ConfigError: A name, version, licence or function that cannot be.
        OSError: A file cannot be read or written.
    """
    code, file = read_module(module)
    report = inspect(code, file)
    project, package = _names(name)
    is_command = "_start" in report.exports
    chosen = list(commands if commands is not None else [project] if is_command else [])
    _check_commands(chosen, is_command)
    if not all(one.isprintable() for one in (*options, *stubs, summary)):
        raise ConfigError("options, stubs and the summary are printable text of one line")
    functions = _functions(report, chosen, typed)
    title = summary or f"{file} as a Python package"
    files = {
        f"{package}/__init__.py": source.functions_source(title, functions, chosen, stubs).encode(),
        f"{package}/py.typed": b"",
        f"{package}/{source.MODULE}": code,
    }
    if chosen:
        stub_options = [part for one in stubs for part in ("--stub", one)]
        files[f"{package}/_commands.py"] = source.commands_source(chosen, [*options, *stub_options]).encode()
        files[f"{package}/__main__.py"] = source.main_source(chosen[0]).encode()
    licences = dict(_licences(Path(os.fspath(module)), license_files))
    metadata = _metadata(project, version, title, license_expression, list(licences), chosen, functions, package)
    stem = f"{package}-{str(metadata.version).replace('-', '_')}"
    info = f"{stem}.dist-info"
    files |= {f"{info}/licenses/{one}": content for one, content in licences.items()}
    files[f"{info}/METADATA"] = _text(metadata)
    files[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: wasihost ({__version__})\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    ).encode()
    if chosen:
        scripts = "".join(f"{one} = {package}._commands:{identifier(one)}\n" for one in sorted(chosen))
        files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{scripts}".encode()
    files[f"{info}/RECORD"] = _record(files, f"{info}/RECORD")
    target = os.path.join(os.fspath(output), f"{stem}-py3-none-any.whl")
    write_archive(target, {one: Packed(content) for one, content in files.items()}, last=f"{info}/")
    names = sorted({*(one.name for one in functions), *(identifier(one) or "" for one in chosen)})
    return Made(target, os.stat(target).st_size, tuple(names))


def _names(name: str) -> tuple[str, str]:
    """Return the name of the project and that of its package."""
    utils = _packaging("utils")
    try:
        project = utils.canonicalize_name(name, validate=True)
    except utils.InvalidName:
        raise ConfigError(
            f"--name {printable(name)}: not a name of a project: letters, digits, and . _ - between them"
        ) from None
    package = project.replace("-", "_")
    if not package.isidentifier() or keyword.iskeyword(package) or len(package) > 100:
        raise ConfigError(f"--name {printable(name)}: the package would be {package!r}, which cannot be imported")
    return project, package


def _check_commands(commands: Sequence[str], is_command: bool) -> None:
    if commands and not is_command:
        raise ConfigError("the module has no _start, so it cannot be a command: leave out --commands")
    for one in commands:
        if not _COMMAND.fullmatch(one) or identifier(one) is None:
            raise ConfigError(f"--commands: {printable(one)}: not a name of a command: letters first, then also . _ -")
    found = [identifier(one) for one in commands]
    if len(set(found)) != len(found):
        raise ConfigError("--commands: two of them have the same name in Python")


def _functions(report: Report, commands: Sequence[str], typed: str | os.PathLike[str] | None) -> list[Function]:
    exports = {name: type_ for name, type_ in report.exports.items() if not type_.startswith(" ")}
    if typed is not None:
        label = printable(os.path.basename(os.fspath(typed)))
        with open(typed, "rb") as file:
            content = file.read(LARGEST + 1)
        try:
            text = content[:LARGEST].decode()
        except UnicodeDecodeError:
            raise ConfigError(f"{label}: not UTF-8") from None
        if len(content) > LARGEST:
            raise ConfigError(f"{label}: larger than {LARGEST:,} bytes")
        return read_api(text, label, commands, exports)
    if commands:
        return []
    found = []
    for name, type_ in exports.items():
        params, results = (part.strip("() ").replace(" ", "") for part in type_.split(" -> "))
        types = [_NUMBERS.get(one) for one in params.split(",") if one]
        returns = _NUMBERS.get(results, "none" if not results else None)
        python = identifier(name)
        usable = python and not python.startswith("_") and name not in _ALLOCATORS
        if python and usable and returns and None not in types and len(types) < 100:
            parameters = tuple(Parameter(f"x{number}", str(one)) for number, one in enumerate(types))
            args = tuple(f"{{{one.name}}}" for one in parameters)
            found.append(Function(python, "export", name, f"Call {name}{type_}", parameters, returns, args))
    unique = {one.name: one for one in found[:_EXPORTS]}
    if not unique:
        raise ConfigError(
            f"{report.name}: exports no function that a wheel can have: no command is wanted, and it has none that "
            "takes and returns numbers: describe its functions with --typed"
        )
    return list(unique.values())


def _licences(module: Path, given: Sequence[str | os.PathLike[str]]) -> Iterator[tuple[str, bytes]]:
    """Name and content of the licence files: those given, and those beside the module."""
    beside = [one for one in sorted(module.parent.iterdir()) if _LICENCE.fullmatch(one.name) and one.is_file()]
    seen: dict[str, Path] = {}
    for path in [*map(Path, given), *beside]:
        if path.name in seen:
            if path in beside or path.resolve() == seen[path.name].resolve():
                continue
            raise ConfigError(f"--license-file: two files are named {printable(path.name)}")
        if not path.name.isprintable() or not path.name.isascii() or not re.fullmatch(r"[\w.+ -]+", path.name):
            raise ConfigError(f"--license-file: {printable(path.name)}: rename it to letters, digits and . _ -")
        seen[path.name] = path
        if len(seen) > _LICENCES:
            raise ConfigError(f"more than {_LICENCES} licence files")
        about = path.stat()
        if not stat.S_ISREG(about.st_mode) or about.st_size > _LICENCE_SIZE:
            raise ConfigError(f"--license-file: {printable(str(path))}: not a file of at most {_LICENCE_SIZE:,} bytes")
        yield path.name, path.read_bytes()


def _metadata(
    project: str,
    version: str,
    summary: str,
    expression: str | None,
    licences: Sequence[str],
    commands: Sequence[str],
    functions: Sequence[Function],
    package: str,
) -> Metadata:
    metadata = _packaging("metadata")
    raw: dict[str, object] = {
        "metadata_version": "2.4",
        "name": project,
        "version": version,
        "summary": summary,
        "requires_python": ">=3.11",
        "requires_dist": [f"wasihost>={_release(__version__)}"],
        "license_files": sorted(licences),
        "description_content_type": "text/markdown",
        "description": _description(project, package, commands, functions),
    }
    if expression is not None:
        raw["license_expression"] = expression
    try:
        made: Metadata = metadata.Metadata.from_raw(raw)
    except Exception as error:
        found = [str(one) for one in getattr(error, "exceptions", [error])]
        raise ConfigError(f"the metadata of the wheel would be invalid: {printable('; '.join(found))}") from None
    return made


def _text(metadata: Metadata) -> bytes:
    """Return METADATA."""
    lines = [
        f"Metadata-Version: {metadata.metadata_version}",
        f"Name: {metadata.name}",
        f"Version: {metadata.version}",
        f"Summary: {metadata.summary}",
        *([f"License-Expression: {metadata.license_expression}"] if metadata.license_expression else []),
        *(f"License-File: {one}" for one in metadata.license_files or ()),
        f"Requires-Python: {metadata.requires_python}",
        *(f"Requires-Dist: {one}" for one in metadata.requires_dist or ()),
        f"Description-Content-Type: {metadata.description_content_type}",
        "",
        metadata.description or "",
    ]
    return "\n".join(lines).encode()


def _description(project: str, package: str, commands: Sequence[str], functions: Sequence[Function]) -> str:
    lines = [f"# {project}", "", "A WebAssembly program, run by wasihost in a sandbox.", ""]
    if commands:
        lines += [f"Commands: {', '.join(f'`{one}`' for one in commands)}. In Python:", ""]
    names = [one.name for one in functions] or [str(identifier(one)) for one in commands]
    lines += ["```python", f"import {package}", *(f"{package}.{one}(...)" for one in names[:10]), "```", ""]
    return "\n".join(lines)


def _release(version: str) -> str:
    """Return a version without what marks a build of ours."""
    return str(_packaging("version").Version(version).base_version)


def _record(files: Mapping[str, bytes], own: str) -> bytes:
    lines = []
    for name, content in sorted(files.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(content)}\n")
    return "".join([*lines, f"{own},,\n"]).encode()


def _packaging(name: str) -> ModuleType:
    """Import a module of `packaging`, which only this needs."""
    from importlib import import_module

    try:
        return import_module(f"packaging.{name}")
    except ImportError:
        raise ConfigError("wheels need the package packaging: run: pip install 'wasihost[wheel]'") from None
