"""What surrounds a compilation, which may take minutes: validation, and reports of its begin and end.

Rules of this file: a module is validated before it is compiled, since the compiler finds an invalid function only when
it reaches it. Validation takes a fiftieth of the time; modules in the cache were validated before.
"""

from __future__ import annotations

import ctypes
import sys
import time

from wasihost.common.threads import start_thread
from wasihost.common.unpatched import threading
from wasihost.engines.values import Compilation, CompileMode, OnCompile
from wasihost.engines.wasmtime import deferred_signals
from wasihost.engines.wasmtime.engine import WasmtimeEngine, engine
from wasihost.engines.wasmtime.ffi import c, take_error
from wasihost.errors import ModuleError
from wasihost.outcomes import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from wasihost.engines.values import CompileBounds


# What the engine says of a module that needs more than it has, and what to do about it. The first that fits counts.
_ADVICE = (
    (
        "legacy_exceptions",
        "it uses WebAssembly exceptions in their older form: convert it with binaryen's "
        "`wasm-opt --all-features --translate-to-exnref IN.wasm -o OUT.wasm`",
    ),
    ("shared memor", "it was built for threads, which this host does not have: build it without `-pthread`"),
    ("threads", "it was built for threads, which this host does not have: build it without `-pthread`"),
    ("memory64", "it has a 64-bit memory, and WASI's pointers have 32 bits: build it for wasm32"),
)
_LACKS = ("feature required", "not enabled", "must be enabled", "is disabled", "not supported", "support is not")


SIZE: Final = 512 << 20
"""Bytes of a module in the binary format."""
TEXT: Final = 64 << 20
"""Bytes of one in the text format, for which the engine takes many times as much memory."""


def check_size(size: int, label: str, *, text: bool = False) -> None:
    """ModuleError for a module that is too large to be read, or to be assembled."""
    if text and size > TEXT:
        raise ModuleError(f"{label}: has {size:,} bytes of text, at most {TEXT:,} are assembled: give the binary form")
    if size > SIZE:
        raise ModuleError(
            f"{label}: has {size:,} bytes, and a module may have {SIZE:,}: build it without debug "
            "information, or split it"
        )


def validate(code: bytes, label: str, owner: WasmtimeEngine, bounds: CompileBounds | None = None) -> None:
    """ModuleError for a module that this engine would refuse, with what to do about it; and without `bounds`, for one
    that would take it too long."""
    from wasihost.engines.wasmtime import loops, module_limits

    check_size(len(code), label)
    if bounds is None:
        module_limits.check(code, label)
    if error := c.wasmtime_module_validate(owner.ptr, code, len(code)):
        text = take_error(error)
        raise lacks(code, label, owner, text) or refused(text, label)
    if (owner.mode.interruptible or owner.mode.fuel) and loops.squares(code) > loops.MOST:
        raise ModuleError(
            f"{label}: has more loops in one function than the engine can compile in a reasonable time for runs that "
            f"can be ended: at most {loops.ALONE:,}; compile it with Module(..., interruptible=False), and "
            "run it in another thread, without timeout and fuel"
        )
    if bounds is None:
        module_limits.check_code(code, label)


def check_module(code: bytes, label: str, features: str) -> None:
    """ModuleError for a module that an engine with these features would refuse."""
    validate(code, label, engine(CompileMode(features=features)))


_AT_ONCE = 1 << 14
"""Bytes of a module that is compiled in ten milliseconds: starting a thread for it would take a hundredth of that."""


class _Work:
    """One module that is being compiled. A result that is not taken is freed."""

    def __init__(self, code: bytes, owner: WasmtimeEngine) -> None:
        self._delete = c.wasmtime_error_delete, c.wasmtime_module_delete
        self._code, self._owner = code, owner
        self._made = ctypes.c_void_p()
        self._error: int | None = None
        self._over = threading.Lock()

    def do(self) -> None:
        """Compile it, on this thread and those of the engine."""
        self._error = c.wasmtime_module_new(self._owner.ptr, self._code, len(self._code), ctypes.byref(self._made))

    def do_aside(self) -> None:
        """`do` on another thread. A signal handler that raises ends the wait; the compilation continues, and its result
        is freed."""
        self._over.acquire()
        start_thread("wasihost-compile", self._in_thread)
        self._over.acquire()

    def _in_thread(self) -> None:
        try:
            self.do()
        finally:
            self._over.release()

    def take(self, label: str) -> int:
        """The engine's module. ModuleError for one that it refused."""
        error, self._error = self._error, None
        if error:
            raise refused(take_error(error), label)
        made, self._made = self._made.value, ctypes.c_void_p()
        assert made
        return made

    def __del__(self) -> None:
        if not hasattr(self, "_over"):  # a signal has ended `__init__`
            return
        if self._error:
            self._delete[0](self._error)
        if self._made.value:
            self._delete[1](self._made)


def compiled(code: bytes, label: str, owner: WasmtimeEngine, bounds: CompileBounds | None = None) -> int:
    """Compile a valid module; returns the engine's pointer. Ctrl-C ends the wait. LimitExceeded beyond `bounds`."""
    if bounds is not None:
        from wasihost.engines.wasmtime.compile_process import compile_in_process

        made, text = compile_in_process(code, label, owner, bounds)
        if not made:
            raise refused(text, label)
        return made
    work = _Work(code, owner)
    if len(code) > _AT_ONCE and deferred_signals.signals_may_interrupt():
        work.do_aside()
    else:
        work.do()
    return work.take(label)


def lacks(code: bytes, label: str, owner: WasmtimeEngine, text: str) -> ModuleError | None:
    """The error for a module that only needs features which can be switched on, or None. `text` is the engine's
    message."""
    if not (owner.mode.features or any(words in text for words in _LACKS)) or "shared memor" in text:
        return None  # of shared memories there is something else to be said
    from wasihost.engines.wasmtime.features import lacking

    names = lacking(code, owner)
    if not names:
        return None
    all_ = " and ".join(map(repr, names))
    return ModuleError(
        f"{label}: needs the WebAssembly feature{'s' * (len(names) > 1)} {all_}, switched off here: give features="
        f"{{{', '.join(f'{name!r}: True' for name in names)}}}, or --features {','.join(f'+{one}' for one in names)}"
    )


def refused(text: str, label: str) -> ModuleError:
    """What the engine has against a module: that it is wrong, or needs what this engine does not have."""
    text = printable(" ".join(text.split()))
    if not any(words in text for words in _LACKS):
        return ModuleError(f"{label}: not a valid module: {text}")
    advice = next(
        (advice for words, advice in _ADVICE if words in text), "a newer engine may do: pip install -U wasmtime"
    )
    return ModuleError(f"{label}: this engine cannot run the module ({text}): {advice}")


class around:  # a function in use; a class, because contextlib takes long to import
    """Report the compilation inside the block to the log and to `on_compile`."""

    __slots__ = ("_begins", "_begun", "_on_compile")

    def __init__(self, label: str, size: int, mode: CompileMode, on_compile: OnCompile | None) -> None:
        self._begins = Compilation(label, size, mode.interruptible, mode.fuel)
        self._on_compile = on_compile

    def __enter__(self) -> None:
        self._report(self._begins)
        self._begun = time.monotonic()

    def __exit__(self, *_raised: object) -> None:
        self._report(self._begins._replace(seconds=time.monotonic() - self._begun))

    def _report(self, event: Compilation) -> None:
        _log(event)
        if self._on_compile is not None:
            self._on_compile(event)


def _log(event: Compilation) -> None:
    """Log, if the program has imported logging; importing it here would take a tenth of a short run."""
    if logging := sys.modules.get("logging"):
        logging.getLogger("wasihost").info("%s", event)
