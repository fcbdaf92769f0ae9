"""`run`: a guest as `subprocess.run` would have it.

Rules of this file: no engine is imported before a run asks for one, so that `import wasihost` stays quick.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from wasihost.config import Inherit, ModuleConfig, Stdin, Stdout
from wasihost.errors import CalledProcessError, ConfigError, ExitError

if TYPE_CHECKING:
    from wasihost.engines.wasmtime.module import Module

PIPE: Final = -1
"""As stdout or stderr of `run`: keep what the guest writes."""
STDOUT: Final = -2
"""As stderr of `run`: where stdout goes."""
DEVNULL: Final = -3
"""As a stream of `run`: empty, or discarded."""

ModuleSource: TypeAlias = "str | os.PathLike[str] | bytes | Module"


class CompletedProcess:
    """How a run ended.

    `args` is the argument vector, `returncode` the guest's exit status (0 to 2**32-1), `stdout` and `stderr` the bytes
    it wrote, or None where they were not captured.
    """

    __slots__ = ("args", "returncode", "stderr", "stdout")

    def __init__(self, args: list[str], returncode: int, stdout: bytes | None, stderr: bytes | None) -> None:
        self.args = args
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr

    def check_returncode(self) -> None:
        """CalledProcessError unless the status is 0."""
        if self.returncode:
            raise CalledProcessError(self.returncode, self.args, self.stdout, self.stderr)

    def __repr__(self) -> str:
        parts = [f"args={self.args!r}", f"returncode={self.returncode!r}"]
        parts += [f"{name}={value!r}" for name in ("stdout", "stderr") if (value := getattr(self, name)) is not None]
        return f"CompletedProcess({', '.join(parts)})"


def run(
    module: ModuleSource,
    config: ModuleConfig | None = None,
    *,
    args: Sequence[str | bytes] | None = None,
    input: bytes | None = None,
    stdin: Stdin | int | None = None,
    stdout: Stdout | int | None = None,
    stderr: Stdout | int | None = None,
    capture_output: bool = False,
    env: Mapping[str, str] | None = None,
    check: bool = False,
    cache: bool = True,
) -> CompletedProcess:
    """Run a command module (one with `_start`) to its end.

    `module` is a path, the module's bytes (binary or text format), or a compiled Module. `args` follow `argv[0]`, which
    is the config's name or the file's base name; without `args` the config's whole argument vector is used. `env`
    replaces the config's environment. `input` is what the guest reads; `capture_output` keeps what it writes. What is
    given here wins over the config. `cache=False` compiles without looking at compiled modules kept on disk.

    Signal handlers of Python, and so Ctrl-C, run when the guest next calls the host.

    Raises CalledProcessError (`check` and a status that is not 0), TrapError, LinkError, ModuleError, ConfigError,
    OSError for a module file that cannot be read, and whatever an object given as a stream raised, but for an OSError:
    that becomes the errno the guest gets.
    """
    config = config if config is not None else ModuleConfig()
    if input is not None:
        if stdin is not None:
            raise ConfigError("give either input or stdin, not both")
        stdin = input
    if capture_output:
        if stdout is not None or stderr is not None:
            raise ConfigError("capture_output keeps both outputs: leave out stdout and stderr")
        stdout = stderr = PIPE
    config = _with_arguments(config, module, args, env)
    config, kept_out, kept_err = _with_streams(config, stdin, stdout, stderr)
    code = execute(module, config, cache=cache)
    done = CompletedProcess([os.fsdecode(arg) for arg in config.args], code,
                            bytes(kept_out) if kept_out is not None else None,
                            bytes(kept_err) if kept_err is not None else None)  # fmt: skip
    if check:
        done.check_returncode()
    return done


def execute(module: ModuleSource, config: ModuleConfig, *, cache: bool = True) -> int:
    """Run a command module exactly as `config` says; its exit status. Raises as `run` does."""
    from wasihost.engines.wasmtime.module import Module, load
    from wasihost.engines.wasmtime.run import execute as enter
    from wasihost.state import State

    compiled = module if isinstance(module, Module) else load(module, cache=cache)
    with State(config=config) as state:
        try:
            enter(compiled, state)
        except ExitError as end:
            return end.code
    return 0


def _with_arguments(
    config: ModuleConfig, module: ModuleSource, args: Sequence[str | bytes] | None, env: Mapping[str, str] | None
) -> ModuleConfig:
    if isinstance(args, (str, bytes)):
        raise ConfigError(f"args is a sequence of arguments, not one string: args=[{args!r}]")
    if args is not None or not config.args:
        name = config.name or (
            os.path.basename(os.fspath(module)) if isinstance(module, (str, os.PathLike)) else "guest"
        )
        config = config.with_args(name, *(args or ()))
    if env is not None:
        config = config.without_env()
        for key, value in env.items():
            config = config.with_env(key, value)
    return config


def _with_streams(
    config: ModuleConfig, stdin: Stdin | int | None, stdout: Stdout | int | None, stderr: Stdout | int | None
) -> tuple[ModuleConfig, bytearray | None, bytearray | None]:
    """The config with the streams given, and where the captured ones go."""
    if isinstance(stdin, int):
        if stdin != DEVNULL:
            raise ConfigError(f"stdin cannot be {stdin}: give input=b'...', an object with read(), INHERIT or DEVNULL")
        config = config.with_stdin(None)
    elif stdin is not None:
        config = config.with_stdin(stdin)
    kept_out = kept_err = None
    if stdout is not None:
        taken, kept_out = _output(stdout, "stdout")
        config = config.with_stdout(taken)
    if isinstance(stderr, int) and stderr == STDOUT:
        config = config.with_stderr(Inherit(1) if isinstance(config.stdout, Inherit) else config.stdout)
    elif stderr is not None:
        taken, kept_err = _output(stderr, "stderr")
        config = config.with_stderr(taken)
    return config, kept_out, kept_err


def _output(stream: Stdout | int, name: str) -> tuple[Stdout | None, bytearray | None]:
    """The stream for the config, and where the bytes go if they are kept."""
    if not isinstance(stream, int):
        return stream, None
    if stream == DEVNULL:
        return None, None
    if stream == PIPE:
        kept = bytearray()
        return kept.extend, kept
    raise ConfigError(f"{name} cannot be {stream}: give PIPE, DEVNULL, INHERIT, an object with write() or a callable")
