"""Exceptions that other people's code raises while it reads data for a guest, as errnos.

Rules of this file: errors about data (a damaged archive, an unreachable server) give the guest an errno, and the log
the cause. Bugs in a program reach the caller of the run unchanged: what a user's own tree raises, except `OSError` and
errors of decompression, and what is a bug by its class, such as TypeError.
"""

from __future__ import annotations

import errno
from typing import Final, NoReturn

from wasihost.common.logs import warn
from wasihost.outcomes import printable
from wasihost.sandbox.names import os_error

_LIBRARIES: Final = frozenset({"fsspec", "zipfile", "zipp"})
"""Packages whose file systems no user wrote: whatever these raise is about data."""
_DECOMPRESSION: Final = frozenset({"_lzma", "bz2", "gzip", "lzma", "tarfile", "zipfile", "zlib"})
"""Modules whose errors are about data, whatever code calls them."""
_MISTAKES: Final = (TypeError, AttributeError, NameError, AssertionError)


def raise_as_errno(error: Exception, source: object, what: str) -> NoReturn:
    """Call in an `except`: raise the errno for an `error` about the data of `what`, and otherwise `error` itself.

    `source` is the object that was read from. Raises: EACCES if a password is missing or wrong, ENOMEM if there is not
    enough memory, else EIO.
    """
    if isinstance(error, OSError):
        if error.errno is None and (type(error) is OSError or type(error).__module__ != "builtins"):
            _log_cause(error, what)  # the guest gets EIO, which says nothing
        raise error
    if not _is_about_data(error, source):
        raise error
    _log_cause(error, what)
    code = errno.EIO
    if isinstance(error, RuntimeError) and "password" in str(error):
        code = errno.EACCES
    elif isinstance(error, MemoryError):
        code = errno.ENOMEM
    raise os_error(code, what) from error


def _is_about_data(error: Exception, source: object) -> bool:
    if isinstance(error, _MISTAKES):
        return False
    if isinstance(error, (EOFError, MemoryError)) or type(error).__module__ in _DECOMPRESSION:
        return True
    return any(kind.__module__.partition(".")[0] in _LIBRARIES for kind in type(source).__mro__)


def _log_cause(error: Exception, what: str) -> None:
    warn("files", "cannot read %r: %s: %s", what, type(error).__name__, printable(str(error)))
