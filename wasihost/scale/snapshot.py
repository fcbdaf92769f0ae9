"""The state of an instance after its initialization, and new instances that begin with it.

Rules of this file: a new instance gets what the first one changed in its memory, and the values of its globals. It has
descriptors of its own, as its config says; so the first one must have none open beyond those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from wasihost.binary.exposed import GROW, INITIALIZE, exposed
from wasihost.errors import ConfigError, LimitExceeded, ModuleError
from wasihost.guest.module import Module
from wasihost.scale.warm import new_instance

if TYPE_CHECKING:
    from wasihost.config import ModuleConfig
    from wasihost.guest.instance import Instance

_BLOCK: Final = 4096
"""Bytes that are compared at once: what is in a block that changed is copied as a whole."""
_PAGE: Final = 1 << 16


class Snapshot:
    """What an instance is after `init`, and how to make another that begins there.

    Raises:
        ModuleError: The module has state that cannot be copied.
        ConfigError: `init` left a file open.
        Exception: What the guest's initialization, or `init`, raised.
    """

    def __init__(
        self,
        module: Module,
        config: ModuleConfig | None,
        options: Mapping[str, Any],
        init: Callable[[Instance], object] | str | None,
    ) -> None:
        try:
            self._exposed = exposed(module.binary())
        except ModuleError as error:
            raise ModuleError(f"{module.name}: its state cannot be copied: {error}") from None
        self.module: Module = module.recipe._replace(source=self._exposed.code).module(interruptible=True)
        self._config = config
        self._options = options
        with new_instance(self.module, config, options) as first:
            self._take(first, init)

    def _take(self, first: Instance, init: Callable[[Instance], object] | str | None) -> None:
        opened = set(first.state.handlers.table.open)
        before = bytes(first.memory.view()) if self._exposed.memory else b""
        if self._exposed.initializes:
            first.call(INITIALIZE, timeout=self._options.get("timeout"))
        if isinstance(init, str):
            first.call(init, timeout=self._options.get("timeout"))
        elif init is not None:
            init(first)
        if more := sorted(set(first.state.handlers.table.open) ^ opened):
            raise ConfigError(
                f"{self.module.name}: init opened or closed descriptor {', '.join(map(str, more))}, and copies would "
                "not: let it leave the descriptors as they were"
            )
        after = first.memory.view() if self._exposed.memory else memoryview(b"")
        self.size: int = len(after)
        self._pages = (len(after) - len(before)) // _PAGE
        # What a start section leaves may differ each time, so then everything is copied.
        self._changes = _changes(b"" if self._exposed.starts else before, after)
        self._globals = {name: first.globals[name] for name in self._exposed.globals}

    @property
    def copied(self) -> int:
        """Bytes that are copied into a new instance."""
        return sum(len(content) for _, content in self._changes)

    def instance(self) -> Instance:
        """A new instance that begins where the first one was.

        Raises:
            LimitExceeded: It may not have as much memory.
        """
        made = new_instance(self.module, self._config, self._options)
        try:
            if self._pages and made.call(GROW, self._pages) == -1:
                raise LimitExceeded("memory", f"{self.module.name}: a copy of {self.size} bytes of memory is too large")
            if self._changes:
                view = made.memory.view()
                for at, content in self._changes:
                    view[at : at + len(content)] = content
            for name, value in self._globals.items():
                made.globals[name] = value
        except BaseException:
            made.close()
            raise
        return made


def _changes(before: bytes, after: memoryview) -> list[tuple[int, bytes]]:
    """The runs of blocks in which the two differ; what is missing in `before` is zero."""
    zero = bytes(_BLOCK)
    found: list[tuple[int, bytearray]] = []
    for at in range(0, len(after), _BLOCK):
        block = after[at : at + _BLOCK]
        if block == (before[at : at + _BLOCK] if at < len(before) else zero):
            continue
        if found and found[-1][0] + len(found[-1][1]) == at:
            found[-1][1].extend(block)
        else:
            found.append((at, bytearray(block)))
    return [(at, bytes(content)) for at, content in found]
