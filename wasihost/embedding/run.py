"""`run`: a guest as `subprocess.run` would have it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Generic, Literal, overload

from wasihost.config import ModuleConfig
from wasihost.errors import CalledProcessError
from wasihost.guest.instance import Instance
from wasihost.guest.module import Module, ModuleSource, as_module
from wasihost.guest.options import CommonOptions, Options, RunSetup

if TYPE_CHECKING:
    from typing_extensions import Buffer, Unpack

    from wasihost.config import Stdin, Stdout
    from wasihost.isolation.guest import IsolatedGuest
    from wasihost.stats import Stats
    from wasihost.vfs import Lazy
    from wasihost.vfs.changes import Changes
    from wasihost.waiting.cancel_scope import Endable

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Out = TypeVar("Out", default=Any)
    Err = TypeVar("Err", default=Any)
    Files = TypeVar("Files", default=Any)
else:  # where `typing` has no defaults, nobody needs them
    from typing import TypeVar

    Out, Err, Files = map(TypeVar, ("Out", "Err", "Files"))


class CompletedProcess(Generic[Out, Err, Files]):
    """How a run ended.

    `args` is the argument vector, `returncode` the guest's exit status (0 to 2**32-1), `stdout` and `stderr` what it
    wrote, or None where that was not captured. `files` is what became of the files in memory that it was given (None if
    it was given none): path -> content of what it made or changed. `truncated` names captured streams that it wrote
    more to than is kept, `stats` is what it used.

    To a type checker `CompletedProcess[bytes]` has a `stdout` of that type; the types of `stderr` and `files` may
    follow. Those of a result of `run` are exact where both outputs, standard output, or nothing is kept, and Any where
    that cannot be told from the types of the arguments.
    """

    __slots__ = ("args", "files", "returncode", "stats", "stderr", "stdout", "truncated")

    def __init__(
        self,
        args: list[str],
        returncode: int,
        stdout: Out = None,  # type: ignore[assignment]  # then it is None
        stderr: Err = None,  # type: ignore[assignment]  # the same
        *,
        files: Files = None,  # type: ignore[assignment]  # the same
        truncated: tuple[str, ...] = (),
        stats: Stats | None = None,
    ) -> None:
        self.args = args
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr
        self.files = files
        self.truncated = truncated
        self.stats: Stats = stats  # type: ignore[assignment]  # None only where a caller makes a result by hand

    if not TYPE_CHECKING:
        __class_getitem__ = classmethod(GenericAlias)  # of any number of types

    def check_returncode(self) -> None:
        """CalledProcessError unless the status is 0."""
        if self.returncode:
            from wasihost.outcomes import Outcome, attach

            error = CalledProcessError(self.returncode, self.args)
            files: Any = self.files
            attach(error, Outcome(self.args, self.stdout, self.stderr, files=files, truncated=self.truncated,
                                stats=self.stats))  # fmt: skip
            raise error

    def __repr__(self) -> str:
        parts = [f"args={self.args!r}", f"returncode={self.returncode!r}"]
        parts += [f"{name}={value!r}" for name in ("stdout", "stderr") if (value := getattr(self, name)) is not None]
        return f"CompletedProcess({', '.join(parts)})"


@overload
def run(
    module: ModuleSource,
    config: ModuleConfig | None = None,
    *,
    timeout: float | None = None,
    check: bool = False,
    input: Buffer | str | None = None,
    stdin: Stdin | int | None = None,
    text: bool | None = None,
    encoding: str | None = None,
    errors: str | None = None,
    capture_output: Literal[False] = False,
    stdout: Stdout | Literal[-3] | None = None,
    stderr: Stdout | Literal[-2, -3] | None = None,
    files: None = None,
    fs: None = None,
    **options: Unpack[CommonOptions],
) -> CompletedProcess[None, None, None]: ...
@overload
def run(
    module: ModuleSource,
    config: ModuleConfig | None = None,
    *,
    timeout: float | None = None,
    check: bool = False,
    input: Buffer | str | None = None,
    stdin: Stdin | int | None = None,
    text: Literal[False] | None = None,
    encoding: None = None,
    errors: None = None,
    capture_output: Literal[True],
    files: None = None,
    fs: None = None,
    **options: Unpack[CommonOptions],
) -> CompletedProcess[bytes, bytes, None]: ...
@overload
def run(
    module: ModuleSource,
    config: ModuleConfig | None = None,
    *,
    timeout: float | None = None,
    check: bool = False,
    input: Buffer | str | None = None,
    stdin: Stdin | int | None = None,
    text: Literal[True],
    encoding: str | None = None,
    errors: str | None = None,
    capture_output: Literal[True],
    files: None = None,
    fs: None = None,
    **options: Unpack[CommonOptions],
) -> CompletedProcess[str, str, None]: ...
@overload
def run(
    module: ModuleSource,
    config: ModuleConfig | None = None,
    *,
    timeout: float | None = None,
    check: bool = False,
    input: Buffer | str | None = None,
    stdin: Stdin | int | None = None,
    text: Literal[False] | None = None,
    encoding: None = None,
    errors: None = None,
    capture_output: Literal[False] = False,
    stdout: Literal[-1],
    stderr: Stdout | Literal[-2, -3] | None = None,
    files: None = None,
    fs: None = None,
    **options: Unpack[CommonOptions],
) -> CompletedProcess[bytes, None, None]: ...
@overload
def run(
    module: ModuleSource,
    config: ModuleConfig | None = None,
    *,
    timeout: float | None = None,
    check: bool = False,
    input: Buffer | str | None = None,
    stdin: Stdin | int | None = None,
    text: Literal[True],
    encoding: str | None = None,
    errors: str | None = None,
    capture_output: Literal[False] = False,
    stdout: Literal[-1],
    stderr: Stdout | Literal[-2, -3] | None = None,
    files: None = None,
    fs: None = None,
    **options: Unpack[CommonOptions],
) -> CompletedProcess[str, None, None]: ...
@overload
def run(
    module: ModuleSource,
    config: ModuleConfig | None = None,
    *,
    timeout: float | None = None,
    check: bool = False,
    text: bool | None = None,
    encoding: str | None = None,
    errors: str | None = None,
    input: Buffer | str | None = None,
    stdin: Stdin | int | None = None,
    stdout: Stdout | int | None = None,
    stderr: Stdout | int | None = None,
    capture_output: bool = False,
    files: Mapping[str, bytes | Lazy],
    fs: None = None,
    **options: Unpack[CommonOptions],
) -> CompletedProcess[Any, Any, Changes]: ...
@overload
def run(
    module: ModuleSource,
    config: ModuleConfig | None = None,
    *,
    timeout: float | None = None,
    check: bool = False,
    text: bool | None = None,
    encoding: str | None = None,
    **options: Unpack[Options],
) -> CompletedProcess[Any, Any, Any]: ...


def run(
    module: ModuleSource,
    config: ModuleConfig | None = None,
    *,
    text: bool | None = None,
    encoding: str | None = None,
    timeout: float | None = None,
    check: bool = False,
    **options: Unpack[Options],
) -> CompletedProcess[Any, Any, Any]:
    """Run a command module (one with `_start`) to its end.

    `module` is a path, the module's bytes or text, a file of a package, or a compiled `Module`. `timeout` is in seconds
    from the moment that the module is compiled; it ends a guest that computes, sleeps or waits. `check` raises
    CalledProcessError for a status that is not 0. `text` and `encoding` ask for str instead of bytes. All the other
    options are those of `wasihost.Options`: `help(wasihost.Options)`.

    Raises TimeoutExpired, CalledProcessError, TrapError, LimitExceeded, LinkError, ModuleError, ConfigError, OSError
    for a module file that cannot be read, KeyboardInterrupt, and whatever an object given as a stream raised, but for
    an OSError: that becomes the errno the guest gets.
    """
    setup = RunSetup(module, config, options, text, encoding, timeout)
    return finish(as_module(module, options), setup, timeout, check)


def make_guest(
    module: Module, setup: RunSetup, timeout: float | None, made: Callable[[Endable], None] | None
) -> Instance | IsolatedGuest:
    """The guest of one run: here, or in a process of its own."""
    if setup.isolation is None:
        return Instance(module, setup, "_start", timeout, made)
    from wasihost.isolation.guest import IsolatedGuest

    return IsolatedGuest(module, setup, timeout, made)


def finish(
    module: Module,
    setup: RunSetup,
    timeout: float | None,
    check: bool,
    made: Callable[[Endable], None] | None = None,
) -> CompletedProcess[Any, Any, Any]:
    """Run what is prepared; `made`, if given, is called with the instance before it begins, and can end it."""
    args = [os.fsdecode(arg) for arg in setup.config.args]
    with make_guest(module, setup, timeout, made) as guest:
        code = guest.run_to_end(timeout)
        if check and code:
            error = CalledProcessError(code, args)
            guest.attach_outcome(error)
            raise error
    try:
        return CompletedProcess(
            args, code, guest.stdout, guest.stderr, files=guest.files, truncated=guest.truncated, stats=guest.stats
        )
    except UnicodeError as reason:  # the output is no text
        guest.attach_outcome(reason)
        raise
