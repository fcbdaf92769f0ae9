"""`proc_*` and `sched_yield`: how a guest ends, and how it lets others run."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from wasi_preview1.errors import WasiError
from wasi_preview1.handlers import ProcHandlers, SchedHandlers
from wasi_preview1.types import Errno, Exitcode, Signal

from wasihost.errors import ExitError


class Proc(ProcHandlers):
    """The guest's end."""

    __slots__ = ()

    def proc_exit(self, rval: Exitcode) -> NoReturn:
        """End the guest: `ExitError` travels to whoever runs it."""
        raise ExitError(rval)

    def proc_raise(self, sig: Signal) -> None:
        """NOSYS: no signal of a guest means anything to a host; wasi-libc does not call it."""
        raise WasiError(Errno.NOSYS)


class Sched(SchedHandlers):
    """Yielding."""

    __slots__ = ()

    osyield: Callable[[], object] | None

    def sched_yield(self) -> None:
        """Call the embedder's hook, if there is one."""
        if self.osyield is not None:
            self.osyield()
