"""`functools.cached_property` as it is from Python 3.12 on: without a lock.

In 3.11 all objects of a class share one lock: a thread would wait for the value of another object, and a forked child
forever.
"""

from __future__ import annotations

from wasi_preview1.light_typing import Generic, TypeVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, overload

T = TypeVar("T")


class cached_property(Generic[T]):  # named as in functools
    """An attribute whose value is computed once by a method; perhaps twice if two threads use it at the same time."""

    def __init__(self, method: Callable[[Any], T]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: type | None = None) -> cached_property[T]: ...
        @overload
        def __get__(self, instance: object, owner: type | None = None) -> T: ...

    def __get__(self, instance: object, owner: type | None = None) -> cached_property[T] | T:
        if instance is None:
            return self
        made = self._method(instance)
        instance.__dict__[self._name] = made
        return made
