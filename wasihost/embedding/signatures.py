"""What `run`, `run_async`, `start` and `instantiate` can be called with, for `help()` and for type checkers.

Rules of this file: at run time `guest.options.Options` alone names the options that they share, and `describe` imports
nothing. The rest is read by type checkers only: each typed dictionary holds the options that lead to one type of
result, and a test holds `EveryOption` and `Options` together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from inspect import Signature
    from typing import Never, Required

    from typing_extensions import Buffer

    from wasihost.cassettes import Cassette
    from wasihost.config import ModuleConfig, Stdin, Stdout
    from wasihost.config.features import FeatureChoice
    from wasihost.config.handling import HandlerClass
    from wasihost.engines.values import OnCompile
    from wasihost.guest.module import ModuleSource
    from wasihost.guest.options import CommonOptions
    from wasihost.hooks import Hook
    from wasihost.imports import ImportsOption
    from wasihost.policy import Learner, Policy
    from wasihost.profile import Profile
    from wasihost.trace import Trace
    from wasihost.trace.target import Target
    from wasihost.vfs import Lazy
    from wasihost.vfs.mounting import VirtualSource

F = TypeVar("F", bound=Callable[..., Any])

DEFAULTS: Final[Mapping[str, object]] = {"cache": True, "capture_output": False, "stats": False}
"""The default values of options; None for every other option."""


def describe(function: F) -> F:
    """Decorator for a function with `**options`: `inspect.signature` and `help` name every option.

    `inspect` follows `__wrapped__`, so the signature is made when it is first asked for: `inspect` takes longer to
    import than a small guest to run.
    """
    function.__wrapped__ = _Described(function)  # type: ignore[attr-defined]  # functions have a `__dict__`
    return function


class _Described:
    """What `inspect` finds behind a function: its signature with the options, and the function itself."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function: Any = function

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """The function without its `__wrapped__`, for whoever looks for its source."""
        from types import FunctionType

        own = self._function
        bare = FunctionType(own.__code__, own.__globals__, own.__name__, own.__defaults__, own.__closure__)
        for name in ("__annotations__", "__doc__", "__kwdefaults__", "__module__", "__qualname__"):
            setattr(bare, name, getattr(own, name))
        return bare

    @property
    def __signature__(self) -> Signature:
        import inspect

        from wasihost.guest.options import Options

        signature = inspect.signature(self.__wrapped__)
        own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        options = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=DEFAULTS.get(name),
                annotation=getattr(annotation, "__forward_arg__", annotation),
            )
            for name, annotation in Options.__annotations__.items()
        ]
        return signature.replace(parameters=own + options)


if TYPE_CHECKING:
    P = ParamSpec("P")
    R = TypeVar("R")
    T_co = TypeVar("T_co", covariant=True)

    class NoSuchOption(Protocol[T_co]):
        """The type of an option that does not exist: nothing is a `NoSuchOption[Never]`."""

        def __sizeof__(self) -> T_co: ...  # type: ignore[override]  # so that no object fits

    Check = TypeVar("Check", contravariant=True)
    Bufsize = TypeVar("Bufsize", contravariant=True)

    class EveryOption(Protocol[Check, Bufsize]):
        """Every option, and a place for what is none.

        Where no overload takes the names of a call, type checkers list all of them. With an overload that takes any
        name they report the one argument that is wrong.
        """

        def __call__(  # noqa: D102  # what it is says the class
            self,
            module: ModuleSource,
            config: ModuleConfig | None = None,
            *,
            check: Check = ...,
            bufsize: Bufsize = ...,
            args: Sequence[str | bytes] | None = ...,
            env: Mapping[str, str] | None = ...,
            dirs: Mapping[str, str | os.PathLike[str] | VirtualSource] | None = ...,
            ro_dirs: Mapping[str, str | os.PathLike[str] | VirtualSource] | None = ...,
            imports: ImportsOption | None = ...,
            handlers: HandlerClass | Sequence[HandlerClass] | None = ...,
            hooks: Hook | Sequence[Hook] | None = ...,
            trace: Trace | Target | None = ...,
            record: Cassette | str | os.PathLike[str] | None = ...,
            replay: Cassette | str | os.PathLike[str] | None = ...,
            cassette: Cassette | str | os.PathLike[str] | None = ...,
            policy: Policy | str | os.PathLike[str] | None = ...,
            learn: Learner | str | os.PathLike[str] | None = ...,
            malloc: str | None = ...,
            free: str | None = ...,
            max_memory: int | str | None = ...,
            max_stack: int | str | None = ...,
            compile_timeout: float | None = ...,
            compile_memory: int | str | None = ...,
            fuel: int | None = ...,
            max_output: int | str | None = ...,
            on_compile: OnCompile | None = ...,
            features: FeatureChoice | None = ...,
            engine: str | None = ...,
            cache: bool = ...,
            stats: bool = ...,
            profile: str | os.PathLike[str] | Profile | None = ...,
            isolation: Literal["process", "strict"] | None = ...,
            timeout: float | None = ...,
            input: Buffer | str | None = ...,
            stdin: Stdin | int | None = ...,
            stdout: Stdout | int | None = ...,
            stderr: Stdout | int | None = ...,
            capture_output: bool = ...,
            text: bool | None = ...,
            encoding: str | None = ...,
            errors: str | None = ...,
            files: Mapping[str, bytes | Lazy] | None = ...,
            fs: VirtualSource | None = ...,
            **unknown: NoSuchOption[Never],
        ) -> None: ...

    OF_RUN: EveryOption[bool, NoSuchOption[Never]]
    OF_START: EveryOption[NoSuchOption[Never], int]

    def with_parameters_of(shape: Callable[P, object]) -> Callable[[Callable[..., R]], Callable[P, R]]:
        """Decorator: a function with the parameters of another one."""

    class _RunOptions(CommonOptions, total=False):
        input: Buffer | str | None
        stdin: Stdin | int | None
        check: bool

    class _RunWithoutFiles(_RunOptions, total=False):
        files: None
        fs: None

    class KeepNothing(_RunWithoutFiles, total=False):
        """Neither output is kept."""

        text: bool | None
        encoding: str | None
        errors: str | None
        capture_output: Literal[False]
        stdout: Stdout | Literal[-3] | None
        stderr: Stdout | Literal[-2, -3] | None

    class CaptureBytes(_RunWithoutFiles, total=False):
        """Both outputs are kept, as bytes."""

        text: Literal[False] | None
        encoding: None
        errors: None
        capture_output: Required[Literal[True]]

    class CaptureText(_RunWithoutFiles, total=False):
        """Both outputs are kept, as str."""

        text: Required[Literal[True]]
        encoding: str | None
        errors: str | None
        capture_output: Required[Literal[True]]

    class PipeBytes(_RunWithoutFiles, total=False):
        """Standard output is kept, as bytes."""

        text: Literal[False] | None
        encoding: None
        errors: None
        capture_output: Literal[False]
        stdout: Required[Literal[-1]]
        stderr: Stdout | Literal[-2, -3] | None

    class PipeText(_RunWithoutFiles, total=False):
        """Standard output is kept, as str."""

        text: Required[Literal[True]]
        encoding: str | None
        errors: str | None
        capture_output: Literal[False]
        stdout: Required[Literal[-1]]
        stderr: Stdout | Literal[-2, -3] | None

    class GiveFiles(_RunOptions, total=False):
        """The guest gets files in memory, whose changes are kept."""

        text: bool | None
        encoding: str | None
        errors: str | None
        stdout: Stdout | int | None
        stderr: Stdout | int | None
        capture_output: bool
        files: Required[Mapping[str, bytes | Lazy]]
        fs: None

    class _StartOptions(CommonOptions, total=False):
        bufsize: int
        input: None
        stdin: None
        stdout: None
        stderr: Stdout | None
        capture_output: Literal[False]
        files: Mapping[str, bytes | Lazy] | None
        fs: VirtualSource | None

    class StartBytes(_StartOptions, total=False):
        """Standard input and output are pipes of bytes."""

        text: Literal[False] | None
        encoding: None
        errors: None

    class StartText(_StartOptions, total=False):
        """Standard input and output are pipes of str."""

        text: Required[Literal[True]]
        encoding: str | None
        errors: str | None
