"""Faults of a guest's calls, on any file system and any stream: calls that fail, move fewer bytes, or take long.

    run("guest.wasm", hooks=[fail("fd_write", Errno.NOSPC, after=4096)])    # a disk with 4 KiB left
    run("guest.wasm", hooks=[shorten("fd_read", 7)])                        # each read returns at most 7 bytes
    run("guest.wasm", hooks=[delay("path_open", 0.2, path="/net/*")])       # a slow server

Rules of this file: a fault is a hook like any other, with the functions and errnos of the specification. What it counts
is counted over all guests that have it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from fnmatch import fnmatchcase
from functools import partial
from posixpath import join, normpath
from typing import Any, Final

from wasi_preview1.errors import WasiError
from wasi_preview1.types import Errno

from wasihost.common.unpatched import threading, time
from wasihost.errors import ConfigError
from wasihost.hooks import Proceed, patterns_of
from wasihost.testing.clock import FakeClock

MIB: Final = 1 << 20

BUFFERS: Final = {
    "fd_pread": "iovs",
    "fd_pwrite": "iovs",
    "fd_read": "iovs",
    "fd_readdir": "buf",
    "fd_write": "iovs",
    "path_readlink": "buf",
    "sock_recv": "ri_data",
    "sock_send": "si_data",
}
"""The functions that move bytes and may move fewer than asked, and which field of the call has the buffers."""


class Fault:
    """A hook that makes calls fail, shorter or slower. `fail`, `shorten` and `delay` make them.

    Attributes:
        on: The functions that it sees, as `wasihost.hook` takes them.
        calls: How many calls it has seen.
        failed: How many of them it has let fail.
        moved: How many bytes they have moved.
    """

    def __init__(self, on: str | Collection[str], path: str | None) -> None:
        self.on: tuple[str, ...] = patterns_of(on)
        self.calls: int = 0
        self.failed: int = 0
        self.moved: int = 0
        self._path = path
        self._lock = threading.Lock()

    def open(self, host: Any) -> Callable[[Any, Proceed], Any]:
        """Return the hook of one guest. Called when its host is made."""
        return partial(self._see, host)

    def _see(self, host: Any, call: Any, proceed: Proceed) -> Any:
        if self._path is not None and not any(fnmatchcase(path, self._path) for path in _paths(host, call)):
            return proceed()
        with self._lock:
            self.calls += 1
        return self._do(host, call, proceed)

    def _do(self, host: Any, call: Any, proceed: Proceed) -> Any:
        """Make the call, or not. Each kind of fault has its own."""
        raise NotImplementedError

    def _moves(self, call: Any, proceed: Proceed, most: int) -> Any:
        """Make the call with at most `most` bytes, and count those that it moves."""
        result = proceed(shortened(call, most))
        with self._lock:
            self.moved += result[0] if isinstance(result, tuple) else result
        return result


class _Failing(Fault):
    def __init__(
        self, on: str | Collection[str], path: str | None, error: Errno | Exception, after: int, times: int | None
    ) -> None:
        super().__init__(on, path)
        self._error = error
        self._after = after
        self._times = times

    def _do(self, host: Any, call: Any, proceed: Proceed) -> Any:
        moves = call.function in BUFFERS
        with self._lock:
            left = self._after - (self.moved if moves else self.calls - 1)
            fails = left <= 0 and (self._times is None or self.failed < self._times)
            self.failed += fails
        if fails:
            raise WasiError(self._error) if isinstance(self._error, Errno) else self._error
        if not moves:
            return proceed()
        return self._moves(call, proceed, left if left > 0 else size_of(call))


class _Shortened(Fault):
    def __init__(self, on: str | Collection[str], path: str | None, most: int) -> None:
        super().__init__(on, path)
        self._most = most

    def _do(self, host: Any, call: Any, proceed: Proceed) -> Any:
        return self._moves(call, proceed, self._most) if call.function in BUFFERS else proceed()


class _Slow(Fault):
    def __init__(
        self, on: str | Collection[str], path: str | None, seconds: float, per_mib: float, clock: FakeClock | None
    ) -> None:
        super().__init__(on, path)
        self._seconds = seconds
        self._per_mib = per_mib
        self._clock = clock

    def _do(self, host: Any, call: Any, proceed: Proceed) -> Any:
        size = size_of(call) if self._per_mib and call.function in BUFFERS else 0
        duration = round((self._seconds + self._per_mib * size / MIB) * 1_000_000_000)
        scope = getattr(host, "scope", None)  # hosts of other specifications have none
        if self._clock is not None:
            self._clock.advance(duration)
        elif scope is not None:
            scope.sleep(duration)  # ends when the run has to end
        else:
            time.sleep(duration / 1_000_000_000)
        return proceed()


def fail(
    on: str | Collection[str],
    error: Errno | Exception,
    *,
    after: int = 0,
    times: int | None = None,
    path: str | None = None,
) -> Fault:
    """Let calls fail: a hook for `hooks=[...]`.

    Args:
        on: The functions, as `wasihost.hook` takes them: "fd_write", "path_*", or several.
        error: The errno that the guest gets, such as `Errno.NOSPC`. An OSError is mapped to an errno; any other
            exception ends the run and comes out of it.
        after: How much succeeds first: bytes for functions that move bytes, where the call that reaches the limit is
            short, as on a full disk; calls for all others.
        times: How many calls fail; None for all.
        path: Only calls on this path of the guest, or on a file opened by it: a pattern such as "/data/*.db".

    Returns:
        The hook; its `failed` says how many calls have failed.

    Raises:
        ConfigError: `error` is neither, or a number is below 0.
    """
    if not isinstance(error, (Errno, Exception)):
        raise ConfigError(f"calls cannot fail with {error!r}: give an errno such as Errno.NOSPC, or an exception")
    return _Failing(on, path, error, _number("after", after, 0), None if times is None else _number("times", times, 1))


def shorten(on: str | Collection[str], most: int, *, path: str | None = None) -> Fault:
    """Let reads, writes, sends, receives and listings move fewer bytes than the guest asks for: a hook.

    Args:
        on: The functions, as `wasihost.hook` takes them, such as "fd_read".
        most: The most bytes of a call, 1 or more. A listing of a directory needs 24 and a name.
        path: As for `fail`.

    Returns:
        The hook.

    Raises:
        ConfigError: `most` is not 1 or more, or none of the functions moves bytes.
    """
    if not any(fnmatchcase(name, pattern) for pattern in patterns_of(on) for name in BUFFERS):
        raise ConfigError(f"{on!r} cannot be shortened: {', '.join(BUFFERS)} can")
    return _Shortened(on, path, _number("most", most, 1))


def delay(
    on: str | Collection[str],
    seconds: float,
    *,
    per_mib: float = 0.0,
    clock: FakeClock | None = None,
    path: str | None = None,
) -> Fault:
    """Let calls take longer: a hook. A timeout or a signal ends the wait.

    Args:
        on: The functions, as `wasihost.hook` takes them.
        seconds: How long each call waits before it is made.
        per_mib: Seconds for each MiB of the call's buffers besides.
        clock: A clock that is advanced instead: the test does not wait.
        path: As for `fail`.

    Returns:
        The hook.

    Raises:
        ConfigError: A time is below 0.
    """
    for name, value in (("seconds", seconds), ("per_mib", per_mib)):
        if not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
            raise ConfigError(f"{name} is {value!r}: give 0 or more seconds")
    return _Slow(on, path, seconds, per_mib, clock)


def size_of(call: Any) -> int:
    """Return how many bytes the buffers of a call have room for."""
    value = getattr(call, BUFFERS[call.function])
    return sum(map(len, value)) if isinstance(value, list) else len(value)


def shortened(call: Any, most: int) -> Any:
    """Return the call with buffers of at most `most` bytes in all."""
    if size_of(call) <= most:
        return call
    field = BUFFERS[call.function]
    value = getattr(call, field)
    if not isinstance(value, list):
        return call._replace(**{field: value[:most]})
    kept = []
    for buffer in value:
        kept.append(buffer[:most])
        most -= len(kept[-1])
        if not most:
            break
    return call._replace(**{field: kept})


def _paths(host: Any, call: Any) -> list[str]:
    """Return the guest's paths that a call is about."""
    fields = call._asdict()
    if "old_path" in fields:
        old, new = fields.get("old_fd", fields.get("fd")), fields.get("new_fd", fields.get("fd"))
        return [_below(host, old, fields["old_path"]), _below(host, new, fields["new_path"])]
    if "fd" not in fields:
        return []
    return [_below(host, fields["fd"], fields.get("path"))]


def _below(host: Any, fd: int, path: str | None) -> str:
    try:
        base: str = host.describe(fd).path or ""
    except WasiError:  # it is not open: the call will say so
        return ""
    return base if path is None else normpath(join(base, path))


def _number(name: str, value: int, least: int) -> int:
    if not isinstance(value, int) or value < least:
        raise ConfigError(f"{name} is {value!r}: give a whole number of {least} or more")
    return value
