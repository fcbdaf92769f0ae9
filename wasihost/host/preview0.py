"""`wasi_unstable`, the spec before preview1, served by the same handlers.

Rules of this file: a function that differs between the two specs is a typed method here, in terms of both generated
packages; all others are passed on. No offsets and no numbers: the layouts come from the older spec's own bindings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import wasi_preview0 as old
import wasi_preview1 as new
from wasi_preview0.guest import ConstPointer, Guest, Pointer, Stub
from wasi_preview0.signatures import SIGNATURES
from wasi_preview1.signatures import Signature

from wasihost.host.bound import bind_in_c
from wasihost.native import extension

if extension is None:
    from wasi_preview0.stubs import bind as bind_in_python

MODULE = "wasi_unstable"

_WHENCE = {old.Whence.CUR: new.Whence.CUR, old.Whence.END: new.Whence.END, old.Whence.SET: new.Whence.SET}
_NLINK_MAX = 2**32 - 1


class _Subscriptions:
    """The pointer from which `poll_oneoff` reads its subscriptions: converts old ones to new ones."""

    def __init__(self, pointer: ConstPointer[old.Subscription]) -> None:
        self._pointer = pointer

    def raw_bytes(self, count: int) -> bytes:
        """A key for the cache of polls; the suffix keeps it apart from preview1's."""
        return self._pointer.raw_bytes(count) + MODULE.encode()

    def load(self) -> new.Subscription:
        """Read the first subscription."""
        return _subscription(self._pointer.load())

    def read(self, count: int) -> list[new.Subscription]:
        """Read `count` subscriptions."""
        return [_subscription(one) for one in self._pointer.read(count)]


def _subscription(one: old.Subscription) -> new.Subscription:
    wanted = one.u
    if isinstance(wanted, old.SubscriptionUClockCase):
        clock = wanted.value  # its `identifier` is the guest's own; no result contains it
        return new.Subscription(
            one.userdata,
            new.SubscriptionUClockCase(
                new.SubscriptionClock(
                    new.Clockid(clock.id), clock.timeout, clock.precision, new.Subclockflags(clock.flags)
                )
            ),
        )
    fd = new.SubscriptionFdReadwrite(wanted.value.file_descriptor)
    if isinstance(wanted, old.SubscriptionUFdReadCase):
        return new.Subscription(one.userdata, new.SubscriptionUFdReadCase(fd))
    return new.Subscription(one.userdata, new.SubscriptionUFdWriteCase(fd))


class _Differences:
    """The functions that differ between the specs."""

    def __init__(self, handlers: object) -> None:
        self.handlers: Any = handlers

    def fd_seek(self, fd: old.Fd, offset: old.Filedelta, whence: old.Whence) -> old.Filesize:
        """The values of `whence` have another order."""
        position: int = self.handlers.fd_seek(fd, offset, _WHENCE[whence])
        return position

    def fd_fdstat_get(self, fd: old.Fd) -> old.Fdstat:
        """The older spec has no right to accept connections."""
        kind, flags, base, inheriting = self.handlers.fd_fdstat_get(fd)
        mask = old.Rights.MASK
        return old.Fdstat(
            old.Filetype(kind), old.Fdflags(flags), old.Rights(base & mask), old.Rights(inheriting & mask)
        )

    def fd_prestat_get(self, fd: old.Fd) -> old.Prestat:
        """The record is the same, but each package has its own classes for the cases of a union."""
        return old.PrestatDirCase(old.PrestatDir(self.handlers.fd_prestat_get(fd).value.pr_name_len))

    def fd_filestat_get(self, fd: old.Fd) -> old.Filestat:
        """The link count has 32 bits."""
        return _filestat(self.handlers.fd_filestat_get(fd))

    def path_filestat_get(self, fd: old.Fd, flags: old.Lookupflags, path: str) -> old.Filestat:
        """The link count has 32 bits."""
        return _filestat(self.handlers.path_filestat_get(fd, new.Lookupflags(flags), path))

    def poll_oneoff(
        self, in_: ConstPointer[old.Subscription], out: Pointer[old.Event], nsubscriptions: old.Size
    ) -> old.Size:
        """A clock subscription of the older spec has one more field."""
        subscriptions: Any = _Subscriptions(in_)  # has the methods of a pointer that are used
        events: Any = out  # an event is the same in both packages
        count: int = self.handlers.poll_oneoff(subscriptions, events, nsubscriptions)
        return count


def _filestat(stat: new.Filestat) -> old.Filestat:
    dev, ino, filetype, nlink, size, atim, mtim, ctim = stat
    return old.Filestat(dev, ino, old.Filetype(filetype), min(nlink, _NLINK_MAX), size, atim, mtim, ctim)


def _translated(function: Callable[..., Any]) -> Callable[..., Any]:
    """Raise errnos of the function as errors of the older package; both specs have the same numbers."""

    def call(*args: Any) -> Any:
        try:
            return function(*args)
        except new.WasiError as error:
            raise old.WasiError(old.Errno(error.errno)) from None

    return call


def _converted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Call the function with flags and enums of preview1: each package has its own classes, of the same values."""
    from wasi_preview0.calls import CALLS

    kinds = [getattr(new, kind.removeprefix("types."), None) for kind in CALLS[name].__annotations__.values()]
    makers = [kind if isinstance(kind, type) and issubclass(kind, int) else None for kind in kinds]
    if not any(makers):
        return function

    def call(*args: Any) -> Any:
        return function(*[one if make is None else make(one) for make, one in zip(makers, args, strict=True)])

    return call


def bind(handlers: object, guest: Guest, convert: bool = False) -> dict[str, tuple[Signature, Stub]]:
    """Return type and stub of every function of `wasi_unstable` by name, over handlers of preview1.

    `convert`: the handlers are not all ours, which do with the values of flags and enums and need no classes.

    The memory view is made anew at every call: modules of this age are rare, and the stubs of the two packages must not
    share a view.
    """
    differences = _Differences(handlers)
    functions = {}
    for name in SIGNATURES[MODULE]:
        function = getattr(differences, name, None)
        if function is None:
            function = getattr(handlers, name)
            function = _converted(name, function) if convert else function
        functions[name] = _translated(function)
    joined: Any = SimpleNamespace(
        **functions
    )  # mypy checks those that differ; the others have the same signature in both
    types = SIGNATURES[MODULE]
    if extension is None:
        bound: Mapping[str, Stub] = bind_in_python(joined, guest)[MODULE]
    else:
        bound = bind_in_c("wasi_preview0", MODULE, joined, guest, types)
    return {name: (Signature(*types[name]), _fresh(stub, guest)) for name, stub in bound.items()}


def _fresh(stub: Stub, guest: Guest) -> Stub:
    def call(*numbers: int) -> int | float | None:
        guest.refresh()
        try:
            result: int | float | None = stub(*numbers)
        finally:
            guest.release()
        return result

    return call
