"""Messages for a command line that cannot work, and for a guest that may not have found a file.

Rules of this file: it is imported only after something went wrong; each message is one line that says what to type.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from wasihost.cli.options import OPTIONS, Option, RunArguments
from wasihost.cli.readers import mount
from wasihost.common.names import listed, near, shown
from wasihost.errors import WasihostError
from wasihost.outcomes import printable

if TYPE_CHECKING:
    from wasihost.engines.values import Item


# -- options -----------------------------------------------------------------------------------------------------------


_EXAMPLES: Final = {
    "SECONDS": "such as 10, 2.5, 300ms or 5m",
    "SIZE": "such as 65536, 64KiB or 1GiB",
    "HOST[::GUEST]": "such as . or data::/data",
    "HOST:PORT": "such as 127.0.0.1:8080",
    "NAME[=VALUE]": "such as HOME or LANG=C",
    "NAME=FILE": "such as lib=lib.wasm",
    "LIST": "such as -simd or wasm-2.0,+tail-call",
    "N": "a whole number, 0 or more",
    "MODULE:CLASS": "such as my_handlers:Audit",
    "MODULE:FUNCTION": "such as my_hooks:audit",
    "PACKAGE=MODULE:NAME": "such as dice=my_handlers:Dice",
    "text|json": "one of the two",
}


def bad_value(name: str, option: Option, text: str) -> str:
    """The message for a value that the option `name` cannot use."""
    if option.read is mount and (value := mount(text)):
        return _missing_folder(name, text, value[1])
    example = _EXAMPLES.get(option.metavar)
    return f"{text!r} is not {option.metavar}" + (f", {example}" if example else "")


def _missing_folder(name: str, text: str, host: str) -> str:
    """The message for a host directory that does not exist; perhaps it was written as docker has it, with one colon."""
    parts = text.split(":")
    if "::" not in text and len(parts) > 1 and os.path.isdir(parts[0]):
        if parts[-1] in ("ro", "rw") and len(parts) > 2:
            name = "--ro-dir" if parts.pop() == "ro" else "--dir"
        return f"write two colons between host and guest directory: {name} {parts[0]}::{':'.join(parts[1:])}"
    if os.path.exists(host):
        return f"{host!r} is not a directory; pass the one that it lies in: {name} {os.path.dirname(host) or '.'}"
    return f"{host!r} is not a directory on this machine"


def not_a_module(arguments: RunArguments) -> str:
    """The message for a MODULE that is a folder and should be a file, or the other way round; empty if it is right."""
    from wasihost.packaging.precompiled import is_precompiled

    module = arguments.module
    if arguments.precompiled and not os.path.isdir(module):
        return f"--precompiled needs a folder that `wasihost compile -o DIR` has made, and {module!r} is a file"
    if not arguments.precompiled and os.path.isdir(module):
        if is_precompiled(module):
            return (
                f"{module!r} is a precompiled module, which is machine code: if it comes from where your programs come "
                "from, run it with --precompiled"
            )
        return f"File {module!r} is a directory."
    return ""


def fixed_options(module: str, options: Sequence[str], *, here: bool = True) -> str:
    """The message for a program with options of its own, one of which cannot be used, or whose module is gone.

    `here`: the options are for this machine; otherwise directories may be missing, and the message is empty if the
    options are right.
    """
    rest = list(options)
    while rest:
        name, separator, value = rest.pop(0).partition("=")
        option = OPTIONS.get(name)
        if option is None or (option.read is None and separator):
            return f"option {name}: not an option of `wasihost run`"
        if option.read is None or (option.may_be_bare and not separator):
            continue
        if not separator:
            if not rest:
                return f"option {name}: needs a value, {option.metavar}"
            value = rest.pop(0)
        if (option.value(value) if here else option.read(value)) is None:
            return f"option {name}: {bad_value(name, option, value)}"
    return f"{printable(module)}: missing" if here else ""


# -- --invoke ----------------------------------------------------------------------------------------------------------


def numbers_for(name: str, exports: dict[str, Item], texts: Sequence[str]) -> list[int | float]:
    """Convert the arguments of `--invoke` to what the export takes.

    Raises:
        WasihostError: There is no such function, it takes another number of arguments, or one of them does not fit.
    """
    functions = [one for one, item in exports.items() if item.kind == "func"]
    if name not in functions:
        meant = near(name, functions)
        hint = f"did you mean {shown(meant)}?" if meant else f"it has {listed(functions, 10) or 'none at all'}"
        raise WasihostError(f"--invoke: export {shown(name)}: missing; the module has no such function; {hint}")
    types = exports[name].params
    usage = f"{shown(name)}({', '.join(types)})"
    if len(types) != len(texts):
        takes = f"{len(types)} number{'s' * (len(types) != 1)}"
        given = f"{len(texts)} {'were' if len(texts) != 1 else 'was'} given"
        raise WasihostError(f"--invoke {usage} takes {takes} after the module's name, and {given}")
    return [_number(usage, text, type_) for text, type_ in zip(texts, types, strict=True)]


def _number(usage: str, text: str, type_: str) -> int | float:
    whole = type_[:1] == "i"
    try:
        number = int(text, 0) if whole else _real(text)
    except ValueError:
        what = "whole numbers" if whole else "numbers"
        raise WasihostError(f"--invoke {usage}: {type_} are {what}, and {text!r} is not one") from None
    bits = int(type_[1:]) if type_[1:].isdigit() else 64
    if whole and not -(1 << bits - 1) <= number < 1 << bits:
        raise WasihostError(f"--invoke {usage}: {text} is not an {type_}: from {-(1 << bits - 1)} to {(1 << bits) - 1}")
    return number


def _real(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float(int(text, 0))


# -- files that the guest cannot see -----------------------------------------------------------------------------------


def unreachable(arguments: RunArguments) -> str | None:
    """The message for an argument that names an existing file in no directory of the guest's; None if there is none.

    A guest's libc finds the preopened directory of a path by itself; if there is none, it fails without a call to the
    host. So the command looks at the arguments after the guest has ended with an error.
    """
    mounts = [
        (_plain(guest), host, guest) for guest, host in (*arguments.dirs, *arguments.ro_dirs, *arguments.overlays)
    ]
    for path in _paths(arguments.args):
        plain = _plain(path)
        if any(_within(plain, guest) for guest, _, _ in mounts):
            continue
        for _, host, name in mounts:
            if not path.startswith("/") and os.path.exists(os.path.join(host, path)):
                return f"the guest has {path!r} as {posixpath.join(name, path)!r}"
            if _within(os.path.abspath(path), os.path.abspath(host)) and os.path.exists(path):
                inner = os.path.relpath(path, host)
                return f"the guest has {path!r} as {posixpath.join(name, inner)!r}: it sees {host!r} as {name!r}"
        if folder := _folder(path):
            return f"the guest was given no directory that {path!r} lies in: try --dir {folder} (or --ro-dir {folder})"
    return None


def _paths(args: Sequence[str]) -> Iterator[str]:
    """The arguments that may be paths: those without a dash, and what follows `=` in options."""
    for arg in args:
        if not arg.startswith("-"):
            yield arg
        elif "=" in arg:
            yield arg.partition("=")[2]


def _folder(path: str) -> str | None:
    """The host directory that a guest needs for this path; None if the text does not look like a path."""
    if not path or len(path) > 4096 or "\0" in path:
        return None
    try:
        if os.path.isdir(path):
            return path
        above = os.path.dirname(path)
        if os.path.exists(path):
            return above or "."
    except ValueError:
        return None
    return above if above.strip("/") and os.path.isdir(above) else None  # the guest may want to create a file there


def _plain(path: str) -> str:
    """A path as wasi-libc compares it: without `.` components and the leading slash."""
    path = posixpath.normpath(path).lstrip("/")
    return "" if path == "." else path


def _within(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(folder.rstrip("/") + "/")
