"""`cached_property` of `functools` as it is from 3.12 on: without a lock, which in 3.11 all objects of a class share. A
thread would wait for another one's value, and a forked child for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class cached_property(Generic[T]):  # as that of functools
    """A method without arguments that is called once, as an attribute; by two threads at once, perhaps twice."""

    def __init__(self, method: Callable[[Any], T]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

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
