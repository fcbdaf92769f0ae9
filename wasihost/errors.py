"""The exceptions that wasihost raises: one root, and names that `subprocess` has too.

Rules of this file: it imports nothing of the package but `outcomes`, which the exceptions carry. Errors that a *guest*
gets are not here: those are `wasi_preview1.WasiError`.
"""

from __future__ import annotations

from wasi_preview1.light_typing import NamedTuple

from wasihost.outcomes import Outcome, attach, last_words, outcome, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from wasihost.stats import Stats
    from wasihost.vfs.changes import Changes

FIRST_FRAMES, LAST_FRAMES = 32, 16
"""How many frames are kept of each end of a long backtrace."""


class WasihostError(Exception):
    """Root of every error that wasihost raises."""


class ConfigError(WasihostError, ValueError):
    """A configuration that cannot work: a missing host directory, an argument with a NUL, an unknown mount."""


class ModuleError(WasihostError):
    """The module cannot be used: it is not WebAssembly, is a component, is damaged, or needs a newer engine."""


class LinkError(WasihostError):
    """The module imports something that nothing provides, or lacks an export that the call needs."""


class GuestError(WasihostError):
    """Root of the errors that end a guest. They carry its output, files and statistics so far.

    These can be read after the instance is closed too. `wasihost.outcome` has them for exceptions of other classes.
    """

    @property
    def stdout(self) -> Any:  # as `subprocess` has it: str or bytes, as the run was asked for
        """What was captured of the guest's standard output, or None."""
        found = outcome(self)
        return found.stdout if found is not None else None

    @property
    def stderr(self) -> Any:
        """What was captured of the guest's standard error, or None."""
        found = outcome(self)
        return found.stderr if found is not None else None

    @property
    def files(self) -> Changes | None:
        """The changes to the files in memory that the guest got; None if it got none."""
        found = outcome(self)
        return found.files if found is not None else None

    @property
    def truncated(self) -> tuple[str, ...]:
        """The captured streams to which the guest wrote more than was kept."""
        found = outcome(self)
        return found.truncated if found is not None else ()

    @property
    def stats(self) -> Stats | None:
        """What the guest used; None if no guest had begun."""
        found = outcome(self)
        return found.stats if found is not None else None


class ExitError(GuestError):
    """The guest ended itself with `proc_exit`.

    `code` is the exit status that the guest passed, 0 to 2**32-1.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code

    def __str__(self) -> str:
        return f"the guest exited with status {self.code}"


class SignalExit(ExitError):
    """The guest ended itself by a signal, with `proc_raise`.

    `signal` is the number and `name` the name of the signal in the specification; `code` is 128 more than the number.
    """

    def __init__(self, signal: int, name: str) -> None:
        super().__init__(128 + signal)
        self.signal = signal
        self.name = name

    def __str__(self) -> str:
        return f"the guest ended itself by the signal {self.name} (status {self.code})"

    def __reduce__(self) -> tuple[type[SignalExit], tuple[int, str], dict[str, object]]:
        return SignalExit, (self.signal, self.name), self.__dict__


class Place(NamedTuple):
    """A place in a guest's source, as the module's debug information has it.

    `function` is None where it is not named; `line` and `column` begin with 1, and 0 is unknown.
    """

    function: str | None
    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return printable(":".join([self.file or "?", *(str(one) for one in (self.line, self.column) if one)]))


class Frame(NamedTuple):
    """One wasm frame of a backtrace.

    `function` is its name where the module has names, readable if it is one of C++ or Rust, and `symbol` the same name
    as the module has it; `number` is its index, `offset` its place in the module in bytes. `places` is where that is in
    the source, if the module has debug information (DWARF): innermost first, where functions were inlined into it.
    """

    function: str | None
    number: int
    module: str | None
    offset: int
    symbol: str | None = None
    places: tuple[Place, ...] = ()

    @property
    def file(self) -> str | None:
        """The source file; None where it is not known."""
        return self.places[0].file if self.places else None

    @property
    def line(self) -> int | None:
        """The line in it; None where it is not known."""
        return (self.places[0].line or None) if self.places else None

    def __str__(self) -> str:
        name = printable(self.function) if self.function else f"function[{self.number}]"
        if not self.places:
            return f"{self.offset:#8x} - {printable(self.module) + '!' if self.module else ''}{name}"
        lines = []
        for place in self.places:
            inner = printable(place.function) if place.function and place is not self.places[-1] else name
            lines += [f"{'':8} - {inner}", f"{'':15} at {place}"]
        lines[0] = f"{self.offset:#8x}{lines[0][8:]}"
        return "\n".join(lines)


class TrapError(GuestError):
    """The guest trapped: it did what WebAssembly does not allow, or passed a bad pointer.

    `kind` is short and stable ("unreachable", "out of bounds memory access", "guest fault", ...), `message` is one
    line. The text of the exception also has the guest's last lines on standard error, if captured, and the backtrace.
    """

    def __init__(
        self,
        message: str,
        kind: str = "trap",
        backtrace: Sequence[Frame] = (),
        omitted: int | None = 0,
        *,
        look: Callable[[tuple[Frame, ...]], tuple[Frame, ...]] | None = None,
    ) -> None:
        super().__init__(message, kind)
        self.message = message
        self.kind = kind
        self.omitted = omitted
        """How many frames are left out in the middle of `backtrace`. None if its outer end is left out instead, by an
        engine that does not report how many."""
        self._frames = tuple(backtrace)
        self._look = look

    @property
    def traced(self) -> bool:
        """Whether it has a backtrace."""
        return bool(self._frames)

    def raw_frames(self) -> tuple[Frame, ...]:
        """Return the frames as the engine reported them: no name is made readable, no line is looked up."""
        return self._frames

    def look_first(self, change: Callable[[tuple[Frame, ...]], tuple[Frame, ...]]) -> None:
        """Have `change` make other frames of those that the engine reported, before lines are looked up."""
        look = self._look
        self._look = change if look is None else lambda frames: look(change(frames))

    @property
    def backtrace(self) -> tuple[Frame, ...]:
        """The wasm frames, innermost first: of a deep recursion the first and the last.

        Names are made readable and lines looked up when this is first asked for.
        """
        look, self._look = self._look, None
        if look is not None:
            try:
                self._frames = look(self._frames)
            except Exception:  # what is wrong with a module's debug information hides no trap
                pass
        return self._frames

    def __str__(self) -> str:
        lines = [self.message]
        if words := last_words(self.stderr):
            lines += ["the guest's last words on standard error:", words]
        frames = self.backtrace
        if frames:
            lines.append("wasm backtrace:")
            gap = len(frames) - LAST_FRAMES if self.omitted else -1
            for number, frame in enumerate(frames):
                if number == gap:
                    lines.append(f"  ...: {self.omitted} more frames")
                shown = number if number < gap or gap < 0 else number + (self.omitted or 0)
                lines.append(f"{shown:5}: {frame}".replace("\n", "\n       "))
            if self.omitted is None:
                lines.append("  ...: further frames, which this version of the engine does not keep")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        made = self.message, self.kind, self.backtrace, self.omitted
        return (
            type(self),
            made,
            {name: value for name, value in self.__dict__.items() if name not in ("_look", "_frames")},
        )


class BadPointer(TrapError, IndexError):
    """Bytes that are not all in a guest's memory, from `Instance.memory` or the `Memory` of a host function.

    It is an IndexError too, for a pointer of your own. A guest that passed the pointer traps.
    """


class BadText(TrapError, ValueError):
    """A text in a guest's memory has no end, or is not UTF-8."""


class AllocationFailed(TrapError, MemoryError):
    """A guest's own allocator failed, or returned what is not in its memory."""


class OutputError(GuestError, UnicodeDecodeError):
    """The guest's output, or the result of an export, is not text. It is a UnicodeDecodeError with all its fields."""

    # Its own: tblib, which Dask uses, restores exceptions without calling the __init__ that sets those fields.
    def __reduce__(self) -> tuple[type[OutputError], tuple[Any, ...], dict[str, object]]:
        return OutputError, self.args, self.__dict__


class IsolationError(GuestError):
    """The process of a guest that was run with `isolation` failed.

    It crashed, was killed, or did what it is not allowed to do. Whatever else it sent was discarded.
    """


class LimitExceeded(GuestError):
    """The guest needed more than a limit allows. `limit` names it: "memory", "fuel", ..."""

    def __init__(self, limit: str, message: str = "") -> None:
        super().__init__(limit, message)
        self.limit = limit
        self.message = message

    def __str__(self) -> str:
        return self.message or f"the guest exceeded its limit of {self.limit}"


class OverlayError(WasihostError):
    """The changes of an `Overlay` cannot be applied or dropped now, or it is closed; nothing was changed."""


class TimeoutExpired(GuestError):
    """The guest was ended because its time was over. The fields are those of `subprocess.TimeoutExpired`.

    `timeout` is in seconds.
    """

    def __init__(
        self,
        args: Sequence[str],
        timeout: float,
        stdout: bytes | str | None = None,
        stderr: bytes | str | None = None,
    ) -> None:
        super().__init__(tuple(args), timeout, stdout, stderr)
        self.cmd: tuple[str, ...] = tuple(args)
        self.timeout = timeout
        _carry(self, args, stdout, stderr)

    @property
    def output(self) -> Any:
        """Another name of `stdout`, as `subprocess` has it."""
        return self.stdout

    def __str__(self) -> str:
        return f"guest {' '.join(self.cmd)!r} was ended after {self.timeout} seconds"


class CalledProcessError(GuestError):
    """The exit status was not 0, with `check=True`. The fields are those of `subprocess.CalledProcessError`."""

    def __init__(
        self,
        returncode: int,
        args: Sequence[str],
        stdout: bytes | str | None = None,
        stderr: bytes | str | None = None,
    ) -> None:
        super().__init__(returncode, tuple(args), stdout, stderr)
        self.returncode = returncode
        self.cmd: tuple[str, ...] = tuple(args)
        _carry(self, args, stdout, stderr)

    @property
    def output(self) -> Any:
        """Another name of `stdout`, as `subprocess` has it."""
        return self.stdout

    def __str__(self) -> str:
        return f"guest {' '.join(self.cmd)!r} exited with status {self.returncode}"


def _carry(error: GuestError, args: Sequence[str], stdout: bytes | str | None, stderr: bytes | str | None) -> None:
    if stdout is not None or stderr is not None:
        attach(error, Outcome(args, stdout, stderr), note=False)


BY_SIGNAL_HANDLER = "_raised_by_a_signal_handler"
"""In the `__dict__` of an OSError that a signal handler raised while a guest ran: it ends the run, instead of becoming
an errno."""


def raise_if_from_handler(error: BaseException) -> None:
    """Raise the error again if a signal handler raised it, as handlers of SIGALRM like to raise TimeoutError.

    For code of ours that can do without what it tried. An OSError of the system has an errno; that of a handler rarely.
    """
    if isinstance(error, OSError) and (error.errno is None or BY_SIGNAL_HANDLER in error.__dict__):
        raise error


class EndRun(BaseException):
    """Wraps an OSError that must end the run: a stub would turn the error itself into an errno. `reason` is raised."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(reason)
        self.reason = reason
