"""The slow binding of `linker`: wasmtime-py's public `Linker.define_func`.

Used for a library without the C function that the quick binding needs, or if it is asked for.
"""

import ctypes
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from wasihost.common.interrupts import FRAGILE
from wasihost.engines.wasmtime.trampolines import TRAP_TEXT

if TYPE_CHECKING:
    import wasmtime

    from wasihost.engines.base import Signature, Stub

_MASKS = {"I": 0xFFFF_FFFF, "Q": 0xFFFF_FFFF_FFFF_FFFF}
STOPPED = TRAP_TEXT.decode()


class _Run(Protocol):
    """A `linker.Run`, as far as host functions use it."""

    raised: list[BaseException]

    def see(self, look: Callable[[], tuple[int, int]]) -> None:
        """Set the State's view of the guest's memory."""

    def see_given(self) -> None:
        """Use the memory that the State was made with."""


class Stopped(Exception):
    """Raised inside wasmtime-py to stop a guest through the public binding; `Run.call` replaces it by the reason."""


def _checked(run: _Run, signature: "Signature", stub: "Stub") -> Callable[..., Any]:
    """The host function for `Linker.define_func`: takes the caller and signed numbers."""
    masks = [_MASKS.get(slot) for slot in signature.slots]

    def look_through(caller: "wasmtime.Caller") -> None:
        found: Any = caller.get("memory")
        if hasattr(found, "data_ptr"):
            run.see(lambda: (ctypes.addressof(found.data_ptr(caller).contents), found.data_len(caller)))
        else:
            run.see_given()

    def function(caller: "wasmtime.Caller", *numbers: int) -> Any:
        try:
            run.raised.clear()  # the guest continues: what was raised has been handled
            look_through(caller)
            return stub(*(n if mask is None else n & mask for n, mask in zip(numbers, masks, strict=True)))
        except BaseException as reason:
            run.raised.append(reason)
        raise Stopped(STOPPED)

    FRAGILE.add(function.__code__)
    return function


def put_checked(
    linker: "wasmtime.Linker", run: _Run, module: str, name: str, signature: "Signature", stub: "Stub"
) -> str | None:
    """Define one host function. Returns wasmtime-py's message if it refuses."""
    import wasmtime

    kinds = {one: getattr(wasmtime.ValType, one) for one in ("i32", "i64", "f32", "f64")}
    type_ = wasmtime.FuncType([kinds[one]() for one in signature.params], [kinds[one]() for one in signature.results])
    try:
        linker.define_func(module, name, type_, _checked(run, signature, stub), access_caller=True)
    except wasmtime.WasmtimeError as error:
        return str(error)
    return None
