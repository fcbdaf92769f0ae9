"""The hook that records the calls of one guest.

Rules of this file: a call is written when it has ended. The guest's cassette is put in place when the guest is closed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from wasi_preview1.errors import WasiError

from wasihost.cassettes import memory, store
from wasihost.cassettes.errors import CassetteError
from wasihost.cassettes.values import encoded

if TYPE_CHECKING:
    from wasihost.hooks import Proceed

_WRITES = ("fd_write", "fd_pwrite")


class Recorder:
    """Records one guest to a file beside the cassette.

    Args:
        path: The cassette.
        part: The file that becomes the cassette, or its last episode.
        args: The guest's arguments, as JSON.
        scrub: Replaces secrets in bytes.
        most: How many bytes the file may have.
        finish: Called with `part` when the guest was closed.
    """

    def __init__(
        self,
        path: str,
        part: str,
        args: list[Any],
        scrub: memory.Scrub,
        most: int,
        finish: Callable[[str], None],
    ) -> None:
        self._path = path
        self._part = part
        self._args = args
        self._scrub = scrub
        self._most = most
        self._finish = finish
        self._sizes: dict[str, Any] = {}
        self._calls = self._bytes = 0
        self._failed = False

    def open(self, host: Any) -> None:
        """Called when the host of the guest is made."""
        if hasattr(self, "_host"):
            raise CassetteError(f"a config for the cassette {self._path} is for one guest: make one for each")
        self._host = host
        self._file = open(self._part, "w", encoding="ascii")  # noqa: SIM115  # closed by `close`
        self._put(store.header())
        self._put(json.dumps({"guest": self._args}) + "\n")

    def __call__(self, call: Any, proceed: Proceed) -> Any:
        """Make the call and record it."""
        try:
            before = memory.inputs(call, self._scrub)
        except ValueError as error:
            self._failed = True
            raise CassetteError(f"{self._path} cannot be recorded: {error}") from None
        entry: dict[str, Any] = {"call": call.function, "args": before}
        if call.function in _WRITES:
            self._note_stream(entry, call.fd)
        try:
            result = proceed()
        except BaseException as error:
            errno = getattr(error, "errno", None)
            known = isinstance(errno, IntEnum)
            entry["error" if known else "ended"] = errno.name if isinstance(errno, IntEnum) else type(error).__name__
            self._write(entry)
            raise
        if result is not None:
            entry["result"] = encoded(result)
            if isinstance(result, tuple):
                self._sizes[call.function] = result
        if written := memory.effects(call, result, before, self._sizes, self._scrub):
            entry["memory"] = written
        self._write(entry)
        return result

    def _note_stream(self, entry: dict[str, Any], fd: int) -> None:
        """Note that a call writes to the guest's output, which a replay writes too."""
        try:
            described = self._host.describe(fd)
        except WasiError:
            return
        if described.mount is None and described.path in ("stdout", "stderr"):
            entry["to"] = described.path

    def _write(self, entry: dict[str, Any]) -> None:
        self._calls += 1
        self._put(json.dumps(entry, separators=(", ", ": ")) + "\n")

    def _put(self, line: str) -> None:
        self._bytes += len(line)
        if self._bytes > self._most:
            self._failed = True
            raise CassetteError(
                f"the cassette {self._path} would have more than {self._most} bytes: raise max_bytes, or record less"
            )
        try:
            self._file.write(line)
        except OSError as error:  # must not become an errno of the guest
            self._failed = True
            raise CassetteError(f"the cassette {self._path} cannot be written: {error}") from error

    def close(self) -> None:
        """Called when the guest is closed."""
        with self._file as file:
            if not self._failed:
                file.write(json.dumps({"end": self._calls}) + "\n")
        if self._failed:
            store.remove(self._part)
        else:
            self._finish(self._part)

    def __del__(self) -> None:
        """Leave no part of a cassette behind."""
        if hasattr(self, "_file") and not self._file.closed:
            self._file.close()
            if os.path.exists(self._part):
                store.remove(self._part)
