"""`preload`: imports and loads now what later runs may need.

Rules of this file: it contains names of modules, and does not use what is in them. Each module that is imported within
a function of the package is in one of these lists; a test compares them with the code.
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
    "reprlib",
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
            "waiting.stream_objects",
            "waiting.inputs",
            "descriptors.virtual",
            "embedding.instantiate",
            "engines.link_errors",
            "memory",
            "common.logs",
            "common.names",
            "descriptors.host_directory",
            "descriptors.overlaps",
            "descriptors.python_stream",
            "host.quick",
            "host.state",
            "stats",
            "sandbox.times",
            "vfs.changes",
            "vfs.mounting",
        )
    ),
)
"""What some runs import, and others do not. It is small and fast, so the first run imports all of it."""

_WITH: Final = {
    "socket": tuple(f"wasihost.{name}" for name in ("descriptors.sockets", "config.sockets")),
    "inspect": tuple(
        f"wasihost.{name}"
        for name in ("engines.allocator", "guest.calling", "imports", "guest.providers", "guest.guest_exports")
    ),
}
"""What takes longer because it needs a large module of the standard library: by that module. The first run imports it
only if that module is already imported."""

_PREVIEW0: Final = (
    *(
        f"wasi_preview0.{name}"
        for name in ("calls", "codecs", "errors", "handlers", "native", "raw", "signatures", "stubs")
    ),
    "wasihost.host.preview0",
)
"""The older spec: a package imports its modules when they are used."""

_PROFILES: Final = (
    "html",
    "wasihost.representation",
    "wasihost.binary.function_names",
    *(f"wasihost.profile.{name}" for name in ("firefox", "page", "report", "session")),
)
"""For runs with `profile`."""

_PRELOADED: Final = (
    *_WITH,
    *_WITH["socket"],
    *_WITH["inspect"],
    "hashlib",
    *_PREVIEW0,
    *_PROFILES,
    "concurrent.futures.thread",
    "demangle",
    "encodings.ascii",
    "encodings.idna",
    "encodings.latin_1",
    "encodings.utf_16",
    "importlib.util",
    "logging",
    "re",
    "tempfile",
    "subprocess",
    "wasihost.binary.dwarf",
    "wasi_preview1.calls",
    "functools",
    *(f"wasihost.{name}" for name in ("config.handling", "hooks", "host.hooking", "host.naming", "host.own_handlers")),
    "wasihost.trace",
    "wasihost.scale.pools",
    *default_engine().WHEN_ASKED,
    "wasihost.config.features",
    "wasihost.descriptors.limited",
    "wasihost.config.streams",
    "wasihost.isolation.guest",
    "wasihost.isolation.trees",
    "wasihost.embedding.run",
    "wasihost.embedding.run_async",
    "wasihost.embedding.start",
    "wasihost.cassettes.choice",
    *(f"wasihost.policy.{name}" for name in ("enforcing", "files", "learning", "needs", "places", "rules", "runs")),
)
"""What takes longer, or is needed by few runs."""

_WORKERS: Final = (
    *_WITH,
    *_WITH["socket"],
    *_PREVIEW0,
    "wasihost.vfs",
    "encodings.ascii",
    "encodings.idna",
    "encodings.latin_1",
    "re",
)
"""What a process that forks workers for guests needs, too: the workers import nothing."""

COMMAND: Final = (
    "cli.batch",
    "cli.calls",
    "cli.bytecode",
    "cli.launch",
    "cli.click_app",
    "binary.components",
    "cli.fast_path",
    "cli.hints",
    "inspection",
    "cli.options",
    "cli.progress",
    "cli.readers",
    "cli.shipping",
    "cli.stats_table",
    "binary.sections",
    "packaging.ahead",
    "packaging.api",
    "packaging.archive",
    "packaging.executable",
    "packaging.source",
    "packaging.unpacked",
    "packaging.unpacking",
    "packaging.wheel",
    "packaging.module",
    "packaging.precompiled",
    "scale.cluster",
    "scale.cluster_plugin",
    "testing",
    "testing.world",
)
"""Modules of ours that no embedder's run needs."""


def for_runs() -> None:
    """Import what any run may need, once. A running guest then never waits for an import or needs Python's files."""
    global _done
    if not _done:
        _bring(RUNS)
        for heavy, names in _WITH.items():
            if heavy in sys.modules:
                _bring(names)
        _done = True


_done = False


def for_workers() -> None:
    """Import what any run of a worker may need."""
    for_runs()
    _bring(_WORKERS)


def preload(*modules: Module) -> None:
    """Import every Python module that any run may need, load the engine, and compile `modules`.

    Call it in a server before it drops privileges or changes its root (`os.setuid`, `os.chroot`, a seccomp filter):
    afterwards no run imports anything, or opens files other than those it is given. A server that forks its workers
    shares with them what was loaded.

    It takes some hundredths of a second, and the time to compile `modules`.

    Args:
        *modules: Modules to compile. They are compiled so that they can be interrupted; a run with `fuel` compiles
            them again.

    Raises:
        ConfigError: The engine is not installed, or does not load.
        ModuleError: A module is not valid.
    """
    from wasihost.binary.backtrace import preload as preload_backtraces

    for_runs()
    _bring(_PRELOADED)
    preload_backtraces()
    default_engine().start_engines()
    for module in modules:
        _bring((*module.engine.WHEN_RUN, *module.engine.WHEN_ASKED))
        module.compiled(interruptible=True)


def _bring(names: tuple[str, ...]) -> None:
    for name in names:
        importlib.import_module(name)
