"""An instance's exports in Python: exported functions as methods, exported globals by name.

Rules of this file: names are looked up in the module when they are used; no state of the guest is kept here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, overload

from wasihost.common.names import listed, near, shown

if TYPE_CHECKING:
    from wasihost.engines.base import EngineInstance
    from wasihost.guest.calling import Argument, R, ResultAs
    from wasihost.guest.instance import Instance


class Export:
    """One exported function. Call it."""

    def __init__(self, instance: Instance, name: str) -> None:
        self._instance = instance
        self.name = name

    @overload
    def __call__(
        self,
        *arguments: Argument,
        returns: type[R],
        result_as: ResultAs | None = None,
        free_result: bool | None = None,
        timeout: float | None = None,
    ) -> R: ...
    @overload
    def __call__(
        self, *arguments: Argument, returns: Callable[[int], R], timeout: float | None = None
    ) -> R: ...  # Unsigned, which not every type checker takes for a class
    @overload
    def __call__(self, *arguments: Argument, returns: None = None, timeout: float | None = None) -> Any: ...

    def __call__(
        self,
        *arguments: Argument,
        returns: Any = None,
        result_as: ResultAs | None = None,
        free_result: bool | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Call the function, as `Instance.call` does, with numbers, text and bytes.

        Args:
            *arguments: Numbers are passed unchanged; text and bytes are copied into the guest's memory.
            returns: `int`, `Unsigned`, `float`, `bool`, `str` or `bytes`. Without it, integers are signed; a function
                without a result returns None, one with several results a tuple.
            result_as: How text or bytes are returned, if the type of the export does not show it; see `ResultAs`.
            free_result: True frees the memory of the text or bytes in the guest after they were read.
            timeout: Seconds after which the call ends with TimeoutExpired.

        Raises:
            TypeError: The arguments or `returns` do not fit the type of the export.
            LinkError: The guest exports no known allocator, and the call needs one.
            wasihost.errors.AllocationFailed: The guest has no memory left for an argument.
            GuestError: The guest trapped, met a limit, or returned a bad pointer.
        """
        if returns is None:
            return self._instance.call(self.name, *arguments, timeout=timeout)
        return self._instance.call_converting(returns, self.name, arguments, result_as, free_result, timeout)

    def __repr__(self) -> str:
        item = self._instance.module.exports[self.name]
        return f"<export {shown(self.name)}({', '.join(item.params)}) -> ({', '.join(item.results)})>"


class Exports:
    """An instance's exported functions as methods: `inst.exports.add(1, 2, timeout=1.0)`.

    Names that are not Python identifiers are items: `inst.exports["get-name"]()`.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def __getattr__(self, name: str) -> Export:
        item = self._instance.module.exports.get(name)
        if item is None or item.kind != "func":
            raise AttributeError(self._missing(name))
        return Export(self._instance, name)

    def __getitem__(self, name: str) -> Export:
        if name not in self:
            raise KeyError(self._missing(name))
        return Export(self._instance, name)

    def _missing(self, name: str) -> str:
        item = self._instance.module.exports.get(name)
        if item is not None and item.kind == "global":
            return f"{name} is an exported global: globals[{name!r}]"
        meant = near(name, self)
        return f"the module exports no function {name!r}: " + (
            f"did you mean {shown(meant)}?" if meant else f"it exports {listed(list(self), 20) or 'none'}"
        )

    def __contains__(self, name: object) -> bool:
        return any(name == one for one in self)

    def __iter__(self) -> Iterator[str]:
        return (item.name for item in self._instance.module.exports.values() if item.kind == "func")

    def __dir__(self) -> list[str]:
        return list(self)


class Globals(Mapping[str, int | float]):
    """An instance's exported globals: `inst.globals["counter"] = 5`.

    Integers are signed when they are read; signed and unsigned ones can be set. KeyError if there is no such global;
    TypeError if it cannot be set: it is immutable, is a reference or a vector, or the value is not such a number.
    """

    def __init__(self, engine: EngineInstance) -> None:
        self._engine = engine

    def _check(self, name: str) -> None:
        if name not in list(self):
            meant = near(name, self)
            raise KeyError(
                f"the module exports no global {name!r}: "
                + (f"did you mean {shown(meant)}?" if meant else f"it exports {listed(list(self), 20) or 'none'}")
            )

    def __getitem__(self, name: str) -> int | float:
        self._check(name)
        return self._engine.get_global(name)

    def __setitem__(self, name: str, value: int | float) -> None:
        self._check(name)
        self._engine.set_global(name, value)

    def __iter__(self) -> Iterator[str]:
        return (item.name for item in self._engine.module.exports.values() if item.kind == "global")

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<exported globals {listed(list(self), 20) or 'none'}>"
