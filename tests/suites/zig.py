"""Zig's own tests of files and processes in its standard library.

Rules: they are run as Zig's build system runs tests: with `--listen=-`, each test requested by its number in messages
on standard input, each verdict a message on standard output. The messages are `std.zig.Client` and `std.zig.Server`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import struct
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from tests.suites.child import WASMTIME, Dir
from tests.suites.program import FAILED, PASSED, SKIPPED, Output, Program, Run, SuiteError
from tests.support.guests import kept

FILTERS = ("fs.", "Io.", "process.", "posix.")
"""What is in the names of the tests that are compiled. Those of tar and zip have data that the package lacks."""

_EXIT, _QUERY, _RUN = 0, 4, 5
_METADATA, _RESULTS = 3, 4
_WORD = struct.Struct("<I")
_HEADER = struct.Struct("<II")
_RESULT = struct.Struct("<II")
_VERDICTS = (PASSED, FAILED, SKIPPED)
"""By the two lowest bits of a result's flags."""


class ZigStd(Program):
    """The tests of `std` with one of `filters` in their names."""

    def __init__(self, filters: tuple[str, ...] = FILTERS) -> None:
        self.name = "std"
        self.module = _build(filters)
        self._names: list[str] = []
        metadata = dict(_messages(self.run(WASMTIME, (), 60).stdout)).get(_METADATA)
        if metadata is None:
            raise SuiteError("the program with Zig's tests does not say which there are")
        self._names = _test_names(metadata)

    def prepare(self, scratch: Path, but: Collection[str]) -> Run:
        wanted = [index for index, name in enumerate(self._names) if name not in but]
        asked = [_message(_QUERY), *(_message(_RUN, _WORD.pack(index)) for index in wanted), _message(_EXIT)]
        dirs = [Dir(guest=".", folder=str(scratch))]
        return Run(["test.wasm", "--listen=-", "--seed=0"], {}, dirs, b"".join(asked))

    def read(self, run: Run, stdout: bytes) -> Output:
        asked = [self._names[_WORD.unpack(body)[0]] for tag, body in _messages(run.input) if tag == _RUN]
        results = [_RESULT.unpack_from(body) for tag, body in _messages(stdout) if tag == _RESULTS]
        verdicts = {self._names[index]: _VERDICTS[flags & 3] for index, flags in results}
        missing = [name for name in asked if name not in verdicts]
        return Output(verdicts, missing[:1], not missing)


def _message(tag: int, body: bytes = b"") -> bytes:
    return _HEADER.pack(tag, len(body)) + body


def _messages(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """The messages that are whole."""
    at = 0
    while at + _HEADER.size <= len(stream):
        tag, size = _HEADER.unpack_from(stream, at)
        at += _HEADER.size + size
        if at <= len(stream):
            yield tag, stream[at - size : at]


def _test_names(metadata: bytes) -> list[str]:
    """Their size, their count, where each begins, two words for each; then all of them, each with a NUL."""
    _size, count = _HEADER.unpack_from(metadata)
    starts = struct.unpack_from(f"<{count}I", metadata, _HEADER.size)
    text = metadata[_HEADER.size + 8 * count :]
    return [text[start : text.index(0, start)].decode() for start in starts]


def programs() -> Iterator[Program]:
    """The one that there is."""
    yield ZigStd()


def _library() -> Path:
    spec = importlib.util.find_spec("ziglang")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0], "lib")


def _build(filters: tuple[str, ...]) -> Path:
    flags = ("-target", "wasm32-wasi", "--test-no-exec", *(word for one in filters for word in ("--test-filter", one)))
    source = _library() / "std" / "std.zig"
    command = [sys.executable, "-m", "ziglang", "test", str(source), "--zig-lib-dir", str(_library()), *flags]
    return kept(
        "zig-std",
        (importlib.metadata.version("ziglang"), *flags),
        (source,),
        lambda made: [*command, f"-femit-bin={made}"],
    )
