"""The typed functions of a wheel, as a TOML file describes them.

    [render]                                  # the name of the Python function
    command = "dot"                           # one of the wheel's commands; or: export = "add"
    doc = "Draw a graph."
    args = ["-T{format}", { when = "verbose", arg = "-v" }, "{more}"]
    stdin = "{source}"
    files = { "in.txt" = "{text}" }           # files that the program finds in its root folder
    returns = "bytes"                         # of standard output, or of a file: output = "out.bin"
    [render.parameters]
    source = "str"
    format = { type = "str", default = "svg" }

Rules of this file: what it returns can be written as Python: each name is an identifier, and each `{name}` a parameter.
Errors name the function and the key.
"""

from __future__ import annotations

import keyword
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from wasihost.errors import ConfigError
from wasihost.outcomes import printable

LARGEST: Final = 1 << 20
"""Bytes of such a file."""
TYPES: Final = {"str": str, "bytes": bytes, "int": int, "float": float, "bool": bool, "list[str]": list}
_RETURNS: Final = {"command": ("bytes", "str", "none"), "export": ("int", "float", "str", "bytes", "none")}
_KEYS: Final = {
    "command": {"command", "doc", "args", "stdin", "files", "output", "returns", "parameters"},
    "export": {"export", "doc", "args", "returns", "free_result", "parameters"},
}
_RESERVED: Final = frozenset(
    {"wasihost", "threading", "os", "program", "MODULE", "OPTIONS", "TYPE_CHECKING", "Any", "Sequence", "Unpack"}
    | {"str", "bytes", "int", "float", "bool", "list", "getattr"}
)
"""Names that the Python of a wheel uses itself."""
_HOLE: Final = re.compile(r"\{(\w+)\}")
_MANY: Final = 200
"""Functions, and parameters of one."""


class Parameter(NamedTuple):
    """A parameter: its type as Python has it, and its default as it is written, if it has one."""

    name: str
    type: str
    default: str | None = None


class Conditional(NamedTuple):
    """An argument that is there if a parameter of type bool is true."""

    when: str
    arg: str


class Function(NamedTuple):
    """A function: of a command (`target` is its `argv[0]`), or of an export."""

    name: str
    kind: str
    target: str
    doc: str
    parameters: tuple[Parameter, ...]
    returns: str
    args: tuple[str | int | Conditional, ...] = ()
    stdin: str | None = None
    files: tuple[tuple[str, str], ...] = ()
    output: str | None = None
    free_result: bool = False


def identifier(text: str) -> str | None:
    """Return a Python name for the name of a command or an export: `avr-as` is `avr_as`, and `as` is `as_`."""
    name = re.sub(r"[-.]", "_", text)
    if not name.isascii() or not name.isidentifier():
        return None
    return f"{name}_" if keyword.iskeyword(name) or name in _RESERVED else name


def read_api(text: str, label: str, commands: Sequence[str], exports: Mapping[str, Any]) -> list[Function]:
    """Read the functions of an api file. ConfigError for what cannot be one, with the function and the key."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{label}: not TOML: {printable(str(error))}") from None
    if len(tables) > _MANY:
        raise ConfigError(f"{label}: {len(tables)} functions, and at most {_MANY} are made")
    return [
        _function(name, table, f"{label}: [{printable(name)}]", commands, exports) for name, table in tables.items()
    ]


def _function(name: str, table: Any, where: str, commands: Sequence[str], exports: Mapping[str, Any]) -> Function:
    if identifier(name) != name or name.startswith("_"):
        raise ConfigError(f"{where}: not a name of a public Python function")
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: is a table of what the function does, not {type(table).__name__}")
    kind = "export" if "export" in table else "command"
    if unknown := table.keys() - _KEYS[kind]:
        raise ConfigError(f"{where}: {printable(min(unknown))}: unknown; there are {', '.join(sorted(_KEYS[kind]))}")
    target = _text(table, kind, where) or commands[0] if kind == "command" and commands else _text(table, kind, where)
    if kind == "command" and target not in commands:
        raise ConfigError(f"{where}: command: {printable(str(target))}: not a command of this wheel: use --commands")
    if kind == "export" and target not in exports:
        raise ConfigError(f"{where}: export: {printable(str(target))}: the module has no such function")
    assert target is not None
    given = table.get("parameters", {})
    if not isinstance(given, dict) or len(given) > _MANY:
        raise ConfigError(f"{where}: parameters: a table with one entry for each, at most {_MANY}")
    parameters = tuple(_parameter(one, how, f"{where}: parameters: {printable(one)}") for one, how in given.items())
    parameters = (*(one for one in parameters if one.default is None), *(one for one in parameters if one.default))
    returns = _text(table, "returns", where) or ("bytes" if kind == "command" else "none")
    if returns not in _RETURNS[kind]:
        raise ConfigError(f"{where}: returns: {printable(returns)}: one of {', '.join(_RETURNS[kind])}")
    made = Function(name, kind, target, _text(table, "doc", where) or "", parameters, returns)
    if kind == "export":
        if wrong := [one.name for one in parameters if one.type in ("bool", "list[str]")]:
            raise ConfigError(f"{where}: parameters: {wrong[0]}: an export takes str, bytes, int and float")
        return _exported(made, table, where)
    types = {one.name: one.type for one in parameters}
    files = table.get("files", {})
    if not isinstance(files, dict) or not all(isinstance(one, str) for one in files.values()):
        raise ConfigError(f"{where}: files: a table of names and contents")
    for file in files:
        if not file or file.startswith("/") or ".." in file.split("/") or not file.isprintable():
            raise ConfigError(f"{where}: files: {printable(file)}: a name below the working folder")
    arguments = table.get("args", [])
    if not isinstance(arguments, list):
        raise ConfigError(f"{where}: args: a list of arguments")
    return made._replace(
        args=tuple(_argument(one, f"{where}: args", types) for one in arguments),
        stdin=_template(_text(table, "stdin", where), f"{where}: stdin", types, content=True),
        files=tuple(
            (file, _template(content, f"{where}: files: {file}", types, content=True) or "")
            for file, content in files.items()
        ),
        output=_text(table, "output", where),
    )


def _exported(one: Function, table: Mapping[str, Any], where: str) -> Function:
    """Add what is passed to an export: its parameters, and texts and numbers that are always the same."""
    arguments = table.get("args", [f"{{{each.name}}}" for each in one.parameters])
    names = {f"{{{each.name}}}" for each in one.parameters}
    if not isinstance(arguments, list) or not all(type(each) in (str, int) for each in arguments):
        raise ConfigError(f"{where}: args: a list of texts and whole numbers")
    for each in arguments:
        if isinstance(each, str) and each not in names and _HOLE.search(each):
            raise ConfigError(f"{where}: args: {printable(each)}: a parameter alone, such as {{name}}, or a text")
    free = table.get("free_result", False)
    if not isinstance(free, bool):
        raise ConfigError(f"{where}: free_result: true or false")
    return one._replace(args=tuple(arguments), free_result=free)


def _text(table: Mapping[str, Any], key: str, where: str) -> str | None:
    value = table.get(key)
    if value is not None and (not isinstance(value, str) or len(value) > 10_000):
        raise ConfigError(f"{where}: {key}: a text of at most 10,000 characters")
    return value


def _parameter(name: str, how: Any, where: str) -> Parameter:
    if identifier(name) != name or name.startswith("_"):
        raise ConfigError(f"{where}: not a name of a parameter in Python")
    type_, default = (how.get("type"), how.get("default")) if isinstance(how, dict) else (how, None)
    if type_ not in TYPES or (isinstance(how, dict) and how.keys() - {"type", "default"}):
        raise ConfigError(f"{where}: a type, or a table of type and default; types are {', '.join(TYPES)}")
    if type_ == "list[str]" and default is None:
        return Parameter(name, "Sequence[str]", "()")
    if type_ == "bool" and default is None:
        default = False
    if default is None:
        return Parameter(name, type_)
    if type(default) is not TYPES[type_]:
        raise ConfigError(f"{where}: default: {printable(repr(default))} is not {type_}")
    if isinstance(default, list):
        return Parameter(name, "Sequence[str]", repr(tuple(map(str, default))))
    return Parameter(name, type_, ascii(default))


def _argument(one: Any, where: str, types: Mapping[str, str]) -> str | Conditional:
    if isinstance(one, str):
        found = _template(one, where, types)
        assert found is not None
        return found
    if not isinstance(one, dict) or one.keys() != {"when", "arg"} or not isinstance(one["arg"], str):
        raise ConfigError(f"{where}: an argument is a text, or {{ when = PARAMETER, arg = TEXT }}")
    if types.get(one["when"]) != "bool":
        raise ConfigError(f"{where}: when: {printable(str(one['when']))}: a parameter of type bool")
    return Conditional(one["when"], _template(one["arg"], where, types) or "")


def _template(text: str | None, where: str, types: Mapping[str, str], *, content: bool = False) -> str | None:
    """Check the parameters in a text."""
    for name in _HOLE.findall(text or ""):
        whole = text == f"{{{name}}}"
        if name not in types:
            raise ConfigError(f"{where}: {{{name}}}: no such parameter")
        if types[name] == "bool" or (not whole and types[name] in ("bytes", "Sequence[str]")):
            raise ConfigError(f"{where}: {{{name}}}: of type {types[name]}, which cannot be a part of a text")
        if (types[name] == "Sequence[str]") if content else types[name] == "bytes":
            raise ConfigError(f"{where}: {{{name}}}: of type {types[name]}, which is not usable here")
    return text


def pieces(text: str) -> list[tuple[bool, str]]:
    """Split a text into (is a parameter, text or name)."""
    parts = _HOLE.split(text)
    return [(bool(number % 2), part) for number, part in enumerate(parts) if part]
