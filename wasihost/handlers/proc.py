"""`proc_*` and `sched_yield`: how a guest ends, and how it lets other threads run."""

from __future__ import annotations

from wasi_preview1.errors import WasiError
from wasi_preview1.handlers import ProcHandlers, SchedHandlers
from wasi_preview1.types import Errno, Exitcode, Signal

from wasihost.errors import ExitError, SignalExit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_IGNORED = (Signal.PIPE, Signal.CHLD, Signal.CONT, Signal.URG, Signal.WINCH)
_STOPPING = (Signal.STOP, Signal.TSTP, Signal.TTIN, Signal.TTOU)


class ProcFunctions(ProcHandlers):
    """Ends the guest by an exception."""

    __slots__ = ()

    def proc_exit(self, rval: Exitcode) -> NoReturn:
        # `ExitError` ends the guest and reaches the code that runs it.
        raise ExitError(rval)

    def proc_raise(self, sig: Signal) -> None:
        # The signal's default action, for the guest only, not for the host process: it ends the guest with status 128
        # plus the number, as in a shell, or is ignored. INVAL for `none`; NOTSUP for signals that stop a process, since
        # nothing could continue the guest.
        if sig == Signal.NONE:
            raise WasiError(Errno.INVAL)
        if sig in _STOPPING:
            raise WasiError(Errno.NOTSUP)
        if sig not in _IGNORED:
            raise SignalExit(sig, sig.name)


class SchedFunctions(SchedHandlers):
    """Yields to other threads with the embedder's function, if there is one."""

    __slots__ = ()

    osyield: Callable[[], object] | None

    def sched_yield(self) -> None:
        if self.osyield is not None:
            self.osyield()
