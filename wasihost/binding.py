"""Packages that `witxgen generate` wrote, served to guests: `bind` makes the functions of one imports like others.

    wasihost.run("guest.wasm", imports=wasihost.bind(dice, Dice()))

Rules of this file: it knows what every generated package has, and nothing of any one specification. Each guest gets
stubs and a view of the memory of its own; handlers are shared by guests unless a class is passed. Modules of a package
are imported here, before a guest runs.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from wasi_preview1.guest import INTERFACE, MAX_VALUES
from wasi_preview1.signatures import SIGNATURES, Signature

from wasihost.common.names import listed, shown
from wasihost.errors import ConfigError
from wasihost.imports import import_module_name

if TYPE_CHECKING:
    from wasi_preview1.guest import Stub

    from wasihost.engines.values import Item
    from wasihost.hooks import Hook
    from wasihost.imports import Bound, Caller

H = TypeVar("H")
H_contra = TypeVar("H_contra", contravariant=True)

_WASI: Final = frozenset(name for functions in SIGNATURES.values() for name in functions)
"""Names of functions that statistics have already."""


class GeneratedPackage(Protocol[H_contra]):
    """A package that `witxgen generate` wrote, whose handlers are an `H_contra`."""

    def bind(self, handlers: H_contra, guest: Any, /) -> Any:
        """The package's own `bind`."""


class StubsInC(Protocol):
    """An extension that has the stubs of a package in C."""

    @property
    def Guest(self) -> Callable[[str, object], Any]:
        """As `stubs.c` makes it: package name and `Guest` of the package in, an object with `stub` out."""


def bind(
    package: GeneratedPackage[H],
    handlers: H | type[H],
    *,
    errno_of: Callable[[OSError], int] | None = None,
    stubs: StubsInC | None = None,
) -> Binding:
    """Serve a package that `witxgen generate` wrote: its functions become imports of guests.

        wasihost.run("guest.wasm", imports=wasihost.bind(dice, Dice()))

    Handlers return the success value, or raise the package's `WasiError`, which the guest gets as its errno; an OSError
    becomes the errno of the same name, if the package has one. What else they raise ends the run and comes out of it
    unchanged. A bad pointer of the guest's ends it with a TrapError that names the function and the parameter.

    Args:
        package: The package itself, not its name.
        handlers: An instance of a subclass of `package.Handlers`, which all guests share; or the class, of which each
            guest gets an instance of its own.
        errno_of: Returns the errno for an OSError of a handler; or raises, which ends the run.
        stubs: An extension with the package's `stubs.c`, whose stubs are used instead of those in Python.

    Raises:
        ConfigError: `package` is not such a package, was written by another version of witxgen, or is of WASI itself;
            `handlers` lacks functions; `stubs` lacks the package.
    """
    generated: Any = package
    name = _check(generated)
    for module in generated.SIGNATURES:
        import_module_name(module)
    _check_handlers(generated, name, handlers)
    if stubs is not None:
        _check_stubs(stubs, name)
    return Binding(generated, handlers, errno_of or _errno_by_name(generated), stubs)


class Binding:
    """The functions of a generated package, for any number of guests. `bind` makes it."""

    def __init__(
        self, package: ModuleType, handlers: object, errno_of: Callable[[OSError], int], stubs: StubsInC | None
    ) -> None:
        self.package = package
        self._handlers = handlers
        self._errno_of = errno_of
        self._stubs = stubs

    @property
    def names(self) -> Iterable[str]:
        """The names of all functions."""
        return [name for functions in self.package.SIGNATURES.values() for name in functions]

    def __repr__(self) -> str:
        return f"<binding of {self.package.__name__} for {listed(list(self.package.SIGNATURES))}>"

    def providers(self, caller: Caller) -> Sequence[ServedModule]:
        """Return what provides the functions to one guest, for each import module."""
        package: Any = self.package
        handlers: Any = self._handlers() if isinstance(self._handlers, type) else self._handlers
        if caller.hooks:
            handlers = _hooked(package, handlers, caller.hooks, self._errno_of)
        guest = package.Guest(caller.guest.refresh, self._errno_of)
        if self._stubs is None:
            binders = package.stubs.BINDERS

            def make(module: str, name: str) -> Stub:
                made: Stub = binders[module][name](handlers, guest)
                return made
        else:
            in_c = self._stubs.Guest(package.__name__, guest)

            def make(module: str, name: str) -> Stub:
                made: Stub = in_c.stub(handlers, module, name)
                return made

        stub_of = partial(_with_causes, make, package) if caller.hooks else make
        return [ServedModule(package, module, guest, stub_of) for module in package.SIGNATURES]


class ServedModule:
    """The functions of one import module for one guest: a `Provider`."""

    def __init__(self, package: Any, module: str, guest: Any, make: Callable[[str, str], Stub]) -> None:
        self.module = module
        self.faults: tuple[type[BaseException], ...] = package.GuestFault, package.BadValue
        self._types: dict[str, tuple[Any, ...]] = package.SIGNATURES[module]
        self._guest = guest
        self._make = make

    @property
    def names(self) -> Iterable[str]:
        """The names of the functions."""
        return self._types.keys()

    def bind(self, wanted: Iterable[Item], caller: Caller) -> Bound:
        """Return type and stub of each of `wanted` that the specification has."""
        return {
            item.name: (Signature(*self._types[item.name]), self._stub(item.name, caller))
            for item in wanted
            if item.kind == "func" and item.name in self._types
        }

    def _stub(self, name: str, caller: Caller) -> Stub:
        stub, guest, source = self._make(self.module, name), self._guest, caller.guest
        if caller.stats is None:

            def call(*numbers: float) -> int | float | None:
                guest.view, guest.left = source.view, MAX_VALUES  # the memory as it is known when the guest calls
                result: int | float | None = stub(*numbers)
                return result

            return call
        calls, key = caller.stats.calls, f"{self.module}.{name}" if name in _WASI else name

        def counted(*numbers: float) -> int | float | None:
            calls[key] = calls.get(key, 0) + 1
            guest.view, guest.left = source.view, MAX_VALUES
            result: int | float | None = stub(*numbers)
            return result

        return counted


def _hooked(package: Any, handlers: object, hooks: Sequence[Hook], errno_of: Callable[[OSError], int]) -> object:
    """Return the handlers with hooks around them."""
    from wasihost.host.hooking import HookedHandlers

    def as_error(error: OSError) -> Exception:
        number = errno_of(error)  # raises the error itself where the specification has none for it
        made: Exception = package.WasiError(number)
        return made

    return HookedHandlers(handlers, hooks, package.calls.CALLS, package.calls.RESULTS, as_error, None)


def _with_causes(make: Callable[[str, str], Stub], package: Any, module: str, name: str) -> Stub:
    """Return a stub that raises an OSError of a handler as it is, where the function has no errno for it.

    Hooks see the specification's errors alone, so it was made one of these on its way through them.
    """
    stub, error_class = make(module, name), getattr(package, "WasiError", ())

    def call(*numbers: float) -> int | float | None:
        try:
            result: int | float | None = stub(*numbers)
        except error_class as error:
            if isinstance(error.__cause__, OSError):
                raise error.__cause__ from None
            raise
        return result

    return call


def _check(package: Any) -> str:
    """Return the name of a generated package. ConfigError for anything else."""
    if not isinstance(package, ModuleType):
        raise ConfigError(
            f"bind takes the package that `witxgen generate` wrote, not {shown(repr(package))}: import it first"
        )
    name = package.__name__
    if not (hasattr(package, "codecs") and hasattr(package, "GuestFault")):
        raise ConfigError(f"{shown(name)} is not a package that `witxgen generate` wrote: bind has nothing to serve")
    if not hasattr(package, "SIGNATURES"):
        raise ConfigError(f"{shown(name)} has types and no functions: bind has nothing to serve")
    if getattr(package.guest, "INTERFACE", None) != INTERFACE:
        raise ConfigError(
            f"{shown(name)} was written by another version of witxgen: write it again, by `witxgen generate` of this "
            "version"
        )
    return name


def _check_handlers(package: Any, name: str, handlers: object) -> None:
    """ConfigError for handlers that lack functions."""
    needed = sorted(package.Handlers.__abstractmethods__)
    lacking = [one for one in needed if not callable(found := getattr(handlers, one, None)) or _is_abstract(found)]
    if not lacking:
        return
    if isinstance(handlers, ModuleType) or len(lacking) == len(needed):
        raise ConfigError(
            f"{shown(repr(handlers))} has no handlers for {name}: subclass {name}.Handlers, which says what is needed"
        )
    kind = handlers if isinstance(handlers, type) else type(handlers)
    raise ConfigError(f"{kind.__qualname__} lacks {listed(lacking)}: {name}.Handlers says what is needed")


def _is_abstract(function: object) -> bool:
    return getattr(function, "__isabstractmethod__", False)


def _check_stubs(stubs: Any, name: str) -> None:
    try:
        stubs.functions(name)
    except (AttributeError, LookupError, TypeError):
        what = shown(getattr(stubs, "__name__", repr(stubs)))
        raise ConfigError(
            f"{what} has no stubs of {name} in C: compile its stubs.c into an extension, see docs/witxgen.md"
        ) from None


def _errno_by_name(package: Any) -> Callable[[OSError], int]:
    """Return what finds the errno that has the name of an OSError's; it raises the error where there is none."""
    known: dict[str, int] = {}
    types: tuple[str, ...] = package.errors.ERROR_TYPES
    if len(types) == 1:  # with several, the right one depends on the function
        known = {member.name: member for member in getattr(package.types, types[0])}

    def errno_of(error: OSError) -> int:
        name = errno.errorcode.get(error.errno or 0, "")
        found = known.get(name, known.get(name.removeprefix("E")))
        if found is None:
            raise error
        return found

    return errno_of
