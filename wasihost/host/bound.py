"""The functions of a spec, bound to one set of handlers and one guest when they are first looked up.

Rules of this file: it chooses the stubs, those in C where the extension is there and else those in Python, and nothing
else depends on that choice. Most guests import a few functions of many, so a mapping here makes only what it is asked.
"""

from __future__ import annotations

from collections.abc import Mapping

from wasihost.native import extension

if extension is None:
    from wasi_preview1.stubs import BINDERS
else:
    import wasi_preview1.native  # noqa: F401 - now: the first guest would import it

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeAlias, TypeVar

    from wasi_preview1.guest import Guest, Stub
    from wasi_preview1.signatures import Signature

    T = TypeVar("T")

    Functions: TypeAlias = Mapping[str, tuple[Signature, Stub]]
    Imports: TypeAlias = Mapping[str, Functions]
    Stubs: TypeAlias = Mapping[str, Mapping[str, Stub]]

MODULE = "wasi_snapshot_preview1"


class Lazy(Mapping["str", "T"]):
    """A mapping with these names, whose values are made at their first look-up."""

    __slots__ = ("_made", "_make", "_names")

    def __init__(self, names: Mapping[str, object], make: Callable[[str], T]) -> None:
        self._names = names
        self._make = make
        self._made: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        made = self._made.get(name)
        if made is None:
            if name not in self._names:
                raise KeyError(name)
            made = self._made[name] = self._make(name)
        return made

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def bind(handlers: Any, guest: Guest, names: Mapping[str, object]) -> Mapping[str, Stub]:
    """The functions of preview1, which has these names."""
    if extension is None:
        makers = BINDERS[MODULE]
        return Lazy(names, lambda name: makers[name](handlers, guest))
    return bind_in_c("wasi_preview1", MODULE, handlers, guest, names)


def bind_in_c(
    package: str, module: str, handlers: object, guest: object, names: Mapping[str, object]
) -> Mapping[str, Stub]:
    """The functions of a generated package in C. Only where the extension is there."""
    assert extension is not None
    make = extension.Guest(package, guest).stub
    return Lazy(names, lambda name: make(handlers, module, name))
