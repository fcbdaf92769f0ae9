"""The options of `wasihost run`: one table, and a parser for command lines without a mistake.

Rules of this file: text to values; nothing is opened or run. `parse_plain` and `click_app` both read `OPTIONS`, so an
option is added there, and as a field of `RunArguments`.
"""

from __future__ import annotations

import os

from wasi_preview1.light_typing import NamedTuple

from wasihost.cli.readers import (
    address,
    binding,
    count,
    mount,
    name,
    preload,
    reference,
    seconds,
    size,
    trace_format,
    variable,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final

STDIN: Final = "-"
"""As MODULE: read the module from standard input."""
COMMANDS: Final = ("run", "map", "inspect", "cache", "compile", "build", "wheel")


class RunArguments(NamedTuple):
    """The values of all options of `run`, the module, and the guest's arguments.

    `dirs`, `ro_dirs` and `overlays` are pairs of guest path and host directory.
    """

    dirs: tuple[tuple[str, str], ...] = ()
    ro_dirs: tuple[tuple[str, str], ...] = ()
    overlays: tuple[tuple[str, str], ...] = ()
    upper: str | None = None
    diff: bool = False
    apply: bool = False
    max_dir_bytes: int | None = None
    max_dir_entries: int | None = None
    max_file_size: int | None = None
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
    engine: str | None = None
    no_cache: bool = False
    precompiled: bool = False
    stats: bool = False
    profile: tuple[str, ...] = ()
    isolate: bool = False
    handlers: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()
    trace: str | None = None
    trace_to: str | None = None
    trace_format: str | None = None
    trace_summary: bool = False
    bind: tuple[tuple[str, str], ...] = ()
    record: str | None = None
    replay: str | None = None
    policy: str | None = None
    learn: str | None = None
    module: str = ""
    args: tuple[str, ...] = ()


class Option(NamedTuple):
    """One option of `run`.

    `field` is its field of `RunArguments`; `read` reads its value (None: a flag without a value); `metavar` is what
    messages call the value; `limit` is the name of the config's limit that the value is, if it is one. With
    `may_be_bare` a value follows `=`, or there is none, which is the empty text.
    """

    field: str
    help: str
    read: Callable[[str], Any] | None = None
    metavar: str = ""
    repeated: bool = False
    limit: str = ""
    may_be_bare: bool = False

    def value(self, text: str) -> Any:
        """The value that `text` means; None if it cannot be read or is a host directory that does not exist."""
        assert self.read is not None
        value = self.read(text)
        return None if self.read is mount and value is not None and not os.path.isdir(value[1]) else value


OPTIONS: Final[dict[str, Option]] = {
    "--dir": Option(
        "dirs",
        "Let the guest use this directory, under the same path or as GUEST.",
        mount,
        "HOST[::GUEST]",
        repeated=True,
    ),
    "--ro-dir": Option(
        "ro_dirs",
        "Like --dir, but the guest cannot change anything in it.",
        mount,
        "HOST[::GUEST]",
        repeated=True,
    ),
    "--overlay": Option(
        "overlays",
        "Like --dir, but what the guest changes is kept in memory, and forgotten at the end.",
        mount,
        "HOST[::GUEST]",
        repeated=True,
    ),
    "--upper": Option(
        "upper",
        "Keep what the guest changes in the overlay in FOLDER, from one run to the next.",
        name,
        "FOLDER",
    ),
    "--diff": Option("diff", "At the end, print what the guest has changed in overlays, as `git diff` does."),
    "--apply": Option("apply", "At the end, make the changes in the directories, if the exit status is 0."),
    "--max-dir-bytes": Option(
        "max_dir_bytes", "Limit how many bytes the guest may add to each directory, such as 64MiB.", size, "SIZE"
    ),
    "--max-dir-entries": Option(
        "max_dir_entries", "Limit how many names the guest may add to each directory.", count, "N"
    ),
    "--max-file-size": Option(
        "max_file_size", "Limit how large a file in the directories can become, such as 1MiB.", size, "SIZE"
    ),
    "--one-file-system": Option("one_file_system", "Hide other file systems that are mounted inside the directories."),
    "--kernel-files": Option(
        "kernel_files",
        "Do not hide /proc, /sys and devices inside the directories. Dangerous: through them a guest can read and "
        "write the memory of this process.",
    ),
    "--env": Option(
        "env",
        "Set an environment variable, or pass on this process's own. Without it the guest has none.",
        variable,
        "NAME[=VALUE]",
        repeated=True,
    ),
    "--env-inherit": Option("env_inherit", "Pass on the whole environment of this process."),
    "--tcplisten": Option(
        "tcplisten",
        "Pass the guest a socket that listens on this address. Port 0 means any free port.",
        address,
        "HOST:PORT",
        repeated=True,
    ),
    "--tcp-nonblock": Option("tcp_nonblock", "Make these sockets non-blocking, as Go's net package needs them."),
    "--preload": Option(
        "preload",
        "Run FILE as a guest of its own first; the module imports its exports from NAME. The two share neither memory "
        "nor descriptors.",
        preload,
        "NAME=FILE",
        repeated=True,
    ),
    "--stub": Option(
        "stub",
        "Accept imports from NAME that nothing provides. A call to one of them ends the guest (exit status 134).",
        name,
        "NAME",
        repeated=True,
    ),
    "--argv0": Option("argv0", "The guest's argv[0]. Default: the name of the module's file.", name, "NAME"),
    "--timeout": Option(
        "timeout", "End the guest after this time: 10, 2.5, 300ms, 10s, 5m, 1h (exit status 124).", seconds, "SECONDS"
    ),
    "--max-memory": Option(
        "max_memory",
        "Limit the guest's memories and tables together, such as 64MiB: growing beyond it fails. Default: 1GiB.",
        size,
        "SIZE",
        limit="memory",
    ),
    "--max-stack": Option(
        "max_stack",
        "Limit the stack for the guest's calls. Default: 512KiB; most systems give a program 8 MiB in all.",
        size,
        "SIZE",
        limit="stack",
    ),
    "--compile-timeout": Option(
        "compile_timeout",
        "Refuse a module that takes longer than this to compile (exit status 125).",
        seconds,
        "SECONDS",
        limit="compile_timeout",
    ),
    "--compile-memory": Option(
        "compile_memory",
        "Refuse a module that needs more memory than this to compile (exit status 125).",
        size,
        "SIZE",
        limit="compile_memory",
    ),
    "--fuel": Option(
        "fuel",
        "Limit the work of the guest, in units of about one instruction (exit status 125).",
        count,
        "N",
        limit="fuel",
    ),
    "--max-output": Option(
        "max_output",
        "Limit the bytes that the guest writes to stdout and stderr together (exit status 125).",
        size,
        "SIZE",
    ),
    "--max-open-files": Option(
        "max_open_files", "Limit how many files the guest has open at once.", count, "N", limit="open_files"
    ),
    "--invoke": Option(
        "invoke", "Call this exported function with ARGS as numbers, and print what it returns.", name, "FUNC"
    ),
    "--features": Option(
        "features",
        "Switch WebAssembly features off and on, such as -simd,+wide-arithmetic, or wasm-2.0 for those of that "
        "version.",
        name,
        "LIST",
        repeated=True,
    ),
    "--engine": Option(
        "engine",
        "What runs the guest: wasmtime, the default, or pywasm, an interpreter in Python.",
        name,
        "NAME",
    ),
    "--no-cache": Option("no_cache", "Compile the module without the cache of compiled modules on disk."),
    "--precompiled": Option(
        "precompiled",
        "MODULE is a folder of `wasihost compile`. Its code is machine code: only for one that comes from where your "
        "programs come from.",
    ),
    "--isolate": Option("isolate", "Run the guest in a separate process that has dropped all access it does not need."),
    "--handlers": Option(
        "handlers",
        "Use the functions of this Python class in place of the host's. It is looked for in the current folder too.",
        reference,
        "MODULE:CLASS",
        repeated=True,
    ),
    "--hooks": Option(
        "hooks",
        "Let this Python function see every call of the guest, as hook(call, proceed). The first is outermost.",
        reference,
        "MODULE:FUNCTION",
        repeated=True,
    ),
    "--trace": Option(
        "trace",
        "Print each call of the guest on stderr, as strace does. FILTER has names and patterns: path_*,!fd_write; with "
        "%failed only calls that fail.",
        str,
        "FILTER",
        may_be_bare=True,
    ),
    "--trace-to": Option("trace_to", "Write the trace to this file.", name, "FILE"),
    "--trace-format": Option("trace_format", "Write the trace as text or as lines of JSON.", trace_format, "text|json"),
    "--trace-summary": Option(
        "trace_summary", "At the end, print calls, errors and times of each function. Without --trace only that."
    ),
    "--bind": Option(
        "bind",
        "Serve this package, which witxgen generated, to the guest, with a Python class of handlers or its object.",
        binding,
        "PACKAGE=MODULE:NAME",
        repeated=True,
    ),
    "--record": Option("record", "Write the results of all calls of the guest to this file.", name, "FILE"),
    "--replay": Option(
        "replay", "Tell the guest what is in such a file, without files, clocks or network.", name, "FILE"
    ),
    "--policy": Option(
        "policy", "Let the guest do no more than this policy says, and print what was refused.", name, "FILE"
    ),
    "--learn": Option("learn", "At the end, write a policy that allows what this run needed.", name, "FILE"),
    "--stats": Option("stats", "At the end, print on stderr what the guest used and which functions it called."),
    "--profile": Option(
        "profile",
        "At the end, write where the time went, as a page (.html) or for the Firefox Profiler and Perfetto (.json).",
        name,
        "FILE",
        repeated=True,
    ),
}


def means_run(first: str) -> bool:
    """True if a command line that starts with `first` leaves out the word `run`.

    It then starts with a module or with an option of `run`.
    """
    if first in COMMANDS:
        return False
    return (
        first == STDIN
        or first.partition("=")[0] in OPTIONS
        or first.endswith((".wasm", ".wat"))
        or os.path.isfile(first)
    )


def parse_plain(arguments: Sequence[str]) -> RunArguments | None:
    """Read a `run` command line in which all is well: option names in full, values that can be read, an existing file.

    Returns None for anything else; click then reads the same arguments, and prints what is wrong with them.
    """
    if not arguments:
        return None
    at = 1
    if arguments[0] != "run":
        if not means_run(arguments[0]):
            return None
        at = 0
    values: dict[str, Any] = {}
    while at < len(arguments) and arguments[at].startswith("-") and arguments[at] != STDIN:
        text, separator, given = arguments[at].partition("=")
        at += 1
        if text == "--" and not separator:
            break
        option = OPTIONS.get(text)
        if option is None or (option.read is None and separator):
            return None
        if option.read is None:
            values[option.field] = True
            continue
        if not separator and not option.may_be_bare:
            if at >= len(arguments):
                return None
            given = arguments[at]
            at += 1
        value = option.value(given)
        if value is None:
            return None
        values[option.field] = (*values.get(option.field, ()), value) if option.repeated else value
    is_there = os.path.isdir if values.get("precompiled") else os.path.isfile
    if at >= len(arguments) or not (arguments[at] == STDIN or is_there(arguments[at])):
        return None
    return RunArguments(**values, module=arguments[at], args=tuple(arguments[at + 1 :]))
