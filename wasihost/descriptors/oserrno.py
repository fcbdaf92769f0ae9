"""From a host error to a WASI errno: the only place.

Errors are matched by *name*, never by number, so a code keeps its meaning on every system: NOSPC stays NOSPC. An error
without a counterpart in the spec becomes IO.
"""

from __future__ import annotations

import errno

from wasi_preview1.types import Errno

from wasihost.errors import BY_SIGNAL_HANDLER, EndRun

_RENAMED = {
    "E2BIG": "TOOBIG",
    "EWOULDBLOCK": "AGAIN",
    "EOPNOTSUPP": "NOTSUP",
    "ENOTSUP": "NOTSUP",
    "EDEADLOCK": "DEADLK",
    "ENOATTR": "NOENT",
    "ESHUTDOWN": "PIPE",
    "ETIME": "TIMEDOUT",
}
"""Host names that differ from the spec's by more than the leading E."""


def _table() -> dict[int, int]:
    known = Errno.__members__
    table = {}
    for number, name in errno.errorcode.items():
        spec = _RENAMED.get(name, name[1:])
        if spec in known:
            table[number] = int(known[spec])
    for name, spec in _RENAMED.items():
        if (code := getattr(errno, name, None)) is not None:
            table[code] = int(known[spec])
    return table


TABLE = _table()
"""Host errno number -> WASI errno number."""

_IO = int(Errno.IO)


_BY_CLASS: tuple[tuple[type[OSError], Errno], ...] = (
    (FileNotFoundError, Errno.NOENT),
    (FileExistsError, Errno.EXIST),
    (NotADirectoryError, Errno.NOTDIR),
    (IsADirectoryError, Errno.ISDIR),
    (PermissionError, Errno.ACCES),
    (BlockingIOError, Errno.AGAIN),
    (InterruptedError, Errno.INTR),
    (BrokenPipeError, Errno.PIPE),
    (TimeoutError, Errno.TIMEDOUT),
)
"""For errors that Python code raised by class, without a number: `FileNotFoundError(path)`."""


def errno_of(error: OSError) -> int:
    """Return the WASI errno for `error`; IO for one without a counterpart.

    Raises EndRun if a signal handler raised the error: then it is not about the call.
    """
    if BY_SIGNAL_HANDLER in error.__dict__:
        raise EndRun(error) from None
    if error.errno is None:
        return next((int(code) for kind, code in _BY_CLASS if isinstance(error, kind)), _IO)
    return TABLE.get(error.errno, _IO)
