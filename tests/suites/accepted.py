"""Tests that need not have the same verdict on our hosts as on wasmtime's, each with the reason.

Short, and kept so: an entry that is no longer needed is reported.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Accepted(NamedTuple):
    """A test that may be lost, by suite, program and name; `hosts` are those where it may."""

    suite: str
    program: str
    test: str
    hosts: tuple[str, ...]
    reason: str


_DEVICES: Final = "the program's / is a MemoryFS, in which there is no /dev/null"
_PROC: Final = "the program's / is a MemoryFS, in which there is no /proc"

ACCEPTED: Final = (
    Accepted("go", "os", "TestDevNullFile", ("memory",), _DEVICES),
    Accepted("go", "os", "TestOpenFileDevNull", ("memory",), _DEVICES),
    Accepted("go", "os", "TestDirFSReadFileProc", ("memory",), _PROC),
    Accepted("go", "os", "TestReadFileProc", ("memory",), _PROC),
)
