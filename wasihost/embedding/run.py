"""`run`: run a guest as `subprocess.run` runs a program.

Rules of this file: `run_async` and `start` make their guests here too, so all three accept the same options.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Generic, overload

from wasihost.config import ModuleConfig
from wasihost.embedding.signatures import describe
from wasihost.errors import CalledProcessError
from wasihost.guest.instance import Instance
from wasihost.guest.module import Module, ModuleSource, as_module
from wasihost.guest.options import RunSetup

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from wasihost.embedding import signatures
    from wasihost.isolation.guest import IsolatedGuest
    from wasihost.stats import Stats
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

    `args` is the argument vector, `returncode` the exit status (0 to 2**32-1), `stdout` and `stderr` the output, or
    None where it was not captured. `files` has the changes to the files in memory: path -> content of what the guest
    created or changed; None if it got no such files. `truncated` names the captured streams to which the guest wrote
    more than was kept. `stats` is what it used.

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
        self.args: list[str] = args
        self.returncode: int = returncode
        self.stdout: Out = stdout
        self.stderr: Err = stderr
        self.files: Files = files
        self.truncated: tuple[str, ...] = truncated
        self.stats: Stats = stats  # type: ignore[assignment]  # None only where a caller makes a result by hand

    if not TYPE_CHECKING:
        __class_getitem__ = classmethod(GenericAlias)  # of any number of types

    def check_returncode(self) -> None:
        """Check the exit status.

        Raises:
            CalledProcessError: It is not 0.
        """
        if self.returncode:
            from wasihost.outcomes import Outcome, attach

            error = CalledProcessError(self.returncode, self.args)
            files: Any = self.files
            attach(
                error,
                Outcome(self.args, self.stdout, self.stderr, files=files, truncated=self.truncated, stats=self.stats),
            )
            raise error

    def _repr_html_(self) -> str:
        """A summary for notebooks."""
        from wasihost.representation import output, table

        rows = [("arguments", " ".join(map(repr, self.args))), ("exit status", str(self.returncode))]
        if self.truncated:
            rows.append(("cut off", ", ".join(self.truncated)))
        out: Any = self.stdout
        err: Any = self.stderr
        files: Any = self.files
        made = table("how the run ended", rows) + output("stdout", out) + output("stderr", err)
        for part in (files, self.stats):
            made += part._repr_html_() if part is not None else ""
        return made

    def __rich_repr__(self) -> Iterator[tuple[str, object, object]]:
        """What there is, for rich."""
        yield "args", self.args, []
        yield "returncode", self.returncode, None
        for name in ("stdout", "stderr", "files", "stats"):
            yield name, getattr(self, name), None
        yield "truncated", self.truncated, ()

    def __repr__(self) -> str:
        parts = [f"args={self.args!r}", f"returncode={self.returncode!r}"]
        parts += [f"{name}={value!r}" for name in ("stdout", "stderr") if (value := getattr(self, name)) is not None]
        return f"CompletedProcess({', '.join(parts)})"


if TYPE_CHECKING:

    @overload
    def run(
        module: ModuleSource, config: ModuleConfig | None = None, **options: Unpack[signatures.KeepNothing]
    ) -> CompletedProcess[None, None, None]: ...

    @overload
    def run(
        module: ModuleSource, config: ModuleConfig | None = None, **options: Unpack[signatures.CaptureBytes]
    ) -> CompletedProcess[bytes, bytes, None]: ...

    @overload
    def run(
        module: ModuleSource, config: ModuleConfig | None = None, **options: Unpack[signatures.CaptureText]
    ) -> CompletedProcess[str, str, None]: ...

    @overload
    def run(
        module: ModuleSource, config: ModuleConfig | None = None, **options: Unpack[signatures.PipeBytes]
    ) -> CompletedProcess[bytes, None, None]: ...

    @overload
    def run(
        module: ModuleSource, config: ModuleConfig | None = None, **options: Unpack[signatures.PipeText]
    ) -> CompletedProcess[str, None, None]: ...

    @overload
    def run(
        module: ModuleSource, config: ModuleConfig | None = None, **options: Unpack[signatures.GiveFiles]
    ) -> CompletedProcess[Any, Any, Changes]: ...

    @overload
    @signatures.with_parameters_of(signatures.OF_RUN)
    def run() -> CompletedProcess[Any, Any, Any]: ...


@describe
def run(
    module: ModuleSource, config: ModuleConfig | None = None, *, check: bool = False, **options: Any
) -> CompletedProcess[Any, Any, Any]:
    """Run a WASI command (a module that exports `_start`) to completion, as `subprocess.run` runs a program.

    Args:
        module: A path, the module's bytes or text, a file of a package, or a compiled `Module`.
        config: What the guest gets. Options override it.
        check: Raise CalledProcessError for an exit status that is not 0.
        **options: See `wasihost.Options`; `help(wasihost.run)` lists their names.

    Returns:
        The exit status, the output that was kept, changed files and what the guest used.

    Raises:
        TimeoutExpired: `timeout` seconds passed. The output so far is attached, as to every GuestError.
        CalledProcessError: With `check`, the exit status was not 0.
        TrapError: The guest trapped, or passed a bad pointer.
        LimitExceeded: The guest, or compiling its module, needed more than a limit allows.
        OutputError: With `text`, the output is not text in that encoding.
        LinkError: The module imports something that nothing provides, or exports no `_start`.
        ModuleError: The module is not valid, or not a core module.
        ConfigError: An option or the config cannot work.
        IsolationError: The process of an isolated guest failed.
        OSError: The module's file cannot be read.
        Exception: Whatever a host function or a stream object raised. An OSError of a stream object is an errno for
            the guest instead.
    """
    return finish(as_module(module, options), RunSetup(module, config, options), check)


def make_guest(module: Module, setup: RunSetup, on_made: Callable[[Endable], None] | None) -> Instance | IsolatedGuest:
    """Make the guest of one run: in this process, or in one of its own."""
    if setup.isolation is None:
        return Instance(module, setup, "_start", setup.timeout, on_made)
    from wasihost.isolation.guest import IsolatedGuest

    return IsolatedGuest(module, setup, setup.timeout, on_made)


def finish(
    module: Module, setup: RunSetup, check: bool, on_made: Callable[[Endable], None] | None = None
) -> CompletedProcess[Any, Any, Any]:
    """Make a guest and run it. `on_made` is called with it before it begins, and can end it."""
    args = [os.fsdecode(arg) for arg in setup.config.args]
    with make_guest(module, setup, on_made) as guest:
        code = guest.run_to_end(setup.timeout)
        if check and code:
            error = CalledProcessError(code, args)
            guest.attach_outcome(error)
            raise error
    try:
        return CompletedProcess(
            args, code, guest.stdout, guest.stderr, files=guest.files, truncated=guest.truncated, stats=guest.stats
        )
    except UnicodeError as reason:  # the output is not text
        guest.attach_outcome(reason)
        raise
