"""Chooses how to wait for a Python object that a guest reads. Imported when a guest first waits for one."""

from __future__ import annotations

import functools
import io
import os
import stat
from types import BuiltinMethodType, FunctionType
from typing import Any, Final

from wasihost.waiting.input_ready import Ready, ReadyByFd
from wasihost.waiting.input_thread import ReadableHook, ReadAhead
from wasihost.waiting.stream_objects import TextReader, underlying_fd

_VARARGS: Final = 0x04  # CO_VARARGS


def readiness_of(reader: Any) -> Ready:
    """Return how to wait for `reader`: by reading ahead if there is no other way."""
    hook = getattr(reader, "readable", None)
    if hook is not None and _takes_a_timeout(hook):
        return ReadableHook(hook)
    if isinstance(reader, TextReader) and type(reader.stream) is io.StringIO:
        return Ready()
    if type(reader) is io.BytesIO:
        return Ready(lambda: max(0, len(reader.getbuffer()) - reader.tell()))
    fd = underlying_fd(reader)
    if fd is None:
        return ReadAhead()
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return Ready(functools.partial(_bytes_left, fd, reader))
    return ReadyByFd(fd, reader)


def _bytes_left(fd: int, file: Any) -> int:
    return max(0, os.fstat(fd).st_size - int(file.tell()))


def _takes_a_timeout(hook: Any) -> bool:
    """True for a hook `readable(timeout)`. `io`'s own `readable()` takes no argument and has another meaning."""
    if type(hook) is BuiltinMethodType:  # of io and its like
        return False
    function = getattr(hook, "__func__", hook)
    if type(function) is FunctionType and not hasattr(function, "__wrapped__"):
        code, bound = function.__code__, function is not hook
        most = code.co_argcount - bound
        least = most - len(function.__defaults__ or ())
        named = code.co_kwonlyargcount > len(function.__kwdefaults__ or ())
        return least <= 1 and (most >= 1 or bool(code.co_flags & _VARARGS)) and not named
    import inspect  # importing it takes as long as importing all of wasihost

    try:
        inspect.signature(hook).bind(0.0)
    except (TypeError, ValueError):
        return False
    return True
