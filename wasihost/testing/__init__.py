"""What makes the world of a guest repeatable in tests: time, randomness, files in memory, faults, and a pytest fixture.

    wasi.fail("fd_write", Errno.NOSPC, after=4096, path="*.log")    # in a test with the fixture `wasi`
    wasi.run("guest.wasm", "out.log").stderr

Rules of this package: it stands on the public interface, as tests of embedders do; nothing in wasihost imports it. The
plugin is loaded by every run of pytest, so what is here is imported on first use.

    clock       `FakeClock`: time that passes when a guest sleeps
    randomness  randomness that repeats
    faulty_fs   `FaultyFS`: a file system that fails on demand
    faults      calls that fail, move fewer bytes, or take long, on any file system: hooks
    strategies  hypothesis: names of files, trees of files
    world       what the fixture `wasi` is
    plugin      the plugin of pytest
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wasihost.testing.clock import NEW_YEAR_2026, FakeClock
    from wasihost.testing.faults import Fault, delay, fail, shorten
    from wasihost.testing.faulty_fs import FaultyFS, Operation
    from wasihost.testing.randomness import random_bytes
    from wasihost.testing.world import Wasi
    from wasihost.vfs import MemoryFS

__all__ = [
    "NEW_YEAR_2026",
    "FakeClock",
    "Fault",
    "FaultyFS",
    "MemoryFS",
    "Operation",
    "Wasi",
    "delay",
    "fail",
    "random_bytes",
    "shorten",
]

_ON_FIRST_USE = {
    "FakeClock": "wasihost.testing.clock",
    "Fault": "wasihost.testing.faults",
    "FaultyFS": "wasihost.testing.faulty_fs",
    "MemoryFS": "wasihost.vfs",
    "NEW_YEAR_2026": "wasihost.testing.clock",
    "Operation": "wasihost.testing.faulty_fs",
    "Wasi": "wasihost.testing.world",
    "delay": "wasihost.testing.faults",
    "fail": "wasihost.testing.faults",
    "random_bytes": "wasihost.testing.randomness",
    "shorten": "wasihost.testing.faults",
}


def __getattr__(name: str) -> object:
    if name not in _ON_FIRST_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(_ON_FIRST_USE[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
