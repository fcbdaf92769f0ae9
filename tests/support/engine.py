"""A State made by hand for tests of engines: the stubs are the test's own, types and faults are the real ones."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from wasi_preview1.guest import Guest, GuestFault
from wasi_preview1.signatures import WASI_SNAPSHOT_PREVIEW1, Signature

from wasihost.errors import ExitError

GUESTS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "guests")
MODULE = "wasi_snapshot_preview1"


def wat(name: str) -> str:
    """Path of a guest in `tests/guests`."""
    return os.path.join(GUESTS, f"{name}.wat")


class Host:
    """Functions by witx name, each called with the host first: `Host(sched_yield=stub)`. The others exit with 99."""

    faults = (GuestFault,)

    def __init__(self, **functions: Callable[..., Any]) -> None:
        self.guest = Guest(lambda: memoryview(bytearray()), lambda _error: 29)
        self.functions = {"proc_exit": leave, **functions}
        self.said: list[Any] = []

    def imports(self) -> Mapping[str, Mapping[str, tuple[Signature, Callable[..., Any]]]]:
        table = {name: (type_, self._stub(name)) for name, type_ in WASI_SNAPSHOT_PREVIEW1.items()}
        call = Signature(("i32", "i32"), ("i32",), "II", "I")
        return {MODULE: table, "env": {"call_host_function": (call, lambda index, argument: index + argument)}}

    def _stub(self, name: str) -> Callable[..., Any]:
        function = self.functions.get(name, unexpected)
        return lambda *numbers: function(self, *numbers)

    def put(self, address: int, number: int) -> None:
        """A 32-bit number into guest memory."""
        self.guest.checked_view(address, 4, 4, "put")[address : address + 4] = number.to_bytes(4, "little")


def leave(_host: Host, code: int) -> None:
    """`proc_exit`."""
    raise ExitError(code)


def unexpected(_host: Host, *_numbers: int) -> int:
    raise ExitError(99)


def telling(number: int) -> Callable[..., int]:
    """An `args_sizes_get` that passes the guest a number."""

    def args_sizes_get(host: Host, at: int, _size_at: int) -> int:
        host.put(at, number)
        return 0

    return args_sizes_get


def fill(host: Host, address: int, size: int) -> int:
    """A `random_get` that is all ones."""
    host.guest.region(address, size, "random_get: buf")[:] = b"\1" * size
    return 0
