"""A host with handlers of the embedder's: one class of theirs and of ours, and an object of it for each guest.

Rules of this file: classes come before the host's in the order of their list, so `super()` leads to the next one and at
last to the host. `__init__` of a class is called without arguments when the host is complete.
"""

from __future__ import annotations

from functools import lru_cache
from types import new_class
from typing import TYPE_CHECKING, Any

from wasihost.errors import ConfigError
from wasihost.host.functions import Host

if TYPE_CHECKING:
    from wasihost.config import ModuleConfig
    from wasihost.config.handling import HandlerClass


class _ReadyHost(Host):
    """Where `super().__init__()` of the embedder's classes ends."""

    __slots__ = ()

    def __init__(self) -> None:
        pass


def make_host(config: ModuleConfig) -> Host:
    """Return the host of one guest, with the classes of its config. ConfigError if they do not fit together."""
    cls = _joined(config.handlers)
    made = cls.__new__(cls)
    Host.__init__(made, config)
    try:
        made.__init__()  # type: ignore[misc]  # the embedder's
    except BaseException:
        made.close()
        raise
    return made


@lru_cache(maxsize=128)
def _joined(classes: tuple[HandlerClass, ...]) -> type[_ReadyHost]:
    names = ", ".join(cls.__name__ for cls in classes)
    try:
        made: Any = new_class("Host", (*classes, _ReadyHost), {}, lambda body: body.update(__slots__=()))
    except TypeError as error:
        problem, advice = str(error), "leave out one of them"
        if "lay-out" in problem or "layout" in problem:
            advice = "leave out their __slots__"
        elif "resolution" in problem:
            problem = "they derive from groups in an order that is not the host's"
            advice = f"name them in this order: {', '.join(base.__name__ for base in Host.__bases__[:-1])}"
        raise ConfigError(f"handlers cannot be {names}: {problem}; {advice}") from None
    if missing := made.__abstractmethods__:
        raise ConfigError(f"handlers cannot be {names}: they leave {', '.join(sorted(missing))} abstract")
    joined: type[_ReadyHost] = made
    return joined
