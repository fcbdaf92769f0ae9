"""`function`: an export of a module as a Python function, which pickles and keeps warm instances.

Rules of this file: a call does no more than `Instance.call` does, but for taking and keeping an instance. A function
pickles as the reference to its module and what it was made with; in another process all copies share their instances.
"""

from __future__ import annotations

import hashlib
import pickle
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, Self, TypeVar, overload

from wasihost.common.forking import Locked
from wasihost.common.names import shown
from wasihost.errors import ConfigError
from wasihost.guest.options import PIPE, RunSetup
from wasihost.scale.references import ModuleReference, shared_module
from wasihost.scale.signature import Signature, check_export, declared, export_of
from wasihost.scale.warm import WarmInstances, new_instance

if TYPE_CHECKING:
    import inspect

    from typing_extensions import Unpack

    from wasihost.config import ModuleConfig
    from wasihost.guest.calling import ResultAs
    from wasihost.guest.module import Module, ModuleSource
    from wasihost.guest.options import Options

P = ParamSpec("P")
R = TypeVar("R")

KEPT: Final = 32
"""How many instances of a function wait for calls in one process, at most."""
_FUNCTIONS: Final = 64
"""How many functions that came from other processes a process keeps."""


_CONVERSIONS: Final[dict[Any, Callable[[Any], Any]]] = {bool: bool}
"""What is done to a number that an export returns."""


class GuestFunction(Generic[P, R]):
    """An export of a module, to be called from any thread and any process. `function` makes it.

    It pickles: as the path and the SHA-256 of its module (or as its bytes, if it was made of bytes) and its options.
    """

    def __init__(
        self,
        module: Module,
        name: str,
        signature: Signature,
        config: ModuleConfig | None,
        options: dict[str, Any],
        result_as: ResultAs | None,
        free_result: bool | None,
        keep: int,
    ) -> None:
        self.__name__ = self.__qualname__ = name
        self.name: str = name
        self._module = module
        self._signature = signature
        self._config = config
        self._options = options
        self._how = result_as, free_result
        self._keep = keep
        self._timeout: float | None = options.get("timeout")
        self._texts = signature.texts
        self._accepted = signature.accepted
        self._convert = _CONVERSIONS.get(signature.returns)
        self._pickled: tuple[str, bytes] | None = None
        if signature.of is not None:
            self.__signature__: inspect.Signature = signature.of
        self._warm = WarmInstances(partial(new_instance, module, config, options), keep)

    def __call__(self, *arguments: P.args, **named: P.kwargs) -> R:
        """Call it. Raises what `Instance.call` raises, and TypeError for an argument of another type than declared."""
        given: tuple[Any, ...] = arguments
        accepted = self._accepted
        if named or (accepted is not None and len(given) != len(accepted)):
            given = self._signature.bound(given, named, self.name)
        if accepted is not None:
            for value, kinds in zip(given, accepted, strict=True):
                if not isinstance(value, kinds):
                    raise self._signature.misfit(given, self.name)
        warm = self._warm
        instance = warm.take()
        try:
            if self._texts:
                value = instance.call_converting(
                    self._signature.returns, self.name, given, *self._how, timeout=self._timeout
                )
            else:
                value = instance.call(self.name, *given, timeout=self._timeout)
                if self._convert is not None:
                    value = self._convert(value)
        except BaseException:
            warm.drop(instance)
            raise
        warm.keep(instance)
        return value  # type: ignore[no-any-return]  # as declared

    def warm_up(self, count: int = 1) -> Self:
        """Make instances that wait for calls, `count` of them (at most those that may wait). Returns the function."""
        made = [self._warm.take() for _ in range(min(count, self._keep))]
        for one in made:
            self._warm.keep(one)
        return self

    def close(self) -> None:
        """Close the instances that wait. The next call makes one again."""
        self._warm.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def module(self) -> Module:
        """The module, compiled."""
        return self._module

    def _key(self) -> tuple[str, bytes]:
        if self._pickled is None:
            reference = ModuleReference.of(self._module)
            content = self._module.content() if reference.path is None else None
            what = self.name, self._signature, self._config, self._options, *self._how, self._keep, self.__doc__
            try:
                data = pickle.dumps((reference, content, *what))
            except Exception as error:
                error.add_note(f"the function {shown(self.name)} pickles with its options, which have to pickle too")
                raise
            self._pickled = hashlib.sha256(data).hexdigest(), data
        return self._pickled

    def __reduce__(self) -> tuple[object, ...]:
        return _restored, self._key()

    def __dask_tokenize__(self) -> object:
        """What Dask knows it by."""
        return "wasihost.function", self._key()[0]

    def __repr__(self) -> str:
        return f"<wasihost.function {shown(self.name)} of {self._module.name!r}>"


class _Functions(Locked):
    """The functions that came from other processes, by the digests of what they are."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        super().__init__()
        self.found: OrderedDict[str, GuestFunction[..., Any]] = OrderedDict()


_functions = _Functions()


def _restored(key: str, data: bytes) -> GuestFunction[..., Any]:
    with _functions.lock:
        found = _functions.found.get(key)
        if found is None:
            reference, content, name, signature, config, options, result_as, free_result, keep, doc = pickle.loads(data)
            module = reference.resolve(content)
            found = GuestFunction(module, name, signature, config, options, result_as, free_result, keep)
            found.__doc__ = doc
            found._pickled = key, data
            _functions.found[key] = found
            while len(_functions.found) > _FUNCTIONS:
                _functions.found.popitem(last=False)
        else:
            _functions.found.move_to_end(key)
        return found


if TYPE_CHECKING:

    @overload
    def function(
        module: ModuleSource,
        name: str,
        config: ModuleConfig | None = None,
        *,
        returns: type[R],
        params: Sequence[Any] | None = None,
        result_as: ResultAs | None = None,
        free_result: bool | None = None,
        keep: int = KEPT,
        **options: Unpack[Options],
    ) -> GuestFunction[..., R]: ...

    @overload
    def function(
        module: ModuleSource,
        name: str,
        config: ModuleConfig | None = None,
        *,
        returns: Any = None,
        params: Sequence[Any] | None = None,
        result_as: ResultAs | None = None,
        free_result: bool | None = None,
        keep: int = KEPT,
        **options: Unpack[Options],
    ) -> GuestFunction[..., Any]: ...

    @overload
    def function(
        module: ModuleSource,
        name: None = None,
        config: ModuleConfig | None = None,
        *,
        result_as: ResultAs | None = None,
        free_result: bool | None = None,
        keep: int = KEPT,
        **options: Unpack[Options],
    ) -> Callable[[Callable[P, R]], GuestFunction[P, R]]: ...


def function(
    module: ModuleSource,
    name: str | None = None,
    config: ModuleConfig | None = None,
    *,
    params: Sequence[Any] | None = None,
    returns: Any = None,
    result_as: ResultAs | None = None,
    free_result: bool | None = None,
    keep: int = KEPT,
    **options: Any,
) -> Any:
    """Return an export of a module as a function that any thread and any process can call.

    Its instances stay: a call takes one that waits, or makes one, and lets it wait again. So what the guest keeps in
    memory is there at a later call of the same instance, and any call may get a new one. An instance whose call raised
    is closed. Without `name` this is a decorator: `name`, `params` and `returns` are those of the decorated function,
    which is never called.

        @wasihost.function("redactor.wasm")
        def redact(text: str, mask: str = "*") -> str: ...

    Args:
        module: As for `run`. It is compiled now.
        name: The export.
        config: As for `run`.
        params: The type of each argument: int, float, bool, str or bytes. Without it, any that fit the export.
        returns: What it returns: int, Unsigned, float, bool, str or bytes. Without it, the export's numbers.
        result_as: How the export returns text or bytes; see `Instance.exports`.
        free_result: As for a call of an export.
        keep: How many instances wait for calls, at most, in each process.
        **options: Options of all instances; see `wasihost.Options`. `timeout` holds for each call. `fuel` is for the
            life of an instance.

    Returns:
        The function, a `GuestFunction`.

    Raises:
        ModuleError: The module is not valid.
        LinkError: It exports no such function, or one that cannot have these types.
        ConfigError: An option or a type cannot work.
    """
    if options.get("capture_output") or PIPE in (options.get("stdout"), options.get("stderr")):
        raise ConfigError("a function returns no output: leave out capture_output, or pass stdout a function")
    if options.get("isolation") is not None:
        raise ConfigError("isolation is for run, run_async and start: an instance is in this process")
    if options.get("profile") is not None:
        raise ConfigError("a profile is that of one instance, and a function may have many: profile an instance")
    if not isinstance(keep, int) or isinstance(keep, bool) or keep < 0:
        raise ConfigError(f"keep cannot be {keep!r}: pass a whole number, 0 or more")
    RunSetup(module, config, options)  # ConfigError now, not at the first call
    compiled = shared_module(module, options)

    def made(name: str, signature: Signature, doc: str | None) -> GuestFunction[..., Any]:
        check_export(export_of(compiled.exports, name, compiled.name), signature, result_as)
        found: GuestFunction[..., Any] = GuestFunction(
            compiled, name, signature, config, options, result_as, free_result, keep
        )
        found.__doc__ = doc
        return found

    if name is not None:
        return made(name, declared(params, returns, None), None)

    def decorate(python: Callable[..., Any]) -> GuestFunction[..., Any]:
        return made(python.__name__, declared(None, None, python), python.__doc__)

    return decorate
