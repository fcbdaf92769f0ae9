"""The hook that shows a profile's recorder each call of the host, with the path and the mount that it is about."""

from __future__ import annotations

from posixpath import join, normpath
from typing import TYPE_CHECKING, Any

from wasi_preview1.errors import WasiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasihost.profile.recorder import Recorder

_FDS = "fd", "old_fd"
_PATHS = "path", "old_path"
"""The fields of a call that say what it is about; of the second kind where there are two."""


class ProfileHook:
    """A hook for one run: `wasihost.hooks` has what it is."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._host: Any = None
        self._fields: dict[type, tuple[int | None, int | None]] = {}

    def open(self, host: Any) -> None:
        """The host is there, which knows what descriptors are."""
        self._host = host

    def close(self) -> None:
        """It is gone."""
        self._host = None

    def __call__(self, call: Any, proceed: Callable[[], Any]) -> Any:
        """Record the call."""
        begun = self._recorder.call_begins()
        kind = type(call)
        fields = self._fields.get(kind)
        if fields is None:
            fields = self._fields[kind] = _places(call.function, kind._fields)
        fd_at, path_at = fields
        path = mount = ""
        if fd_at is not None and self._host is not None:
            try:
                _, known, within = self._host.describe(call[fd_at])
                path, mount = known or "", within or ""
            except (WasiError, OSError):  # no such descriptor: the call itself will say so
                pass
            if path_at is not None:
                path = normpath(join(path, call[path_at]))
        return self._recorder.around(begun, call.function, path, mount, proceed)


def _places(function: str, names: tuple[str, ...]) -> tuple[int | None, int | None]:
    """Where the descriptor and the path of a call are among its fields."""
    if function == "path_symlink":  # it is made at the new path
        return names.index("fd"), names.index("new_path")
    fd, path = (next((names.index(name) for name in wanted if name in names), None) for wanted in (_FDS, _PATHS))
    return fd, path if function.startswith("path_") else None  # elsewhere it is a buffer
