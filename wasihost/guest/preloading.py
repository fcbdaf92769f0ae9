"""`preload`: all that any later run may import or load, brought in now.

Rules of this file: it knows names of modules and nothing of what is in them. Whatever is imported within a function of
the package stands in one of these lists; a test compares them with the code.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Final

from wasihost.engines import default_engine

if TYPE_CHECKING:
    from wasihost.guest.module import Module

RUNS: Final = (
    "array",
    "difflib",
    "fcntl",
    "mmap",
    "resource",
    "signal",
    "termios",
    "time",
    *default_engine().WHEN_RUN,
    *(
        f"wasihost.{name}"
        for name in (
            "binary.backtrace",
            "host.counting",
            "waiting.input_thread",
            "waiting.inputs",
            "descriptors.virtual",
            "embedding.instantiate",
            "memory",
            "common.logs",
            "common.names",
            "descriptors.overlaps",
            "host.state",
            "stats",
            "vfs.changes",
            "vfs.mounting",
        )
    ),
)
"""What a run of any kind may import, besides what every run does: little and fast, so the first run brings it all."""

_WITH: Final = {
    "socket": tuple(f"wasihost.{name}" for name in ("descriptors.sockets", "config.sockets")),
    "inspect": tuple(
        f"wasihost.{name}"
        for name in ("engines.allocator", "guest.calling", "imports", "guest.providers", "guest.guest_exports")
    ),
}
"""What takes longer because of a module of the standard library: the first run brings it if that is there already."""

_PRELOADED: Final = (
    *_WITH,
    *_WITH["socket"],
    *_WITH["inspect"],
    "hashlib",
    "wasi_preview0",
    "wasihost.host.preview0",
    "concurrent.futures.thread",
    "demangle",
    "encodings.ascii",
    "encodings.idna",
    "encodings.latin_1",
    "encodings.utf_16",
    "logging",
    "re",
    "tempfile",
    "subprocess",
    "wasihost.binary.dwarf",
    *default_engine().WHEN_ASKED,
    "wasihost.config.features",
    "wasihost.isolation.guest",
    "wasihost.isolation.trees",
    "wasihost.embedding.run",
    "wasihost.embedding.run_async",
    "wasihost.embedding.start",
)
"""What takes longer, or is needed by few."""

_WORKERS: Final = (
    *_WITH,
    *_WITH["socket"],
    "wasi_preview0",
    "wasihost.host.preview0",
    "wasihost.vfs",
    "encodings.ascii",
    "encodings.idna",
    "encodings.latin_1",
    "re",
)
"""What a process needs, too, that forks workers for guests: they import nothing."""

COMMAND: Final = (
    "cli.launch",
    "cli.click_app",
    "binary.components",
    "cli.fast_path",
    "cli.hints",
    "inspection",
    "cli.options",
    "cli.progress",
    "cli.stats_table",
    "binary.sections",
    "testing",
)
"""Modules of ours that no embedder's run needs."""

_ONLY_UNIX: Final = ("fcntl", "resource", "termios")


def for_runs() -> None:
    """What any run may import, once: a guest that runs is never held up by an import, and needs no file of Python's."""
    global _done
    if not _done:
        _bring(RUNS)
        for heavy, names in _WITH.items():
            if heavy in sys.modules:
                _bring(names)
        _done = True


_done = False


def for_workers() -> None:
    """What any run of a worker may import."""
    for_runs()
    _bring(_WORKERS)


def preload(*modules: Module) -> None:
    """Import every Python module that any run may need, load the engine, and have `modules` compiled.

    A server that gives up its rights or changes its root (`os.setuid`, `os.chroot`, a seccomp filter) calls this
    before: afterwards no run imports anything, or opens any file but those that it is given. One that forks its workers
    shares with them what was loaded.

    Takes some hundredths of a second, and as long as it takes to compile `modules` so that they can be interrupted,
    which serves every run but those with `fuel`. Raises ConfigError where there is no engine.
    """
    from wasihost.binary.backtrace import preload as preload_backtraces

    for_runs()
    _bring(_PRELOADED)
    preload_backtraces()
    default_engine().start_engines()
    for module in modules:
        module.compiled(interruptible=True)


def _bring(names: tuple[str, ...]) -> None:
    for name in names:
        if name not in _ONLY_UNIX or sys.platform != "win32":
            importlib.import_module(name)
