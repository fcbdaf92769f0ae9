"""`Module.pool`: instances that are ready, each for one use.

Rules of this file: an instance is used once and closed, so every use begins with the same state. Others are made
meanwhile, by a thread that ends when enough are ready.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from wasihost.common.forking import renew_in_child
from wasihost.common.threads import start_thread
from wasihost.errors import ConfigError
from wasihost.guest.options import RunSetup
from wasihost.scale.references import shared_module
from wasihost.scale.snapshot import Snapshot
from wasihost.scale.warm import WarmInstances, new_instance

if TYPE_CHECKING:
    from wasihost.config import ModuleConfig
    from wasihost.guest.instance import Instance
    from wasihost.guest.module import Module


class Pool:
    """Instances of a module that wait, made and initialized. `Module.pool` makes it; close it, or use it in a `with`.

    May be used from many threads at once, each with an instance of its own.
    """

    def __init__(
        self,
        module: Module,
        size: int,
        config: ModuleConfig | None,
        init: Callable[[Instance], object] | str | None,
        options: Mapping[str, Any],
    ) -> None:
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ConfigError(f"size cannot be {size!r}: pass a whole number, 1 or more")
        if options.get("isolation") is not None:
            raise ConfigError("isolation is for run, run_async and start: an instance is in this process")
        RunSetup(module, config, options)  # ConfigError now
        shared_module(module, {})
        self.snapshot: Snapshot | None = None
        make: Callable[[], Instance] = partial(new_instance, module, config, options)
        if init is not None or "_initialize" in module.exports:
            self.snapshot = Snapshot(module, config, options, init)
            make = self.snapshot.instance
        self.size: int = size
        self._filling: list[bool] = []
        self._warm = WarmInstances(make, size)
        renew_in_child(self)
        self._warm.fill()

    def renew_locks(self) -> None:
        """In a forked child, where no thread is filling."""
        self._filling = []

    def __len__(self) -> int:
        """How many instances are ready now."""
        return len(self._warm)

    @contextmanager
    def instance(self) -> Iterator[Instance]:
        """Context manager: an instance that nothing has used, which is closed after the block."""
        taken = self._warm.take()
        self._refill()
        try:
            yield taken
        finally:
            taken.close()

    def call(self, name: str, *arguments: Any, timeout: float | None = None, **conversion: Any) -> Any:
        """Call an export of an instance that nothing has used.

        Args:
            name: The export.
            *arguments: Numbers, text and bytes, as a call of an export takes them.
            timeout: Seconds until TimeoutExpired.
            **conversion: `returns`, `result_as` and `free_result`, as a call of an export takes them.

        Returns:
            What the export returns.
        """
        with self.instance() as guest:
            return guest.exports[name](*arguments, timeout=timeout, **conversion)

    def _refill(self) -> None:
        filling = self._filling
        if filling:  # that thread looks again when it is done
            return
        filling.append(True)
        try:
            start_thread("wasihost pool", partial(_fill, self._warm, filling))
        except RuntimeError:
            filling.clear()

    def close(self) -> None:
        """Close the instances that wait; those in use are closed at the end of their blocks."""
        self._warm.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _fill(warm: WarmInstances, filling: list[bool]) -> None:
    try:
        while filling:
            warm.fill()
            filling.clear()
            if warm.lacks:  # one was taken just now
                filling.append(True)
    except Exception:
        filling.clear()  # the next one to take an instance makes it, and sees why that fails
