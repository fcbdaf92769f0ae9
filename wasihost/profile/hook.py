"""The hook that shows a profile's recorder each call of the host, with the path and the mount that it is about.

Rules of this file: it is called at each call of a guest. What a descriptor is, is looked up once until descriptors
change.
"""

from __future__ import annotations

from posixpath import join, normpath
from typing import TYPE_CHECKING, Any

from wasi_preview1.errors import WasiError

from wasihost.common.unpatched import time

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasihost.profile.recorder import Recorder, Row

perf_counter_ns: Callable[[], int] = time.perf_counter_ns

_WASI = "wasi_snapshot_preview1"
_FDS = "fd", "old_fd"
_PATHS = "path", "old_path"
"""The fields of a call that say what it is about; of the second kind where there are two."""
_CHANGE_DESCRIPTORS = frozenset({"path_open", "fd_close", "fd_renumber", "sock_accept"})
_KNOWN = 1_000
"""How many rows are remembered by descriptor."""


class ProfileHook:
    """A hook for one run: `wasihost.hooks` has what it is."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._host: Any = None
        self._fields: dict[type, tuple[str, int | None, int | None, bool]] = {}
        self._rows: dict[tuple[type, int | None], Row] = {}  # of calls without a path, by descriptor

    def open(self, host: Any) -> None:
        """The host is there, which knows what descriptors are."""
        self._host = host

    def close(self) -> None:
        """It is gone."""
        self._host = None

    def __call__(self, call: Any, proceed: Callable[[], Any]) -> Any:
        """Record the call."""
        begun = perf_counter_ns()
        kind = type(call)
        fields = self._fields.get(kind)
        if fields is None:
            fields = self._fields[kind] = _places(call.module, call.function, kind._fields)
        function, fd_at, path_at, changes = fields
        fd = None if fd_at is None else call[fd_at]
        row = self._rows.get((kind, fd)) if path_at is None else None
        if row is None:
            path, mount = self._about(fd)
            if path_at is not None:
                path = normpath(join(path, call[path_at]))
            row = self._recorder.row(function, path, mount)
            if path_at is None and len(self._rows) < _KNOWN:
                self._rows[kind, fd] = row
        if changes:
            self._rows.clear()
        return self._recorder.around(begun, row, proceed)

    def _about(self, fd: int | None) -> tuple[str, str]:
        """The path and the mount of a descriptor, as far as they are known."""
        if fd is not None and self._host is not None:
            try:
                _, path, mount = self._host.describe(fd)
                return path or "", mount or ""
            except (WasiError, OSError):  # no such descriptor: the call itself will say so
                pass
        return "", ""


def _places(module: str, function: str, names: tuple[str, ...]) -> tuple[str, int | None, int | None, bool]:
    """What a function is called, where the descriptor and the path of a call are among its fields, and whether it
    changes descriptors."""
    if module != _WASI:
        return f"{module}.{function}", None, None, False
    changes = function in _CHANGE_DESCRIPTORS
    if function == "path_symlink":  # it is made at the new path
        return function, names.index("fd"), names.index("new_path"), changes
    fd, path = (next((names.index(name) for name in wanted if name in names), None) for wanted in (_FDS, _PATHS))
    return function, fd, path if function.startswith("path_") else None, changes  # elsewhere it is a buffer
