"""What a `wasihost run` asks for, and how its options are read.

Rules of this file: text to values, nothing is opened or run; every reader answers None for what it cannot read.
`launch` and `click_app` both read by this table.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

STDIN: Final = "-"
"""As the module: standard input."""


class Order(NamedTuple):
    """Pairs of guest path and host directory, variables, limits; the module and its arguments."""

    dirs: tuple[tuple[str, str], ...] = ()
    ro_dirs: tuple[tuple[str, str], ...] = ()
    one_file_system: bool = False
    kernel_files: bool = False
    env: tuple[tuple[str, str | None], ...] = ()
    env_inherit: bool = False
    tcplisten: tuple[tuple[str, int], ...] = ()
    tcp_nonblock: bool = False
    preload: tuple[tuple[str, str], ...] = ()
    stub: tuple[str, ...] = ()
    argv0: str | None = None
    invoke: str | None = None
    timeout: float | None = None
    max_memory: int | None = None
    max_stack: int | None = None
    compile_timeout: float | None = None
    compile_memory: int | None = None
    fuel: int | None = None
    max_output: int | None = None
    max_open_files: int | None = None
    features: tuple[str, ...] = ()
    no_cache: bool = False
    stats: bool = False
    isolate: bool = False
    module: str = ""
    args: tuple[str, ...] = ()


def mount(value: str) -> tuple[str, str] | None:
    """HOST[::GUEST] -> (guest path, host directory)."""
    host, separator, guest = value.partition("::")
    if not separator:
        guest = host
    return (guest, host) if host and guest else None


def variable(value: str) -> tuple[str, str | None] | None:
    """NAME=VALUE -> (name, value); NAME -> (name, None), which passes this process' own."""
    name, separator, content = value.partition("=")
    return (name, content if separator else None) if name else None


def address(value: str) -> tuple[str, int] | None:
    """HOST:PORT or [HOST]:PORT -> (host, port)."""
    host, separator, port = value.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        return None
    number = count(port)
    return (host, number) if separator and host and number is not None and number < 1 << 16 else None


def preload(value: str) -> tuple[str, str] | None:
    """NAME=FILE -> (import module, file)."""
    name, separator, file = value.partition("=")
    return (name, file) if separator and name and file else None


_TIMES: Final = {"": 1.0, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def seconds(value: str) -> float | None:
    """A number of seconds, 0 or more, or with another unit: 300ms, 10s, 5m, 1h."""
    figures = value.strip().rstrip("abcdefghijklmnopqrstuvwxyz")
    try:
        number = float(figures) * _TIMES[value.strip()[len(figures) :]]
    except (ValueError, KeyError):
        return None
    return number if 0 <= number < float("inf") else None


def count(value: str) -> int | None:
    """A whole number, 0 or more, as far as anything counts."""
    return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None


def size(value: str) -> int | None:
    """Bytes: 1048576, 64MiB, 64M, 1GiB."""
    from wasihost.common.sizes import size as bytes_of

    return bytes_of(value)


def name(value: str) -> str | None:
    """Any text but none."""
    return value or None


class Option(NamedTuple):
    """One option: the field of `Order`, how its value is read, what its value is called, whether it may be repeated."""

    field: str
    read: Callable[[str], Any] | None
    metavar: str
    help: str
    repeated: bool = False


OPTIONS: Final[dict[str, Option]] = {
    "--dir": Option("dirs", mount, "HOST[::GUEST]", "Give the guest a directory, under its own path or another.",
                    True),
    "--ro-dir": Option("ro_dirs", mount, "HOST[::GUEST]", "The same, but the guest cannot change anything in it.",
                       True),
    "--one-file-system": Option("one_file_system", None, "", "Leave out what is mounted in these directories."),
    "--kernel-files": Option("kernel_files", None, "", "Give /proc, /sys and devices in them too: with these a guest "
                             "can read and write this process' memory."),
    "--env": Option("env", variable, "NAME[=VALUE]", "Set a variable, or pass this process' own; none is set else.",
                    True),
    "--env-inherit": Option("env_inherit", None, "", "Pass this process' whole environment."),
    "--tcplisten": Option("tcplisten", address, "HOST:PORT", "Give the guest a socket that listens; port 0 is any.",
                          True),
    "--tcp-nonblock": Option("tcp_nonblock", None, "", "Such sockets do not wait by themselves; Go's net needs that."),
    "--preload": Option("preload", preload, "NAME=FILE", "A guest whose exports the module imports from NAME; it has "
                        "memory and descriptors of its own.", True),
    "--stub": Option("stub", name, "NAME", "Stand in for what is left of this import module; a call to it ends the "
                     "guest (status 134).", True),
    "--argv0": Option("argv0", name, "NAME", "What the guest is called; else its file's name."),
    "--timeout": Option("timeout", seconds, "SECONDS", "End the guest after so many seconds, or 300ms, 10s, 5m, 1h "
                        "(status 124)."),
    "--max-memory": Option("max_memory", size, "SIZE", "Linear memory it may have, such as 64MiB."),
    "--max-stack": Option("max_stack", size, "SIZE", "Stack for its calls, of the 8 MiB that a program has mostly; "
                          "512KiB if not given."),
    "--compile-timeout": Option("compile_timeout", seconds, "SECONDS", "Refuse a module that is not compiled in so "
                                "many seconds (status 125)."),
    "--compile-memory": Option("compile_memory", size, "SIZE", "Memory that compiling may take (status 125)."),
    "--fuel": Option("fuel", count, "N", "Work it may do, about one unit per instruction (status 125)."),
    "--max-output": Option("max_output", size, "SIZE", "Bytes it may write to stdout and stderr (status 125)."),
    "--max-open-files": Option("max_open_files", count, "N", "Files it may have open at once."),
    "--invoke": Option("invoke", name, "FUNC", "Call this export with ARGS as numbers, and print what it answers."),
    "--features": Option("features", name, "LIST", "WebAssembly features to switch off and on, such as "
                         "-simd,+wide-arithmetic, or wasm-2.0 for those of that version.", True),
    "--no-cache": Option("no_cache", None, "", "Compile without looking at compiled modules on disk."),
    "--isolate": Option("isolate", None, "", "Run it in a process of its own that has given up everything else."),
    "--stats": Option("stats", None, "", "Afterwards, say on stderr what the guest used and called."),
}  # fmt: skip


def means_run(first: str) -> bool:
    """Whether a command line that begins with this leaves out the word `run`: with a module, or an option of `run`."""
    if first in ("run", "inspect", "cache"):
        return False
    return (
        first == STDIN
        or first.partition("=")[0] in OPTIONS
        or first.endswith((".wasm", ".wat"))
        or os.path.isfile(first)
    )


def plain(arguments: Sequence[str]) -> Order | None:
    """The order, if every argument before the module is a full option with a good value; else None, for click."""
    if not arguments:
        return None
    at = 1
    if arguments[0] != "run":
        if not means_run(arguments[0]):
            return None
        at = 0
    values: dict[str, Any] = {}
    while at < len(arguments) and arguments[at].startswith("-") and arguments[at] != STDIN:
        text, separator, value = arguments[at].partition("=")
        at += 1
        if text == "--" and not separator:
            break
        option = OPTIONS.get(text)
        if option is None or (option.read is None and separator):
            return None
        if option.read is None:
            values[option.field] = True
            continue
        if not separator:
            if at >= len(arguments):
                return None
            value = arguments[at]
            at += 1
        read = option.read(value)
        if read is None or (option.read is mount and not os.path.isdir(read[1])):
            return None
        values[option.field] = (*values.get(option.field, ()), read) if option.repeated else read
    if at >= len(arguments) or not (arguments[at] == STDIN or os.path.isfile(arguments[at])):
        return None
    return Order(**values, module=arguments[at], args=tuple(arguments[at + 1 :]))
