"""The host side of one guest, as an engine uses it: the stubs, bound to the handlers and to the guest's memory.

`State` has one raw-ABI method per function for engines that call methods (`state.fd_write(1, iovs, n, result)` takes
ints and returns an errno), and `imports()` for adapters that bind the stubs themselves.
"""

from __future__ import annotations

from wasi_preview1.errors import WasiError
from wasi_preview1.guest import Guest, GuestFault
from wasi_preview1.raw import RawAbi
from wasi_preview1.signatures import SIGNATURES, Signature
from wasi_preview1.types import Errno

from wasihost.config import ModuleConfig
from wasihost.descriptors.oserrno import errno_of
from wasihost.errors import ConfigError, EndRun
from wasihost.host.bound import MODULE, Lazy, bind
from wasihost.host.functions import Host
from wasihost.native import extension

if extension is not None:
    from wasihost.host.plain import plain_calls  # now: it has to see our handlers as they were written

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import Any, Self

    from typing_extensions import Buffer

    from wasihost.config.handling import HandlerClass
    from wasihost.hooks import Hook
    from wasihost.host.bound import Functions, Imports, Stubs
    from wasihost.native import _native
    from wasihost.stats import Stats

CALL_HOST_FUNCTION = Signature(("i32", "i32", "i32"), ("i32",), "III", "I")
"""`env.call_host_function`: modules of some toolchains import it as a bridge to a host of their own."""


UNSTABLE = "wasi_unstable"
"""The import module of preview0."""


_NONE: frozenset[str] = frozenset()
_OF_LIMITS = frozenset({Errno.NOSPC, Errno.FBIG})
"""The errnos of a full file system."""


class _Provided(dict[str, "Functions"]):
    """The functions by module. Those of preview0, which is not listed, are made at the first look-up."""

    def __init__(self, bound: Imports, unstable: Callable[[], Functions]) -> None:
        super().__init__(bound)
        self._unstable = unstable

    def __missing__(self, module: str) -> Functions:
        if module != UNSTABLE:
            raise KeyError(module)
        self[module] = made = self._unstable()
        return made


class State(RawAbi):
    """The whole host side of one guest, for one thread at a time.

    Args:
        memory: Returns the guest's linear memory, a writable buffer. It is called at every raw call, so growth of the
            memory needs no care. An adapter that finds the memory itself leaves it out.
        config: What the guest gets; a default `ModuleConfig` gives it nothing.
        handlers: Classes whose functions come before the host's, see `ModuleConfig.with_handlers`.
        hooks: Functions that see every call, see `ModuleConfig.with_hooks`.
        stats: Every call of the guest is counted here.
        others: Names of functions of other specs that the guest may import: hooks can be limited to them.

    Attributes:
        handlers: The host of this guest, an object of the classes and of the host's own.
        hooks: The hooks of this guest, the outermost first.

    Raises:
        ConfigError: A mounted directory or a stream of the config cannot be opened; handlers or hooks cannot work.
    """

    faults: tuple[type[BaseException], ...] = (GuestFault,)
    """Exceptions of a raw call for a bad pointer: the guest has to trap."""

    def __init__(
        self,
        memory: Callable[[], Buffer] | None = None,
        config: ModuleConfig | None = None,
        *,
        handlers: HandlerClass | Sequence[HandlerClass] = (),
        hooks: Hook | Sequence[Hook] = (),
        stats: Stats | None = None,
        others: Collection[str] = (),
    ) -> None:
        config = config if config is not None else ModuleConfig()
        if handlers != () or hooks != ():
            from wasihost.config.handling import listed

            config = config.with_handlers(*listed(handlers)).with_hooks(*listed(hooks))
        self.config: ModuleConfig = config
        self.handlers: Host = Host(config) if not config.handlers else _joined_host(config)
        self._functions: Any = self.handlers
        self._hooked: frozenset[str] = _NONE
        self.hooks: Sequence[Hook] = ()
        self._closing: list[Callable[[], object]] | None = None
        try:
            self._errno_of = _noting(self.handlers.met)
            self.guest: Guest = Guest(memory if memory is not None else _no_memory, self._errno_of)
            if config.hooks:
                self._put_hooks(config, others)
            if stats is not None:
                self._count(stats)
            functions = bind(self._functions, self.guest, SIGNATURES[MODULE])
        except BaseException:  # also of a signal handler
            self.close()
            raise
        # Not a method: it would hold this State.
        self.stubs: Stubs = {MODULE: functions, "env": {"call_host_function": _call_host_function}}

    def mem(self) -> memoryview:
        """Return a view of the guest's memory. Do not keep it across calls: the memory may grow and move."""
        view = self.guest.refresh()
        self.guest.release()
        return view

    def call_host_function(self, v0: int, v1: int, v2: int) -> int:
        """`env.call_host_function`: returns 0."""
        return _call_host_function(v0, v1, v2)

    def imports(self) -> Imports:
        """Return everything that a guest may import: module name -> function name -> (core type, stub).

        `wasi_unstable`, the older spec, is bound at its first look-up.
        """
        types, stubs = SIGNATURES[MODULE], self.stubs[MODULE]
        bound: dict[str, Functions] = {MODULE: Lazy(types, lambda name: (types[name], stubs[name]))}
        bound["env"] = {"call_host_function": (CALL_HOST_FUNCTION, _call_host_function)}
        return _Provided(bound, self._unstable)

    @property
    def plain(self) -> _native.PlainCalls | None:
        """The calls of preview1 that C does by itself, without the GIL, as long as the import is a stub of this State.

        None without the extension, and for handlers that are all the embedder's own.
        """
        return plain_calls(self.handlers, self._hooked) if extension is not None else None

    def _unstable(self) -> Functions:
        import wasi_preview0

        from wasihost.host import preview0

        self.faults = (GuestFault, wasi_preview0.GuestFault)
        guest = wasi_preview0.guest.Guest(self.guest.refresh, self._errno_of)
        return preview0.bind(self._functions, guest, bool(self.config.handlers or self.config.hooks))

    def _put_hooks(self, config: ModuleConfig, others: Collection[str]) -> None:
        from functools import partial

        from wasi_preview1.calls import CALLS, RESULTS

        from wasihost.host import hooking

        if any(hasattr(getattr(hook, "function", hook), "open") for hook in config.hooks):
            from wasihost.host.naming import KEEPING_NAMES, NamedHandlers, first_names

            self.handlers.names = first_names(config)
            self._functions = NamedHandlers(self.handlers, self.handlers.table, self.handlers.names)
        self.hooks, self._closing = hooking.open_hooks(config.hooks, self.handlers)
        self._functions = hooking.HookedHandlers(
            self._functions, self.hooks, CALLS, RESULTS, partial(_error, self._errno_of), others
        )
        self._hooked = self._functions.hooked()
        if self.handlers.names is not None:
            self._hooked |= frozenset(KEEPING_NAMES)

    def _count(self, stats: Stats) -> None:
        from wasihost.host.counting import CountedHandlers

        self.handlers.table.plain = None  # every call is counted, so none is done by C alone
        self._functions = CountedHandlers(self._functions, stats)

    def _call(self, module: str, name: str, *args: float) -> Any:
        try:
            return super()._call(module, name, *args)
        except EndRun as end:
            raise end.reason from None

    def close(self) -> None:
        """Close every descriptor that the guest left open, then the hooks that have `close`.

        The embedder's own streams stay open.
        """
        try:
            self.handlers.close()
        finally:
            if self._closing:
                from wasihost.host.hooking import close_hooks

                close_hooks(self._closing)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _call_host_function(_v0: int, _v1: int, _v2: int) -> int:
    return 0


def _joined_host(config: ModuleConfig) -> Host:
    from wasihost.host.own_handlers import make_host

    return make_host(config)


def _error(errno_of: Callable[[OSError], int], error: OSError) -> WasiError:
    return WasiError(Errno(errno_of(error)))


def _noting(met: set[str]) -> Callable[[OSError], int]:
    """Return `errno_of` that also records the limit of a file system that was reached."""

    def noting_errno_of(error: OSError) -> int:
        number = errno_of(error)
        if number in _OF_LIMITS and (limit := getattr(error, "limit", None)):
            met.add(limit)
        return number

    return noting_errno_of


def _no_memory() -> bytearray:
    raise ConfigError("this State has no memory: pass State(memory=...) a callable that returns the guest's memory")
