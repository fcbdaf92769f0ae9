"""What other people's code raises when a guest has it read other people's data.

An archive that is damaged and a server that is gone are facts about data: the guest gets an errno, and the log has the
cause. A mistake in a program is none, and comes out as it is: whatever a tree of a user's own raises besides `OSError`
and the errors of decompression, and whatever is a mistake by its very class.
"""

from __future__ import annotations

import errno
from typing import Final, NoReturn

from wasihost.common.logs import warn
from wasihost.outcomes import printable
from wasihost.sandbox.names import os_error

_LIBRARIES: Final = frozenset({"fsspec", "zipfile", "zipp"})
"""Where file systems come from that are nobody's own: all that they raise is about data."""
_DECOMPRESSION: Final = frozenset({"_lzma", "bz2", "gzip", "lzma", "tarfile", "zipfile", "zlib"})
"""Modules whose errors are about data whoever calls them."""
_MISTAKES: Final = (TypeError, AttributeError, NameError, AssertionError)


def raise_as_errno(error: Exception, source: object, what: str) -> NoReturn:
    """From an `except`: the `OSError` that says to the guest that `what` could not be had from `source`; else `error`.

    EACCES where a password is missing or wrong, ENOMEM where the memory is not enough, else EIO.
    """
    if isinstance(error, OSError):
        if error.errno is None and (type(error) is OSError or type(error).__module__ != "builtins"):
            _log_cause(error, what)  # EIO, which says nothing
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
