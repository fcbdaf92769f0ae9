"""What `wasihost map` has done in a folder: a line of JSON for each file, so that a later `--resume` skips it.

Rules of this file: everything lies in `DIR/.wasihost-map`, which one command at a time uses (a lock). A record is
written after its output has its name. A line that was cut off, by a full disk or the end of the machine, is ignored.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from typing import Any, Final

from wasihost.errors import WasihostError

FOLDER: Final = ".wasihost-map"
_VERSION: Final = 1
_KEPT: Final = ("size", "mtime_ns", "bytes")
"""What is kept in memory of a record: size and time of the input, size of the output."""


class Records:
    """The records of one folder of outputs, open for more. Close it.

    `recipe` is what all outputs depend on, besides their input: with `resume` it has to be that of the records.

    Raises:
        WasihostError: Another command uses the folder, or `resume` does not fit.
        OSError: The folder cannot be used.
    """

    def __init__(self, out: str, recipe: dict[str, Any], resume: bool) -> None:
        self.folder: str = os.path.join(out, FOLDER)
        os.makedirs(self.folder, exist_ok=True)
        self._lock = os.open(os.path.join(self.folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise WasihostError(f"another wasihost map is writing into {out}: wait for its end") from None
        try:
            self._open(out, {"version": _VERSION, **recipe}, resume)
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self, out: str, recipe: dict[str, Any], resume: bool) -> None:
        path = os.path.join(self.folder, "records.jsonl")
        self._done: dict[str, tuple[Any, ...]] = {}
        lines = _read(path) if resume else iter(())
        first = next(lines, None)
        if first is not None and first != recipe:
            other = [name for name in recipe if first.get(name) != recipe[name]]
            raise WasihostError(
                f"the outputs in {out} were made with a different {' and different '.join(other)}: leave out --resume "
                "to make all of them again"
            )
        for line in lines:  # the last one of an input counts
            if line.get("ok"):
                self._done[line.get("input", "")] = tuple(line.get(name) for name in _KEPT)
            else:
                self._done.pop(line.get("input", ""), None)
        for name in os.listdir(self.folder):  # of a command that was killed
            if name.endswith(".part"):
                os.unlink(os.path.join(self.folder, name))
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        if first is None:
            os.ftruncate(self._file, 0)
            self._write(recipe)
        else:
            os.write(self._file, b"\n")  # the last line may have been cut off

    def done(self, input: str, facts: dict[str, Any], output: str) -> bool:
        """Whether the output of this input was made from a file with these facts, and is still there."""
        record = self._done.get(input)
        if record is None or record[:-1] != (facts["size"], facts["mtime_ns"]):
            return False
        try:
            return bool(os.stat(output).st_size == record[-1])
        except OSError:
            return False

    def add(self, record: dict[str, Any]) -> None:
        """Add the record of an input that was run."""
        self._write(record)

    def _write(self, record: dict[str, Any]) -> None:
        os.write(self._file, json.dumps(record).encode() + b"\n")

    def close(self) -> None:
        """Let other commands use the folder."""
        os.close(self._file)
        os.close(self._lock)


def _read(path: str) -> Iterator[dict[str, Any]]:
    try:
        with open(path, "rb") as file:
            for line in file:
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                if isinstance(record, dict):
                    yield record
    except FileNotFoundError:
        return
