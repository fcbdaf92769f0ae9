"""`Module`: a WebAssembly module, compiled once and shared by any number of runs, threads and configs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self, TypeAlias, runtime_checkable

from wasihost.common.forking import renew_in_child
from wasihost.common.unpatched import threading
from wasihost.config.limits import DEFAULT_LIMITS, STACK, Limits, changed
from wasihost.engines import engine
from wasihost.engines.values import CompileBounds
from wasihost.errors import ConfigError

if TYPE_CHECKING:
    from wasihost.config import ModuleConfig
    from wasihost.config.features import FeatureChoice
    from wasihost.engines.base import CompiledModule, Engine
    from wasihost.engines.values import CompileMode, Item, OnCompile
    from wasihost.scale.pools import Pool


@runtime_checkable
class Readable(Protocol):
    """A file of a package or an archive: an `importlib.resources` Traversable, a `zipfile.Path`."""

    @property
    def name(self) -> str:
        """The last part of its path."""

    def read_bytes(self) -> bytes:
        """Its content."""


ModuleSource: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | Readable | Module"
"""A path; a module in binary or text form; the text itself, if it begins with `(`; or a module compiled before."""


_BYTES = (bytes, bytearray, memoryview)


class Recipe(NamedTuple):
    """What a Module was made of: its source, and how it is to be compiled."""

    source: str | bytes | os.PathLike[str]
    cache: bool
    name: str
    compile_timeout: float | None
    compile_memory: int | None
    features: str
    engine: str

    def module(self, *, interruptible: bool | None = None) -> Module:
        """The module, compiled."""
        made = Module(
            self.source,
            cache=self.cache,
            interruptible=interruptible,
            compile_timeout=self.compile_timeout,
            compile_memory=self.compile_memory,
            features=self.features,
            engine=self.engine,
        )
        made.name = self.name
        return made


class Module:
    """A compiled module.

    `source` is a path, the module's bytes, its text (a str that begins with `(`), or a file of a package. It is
    validated and compiled now: `interruptible` for every run, also those with a timeout and those that Ctrl-C can end;
    or, with `interruptible=False`, for runs in other threads without a timeout, where guests that only compute are
    faster. If nothing is said, it is what a run on this thread needs. A run that the code does not serve has it
    compiled once more, so does the first one with `fuel`.

    `on_compile` is called with a `Compilation` when compiling begins and when it is over; the logger "wasihost" has the
    same as INFO. What `on_compile` raises comes out. `cache=False` leaves the compiled modules on disk alone.
    `compile_timeout`, in seconds, and `compile_memory`, in bytes, limit what compiling may take: LimitExceeded.

    `features` switches features of WebAssembly, as `{"simd": False}`, "-simd" or "wasm-2.0" do: a module that needs
    one which is off is a ModuleError that names it. What is not named is as the engine has it. A run with `features` of
    its own has those, and the module is compiled once more for it.

    `engine` is the name of the engine that compiles and runs it: "wasmtime", which is the default, or "pywasm".

    Raises ModuleError for what cannot be used, OSError for a file that cannot be read, ConfigError where there is no
    engine. A Module may be used from many threads at once; it pickles as its source, without `on_compile`.
    """

    def __init__(
        self,
        source: ModuleSource,
        *,
        cache: bool = True,
        interruptible: bool | None = None,
        on_compile: OnCompile | None = None,
        compile_timeout: float | None = None,
        compile_memory: int | str | None = None,
        features: FeatureChoice | None = None,
        engine: str | None = None,
    ) -> None:
        self._take(source, cache, on_compile, engine)
        if features is not None:
            self._features = self.engine.canonical_features(features)
        self._limits: Limits = changed(
            DEFAULT_LIMITS, {"compile_timeout": compile_timeout, "compile_memory": compile_memory}
        )
        self.compiled(interruptible=self.engine.signals_may_interrupt() if interruptible is None else interruptible)

    @classmethod
    def for_one_run(
        cls, source: ModuleSource, *, cache: bool, on_compile: OnCompile | None, engine: str | None = None
    ) -> Self:
        """A module that is compiled when its run says how."""
        module = cls.__new__(cls)
        module._take(source, cache, on_compile, engine)
        return module

    def _take(self, source: ModuleSource, cache: bool, on_compile: OnCompile | None, engine_name: str | None) -> None:
        self._features = ""
        if isinstance(source, Module):
            self._features = source._features
            engine_name = engine_name or source.engine.NAME
            source = source._source
        self.name: str = name_of(source)
        self.engine: Engine = engine(engine_name)
        self._others: dict[str, Module] = {}
        if isinstance(source, str) and source.lstrip()[:1] == "(":
            source = source.encode()
        elif isinstance(source, _BYTES):
            source = bytes(source)
        elif not isinstance(source, (str, os.PathLike)):  # as `name_of` has seen, a file of a package
            source = source.read_bytes()
        self._source: str | bytes | os.PathLike[str] = source
        self._cache = cache
        self._on_compile = on_compile
        self._compiled: dict[CompileMode, CompiledModule] = {}
        self._indexed: Module | None = None
        self._limits = DEFAULT_LIMITS
        self.renew_locks()
        renew_in_child(self)

    @property
    def compiles_later(self) -> bool:
        """True if it was made for one run, which compiles it with its own limits."""
        return self._limits is DEFAULT_LIMITS

    def renew_locks(self) -> None:
        """In a forked child too, while whose parent another thread may have been compiling."""
        self._lock = threading.RLock()  # `on_compile` may look at the module

    def compiled(
        self,
        *,
        interruptible: bool = False,
        fuel: bool = False,
        stack: int | None = STACK,
        on_compile: OnCompile | None = None,
        limits: Limits | None = None,
        features: str | None = None,
    ) -> CompiledModule:
        """The engine's module for this way of running; what can be interrupted serves those that need not, too.

        `features` are as `canonical_features` returns them; None for the module's own.
        """
        if features is None:
            features = self._features
        engine = self.engine
        mode = engine.compile_mode(interruptible, fuel, stack, features)
        with self._lock:
            found = self._compiled.get(mode)
            if found is None:
                serves = engine.compile_mode(True, fuel, stack, features)
                found = self._compiled.get(serves)
            if found is None:
                if any(one._replace(stack=serves.stack) == serves for one in self._compiled):  # which is on disk, then
                    mode = serves
                found = engine.load(
                    self._source,
                    cache=self._cache,
                    mode=mode,
                    on_compile=on_compile or self._on_compile,
                    bounds=CompileBounds.of(limits or self._limits),
                )
                self._compiled[mode] = found
            return found

    def on(self, name: str | None) -> Module:
        """The same module for the engine of this name; None for its own."""
        if name is None or name == self.engine.NAME:
            return self
        with self._lock:
            if name not in self._others:
                made = Module.for_one_run(self._source, cache=self._cache, on_compile=self._on_compile, engine=name)
                made.name = self.name
                self._others[name] = made
            return self._others[name]

    def with_indices(self) -> tuple[Module, bytes]:
        """The same module with indices as names of functions, for a profile, and its code in the binary format."""
        from wasihost.binary.function_names import with_indices

        code = self.binary()
        with self._lock:
            if self._indexed is None:
                self._indexed = made = Module.for_one_run(
                    with_indices(code), cache=self._cache, on_compile=self._on_compile, engine=self.engine.NAME
                )
                made.name, made._features, made._limits = self.name, self._features, self._limits
            return self._indexed, code

    def pool(
        self,
        size: int,
        config: ModuleConfig | None = None,
        *,
        init: Callable[[Any], object] | str | None = None,
        **options: Any,
    ) -> Pool:
        """Make a pool of instances that are ready, each for one use.

        One instance is initialized: by `_initialize`, if the module exports that, and by `init`, the name of an export
        or a function that is called with the instance. All instances of the pool begin with a copy of its memory and
        its globals. Without either they are new instances.

        `size` is how many instances wait. `config` and `options` are those of `instantiate`. Raises what that raises;
        ModuleError for a module with state that cannot be copied, ConfigError if `init` left a descriptor open.
        """
        from wasihost.scale.pools import Pool

        return Pool(self, size, config, init, options)

    def _any(self) -> CompiledModule:
        with self._lock:
            return next(iter(self._compiled.values()))

    @property
    def code(self) -> bytes | None:
        """Its source, if that was bytes or text."""
        return self._source if isinstance(self._source, bytes) else None

    def content(self) -> bytes:
        """Its source; a file is read. Raises OSError."""
        if isinstance(self._source, bytes):
            return self._source
        with open(self._source, "rb") as file:
            return file.read()

    def binary(self) -> bytes:
        """Its source in the binary format. Raises OSError, ModuleError."""
        content = self.content()
        return content if content.startswith(b"\0asm") else self.engine.assemble(content, self.name)

    @property
    def imports(self) -> tuple[Item, ...]:
        """What the module wants from its host: (module, name, kind, params, results) each."""
        return self._any().imports

    @property
    def exports(self) -> dict[str, Item]:
        """Its exports, by name."""
        return self._any().exports

    @property
    def recipe(self) -> Recipe:
        """What another process makes the same module of."""
        limits = self._limits
        bounds = limits.compile_timeout, limits.compile_memory
        return Recipe(self._source, self._cache, self.name, *bounds, self._features, self.engine.NAME)

    def __reduce__(self) -> tuple[object, ...]:
        return _unpickled, tuple(self.recipe)

    def __repr__(self) -> str:
        return f"<wasihost.Module {self.name!r}>"


def _unpickled(*fields: Any) -> Module:
    return Recipe(*fields).module()


def canonical_features(features: FeatureChoice, engine_name: str | None = None) -> str:
    """What of the choice differs from what the engine does by itself. ConfigError for what cannot be."""
    return engine(engine_name).canonical_features(features)


def as_module(module: ModuleSource, options: Mapping[str, Any]) -> Module:
    """The module itself, or one made of its source, which its first run compiles."""
    name = options.get("engine")
    if isinstance(module, Module):
        return module.on(name)
    return Module.for_one_run(
        module, cache=options.get("cache", True), on_compile=options.get("on_compile"), engine=name
    )


def engine_for(module: ModuleSource, options: Mapping[str, Any]) -> Engine:
    """The engine that runs a module: that of the options, or the module's own, or the default one.

    ConfigError for an unknown name, and for an option that this engine does not have.
    """
    name = options.get("engine")
    found = module.engine if name is None and isinstance(module, Module) else engine(name)
    for option, why in found.LACKS.items():
        if options.get(option) is not None:
            raise ConfigError(f"{option}={options[option]!r:.60}: the engine {found.NAME} does not have that: {why}")
    return found


def name_of(source: ModuleSource) -> str:
    """Return a guest's name where the caller passes none: the base name of the file."""
    if isinstance(source, Module):
        return source.name
    if isinstance(source, _BYTES) or (isinstance(source, str) and source.lstrip()[:1] == "("):
        return "guest"
    if isinstance(source, (str, os.PathLike)):
        return os.path.basename(os.fspath(source))
    if not hasattr(source, "read_bytes"):
        from wasihost.config.mistakes import not_a_module

        raise not_a_module(source)
    return source.name
