"""What the command says to somebody who typed what cannot work, or whose guest did not find a file.

Rules of this file: it is imported when something went wrong, never before; every text is one line.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from wasihost.cli.options import Order
from wasihost.common.names import listed, near, shown
from wasihost.errors import WasihostError

if TYPE_CHECKING:
    from wasihost.engines.wasmtime.module import Item


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
}


def bad_value(metavar: str, text: str) -> str:
    """A value that its option cannot read."""
    example = _EXAMPLES.get(metavar)
    return f"{text!r} is not {metavar}" + (f", {example}" if example else "")


def no_folder(option: str, value: str, host: str) -> str:
    """A directory that there is not; perhaps it was written as docker writes it."""
    parts = value.split(":")
    if "::" not in value and len(parts) > 1 and os.path.isdir(parts[0]):
        if parts[-1] in ("ro", "rw") and len(parts) > 2:
            option = "--ro-dir" if parts.pop() == "ro" else "--dir"
        return f"write two colons between host and guest directory: {option} {parts[0]}::{':'.join(parts[1:])}"
    if os.path.exists(host):
        return f"{host!r} is no directory; give the one that it lies in: {option} {os.path.dirname(host) or '.'}"
    return f"{host!r} is no directory on this machine"


# -- --invoke ----------------------------------------------------------------------------------------------------------


def arguments(name: str, exports: dict[str, Item], texts: Sequence[str]) -> list[int | float]:
    """The numbers to call an export with. WasihostError where there is no such function, or it takes others."""
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
        raise WasihostError(f"--invoke {usage}: {type_} are {what}, and {text!r} is none") from None
    bits = int(type_[1:]) if type_[1:].isdigit() else 64
    if whole and not -(1 << bits - 1) <= number < 1 << bits:
        raise WasihostError(f"--invoke {usage}: {text} is no {type_}: from {-(1 << bits - 1)} to {(1 << bits) - 1}")
    return number


def _real(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float(int(text, 0))


# -- files that the guest cannot see -----------------------------------------------------------------------------------


def unseen(order: Order) -> str | None:
    """Which argument names a file or directory of this machine that is in no directory of the guest's, if any does.

    A guest's libc looks for the directory that a path lies in by itself, and where there is none the host is never
    asked. So this is looked for in the arguments, once the guest has ended with an error.
    """
    mounts = [(_plain(guest), host, guest) for guest, host in (*order.dirs, *order.ro_dirs)]
    for path in _paths(order.args):
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
    """Arguments that may be paths, and what follows `=` in them."""
    for arg in args:
        if not arg.startswith("-"):
            yield arg
        elif "=" in arg:
            yield arg.partition("=")[2]


def _folder(path: str) -> str | None:
    """The directory of this machine that a path of a guest's needs; None if it is no path, as far as can be seen."""
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
    return above if above.strip("/") and os.path.isdir(above) else None  # a file to be made


def _plain(path: str) -> str:
    """As wasi-libc compares paths: without what stands for the current directory and the root."""
    path = posixpath.normpath(path).lstrip("/")
    return "" if path == "." else path


def _within(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(folder.rstrip("/") + "/")
