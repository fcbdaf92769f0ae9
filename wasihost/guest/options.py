"""The options that `run`, `run_async` and `instantiate` share, and what becomes of them: a config and what is kept."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict

from wasihost.config import Inherit, ModuleConfig, mistakes
from wasihost.errors import ConfigError, TrapError
from wasihost.guest.capture import CapturedOutput, TextMode
from wasihost.guest.module import ModuleSource, engine_for, name_of
from wasihost.outcomes import Outcome, attach

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from wasihost.cassettes import Cassette
    from wasihost.config import Stdin, Stdout
    from wasihost.config.features import FeatureChoice
    from wasihost.config.handling import HandlerClass
    from wasihost.engines.values import OnCompile
    from wasihost.hooks import Hook
    from wasihost.imports import ImportsOption
    from wasihost.policy import Learner, Policy
    from wasihost.policy.runs import PolicyRun
    from wasihost.profile import Profile
    from wasihost.profile.session import Session
    from wasihost.stats import Stats
    from wasihost.trace import Trace
    from wasihost.trace.target import Target
    from wasihost.vfs import Lazy, MemoryFS
    from wasihost.vfs.changes import Baseline, Changes
    from wasihost.vfs.mounting import VirtualSource

PIPE: Final = -1
"""As stdout or stderr: keep what the guest writes."""
STDOUT: Final = -2
"""As stderr: where stdout goes."""
DEVNULL: Final = -3
"""As a stream: empty, or discarded."""


class CommonOptions(TypedDict, total=False):
    """Those of `Options` that do not decide which type a result has."""

    args: Sequence[str | bytes] | None
    env: Mapping[str, str] | None
    dirs: Mapping[str, str | os.PathLike[str] | VirtualSource] | None
    ro_dirs: Mapping[str, str | os.PathLike[str] | VirtualSource] | None
    imports: ImportsOption | None
    handlers: HandlerClass | Sequence[HandlerClass] | None
    hooks: Hook | Sequence[Hook] | None
    trace: Trace | Target | None
    record: Cassette | str | os.PathLike[str] | None
    replay: Cassette | str | os.PathLike[str] | None
    cassette: Cassette | str | os.PathLike[str] | None
    policy: Policy | str | os.PathLike[str] | None
    learn: Learner | str | os.PathLike[str] | None
    malloc: str | None
    free: str | None
    max_memory: int | str | None
    max_stack: int | str | None
    compile_timeout: float | None
    compile_memory: int | str | None
    fuel: int | None
    max_output: int | str | None
    on_compile: OnCompile | None
    features: FeatureChoice | None
    engine: str | None
    cache: bool
    stats: bool
    profile: str | os.PathLike[str] | Profile | None
    isolation: Literal["process", "strict"] | None
    timeout: float | None


class Options(CommonOptions, total=False):
    """What a guest gets, and what is kept of it. An option wins over the same setting of the config.

    - `args`: what follows `argv[0]`, which is the config's name or the module's. Without them the config's vector is
      used.
    - `input`: what the guest reads: bytes, any bytes-like object, or str. `stdin`: an object with `read` (of bytes or
      str), a descriptor of this process, `INHERIT` or `DEVNULL`.
    - `stdout`, `stderr`: an object with `write` (of bytes or str), a callable that takes bytes, a descriptor,
      `INHERIT`, `PIPE`, `DEVNULL`; `stderr` also `STDOUT`. What a callable returns is ignored.
    - `capture_output`: keep both outputs. `text`, `encoding` (UTF-8), `errors`: decode what is kept, and accept str as
      `input`.
    - `env`: replaces the config's environment.
    - `dirs`, `ro_dirs`: guest path -> host directory, or a file system such as an `Overlay`; writable or read-only.
    - `files`: path -> content, put into a file system in memory at the guest's `/`. `fs`: a file system to mount there.
    - `imports`: host functions of your own, and other guests' exports (`Instance.as_imports`).
    - `handlers`: classes whose functions are used in place of the host's, after those of the config, as
      `ModuleConfig.with_handlers` takes them. `hooks`: functions `hook(call, proceed)` that see every call, inside
      those of the config: see `wasihost.hooks`. One of either needs no list.
    - `trace`: show every call: True (on stderr), the path of a file, an object with `write`, a logger, a function, or a
      `wasihost.trace.Trace`.
    - `policy`: what the guest may do of all that, a `Policy` or the path of its file; what was refused is in the
      result's `stats.refusals`. `learn`: the path of the file to write such a policy to, of what this run needed, or a
      `wasihost.policy.Learner`.
    - `record`, `replay`, `cassette`: a file with the results of the guest's calls: to record it, to replay it, or to
      do the latter if there is one. A `wasihost.cassettes.Cassette` has more modes, and removes secrets.
    - `malloc`, `free`: names of the guest's allocator, where `engines.allocator` does not find it by itself.
    - `timeout`: seconds, from the end of compilation on, until a guest is ended that computes, sleeps or waits.
    - `max_memory`, `max_stack`, `max_output`: bytes, or a text such as "64MiB"; `fuel`: units of work. Limits as
      `Limits` has them; the config has more.
    - `compile_timeout` (seconds), `compile_memory` (bytes): limits on compiling a module that is passed as its source.
      A `Module` has its own.
    - `features`: WebAssembly features to switch on or off, as `Module` takes them; by default those of the module.
    - `engine`: what runs the guest: "wasmtime" (the default, if the module has no other), or "pywasm".
    - `on_compile`: called when compiling begins and when it ends, as `Module` does.
    - `cache`: False leaves the compiled modules on disk alone.
    - `isolation`: "process" runs the guest in a process of its own that has given up every right that the guest does
      not need; "strict" refuses to run where the system lacks one of the means for that. Not for `instantiate`.
    - `profile`: where the time went: the name of a file that ends in `.html` or `.json`, or a `Profile`. It is written
      when the guest is closed, however it ended.
    - `stats`: also count calls and bytes per function and record paths, which costs a part of each call.
    """

    input: Buffer | str | None
    stdin: Stdin | int | None
    stdout: Stdout | int | None
    stderr: Stdout | int | None
    capture_output: bool
    text: bool | None
    encoding: str | None
    errors: str | None
    files: Mapping[str, bytes | Lazy] | None
    fs: VirtualSource | None


class RunSetup:
    """What one run needs: the config with the options applied, and where the captured output goes."""

    session: Session | None = None
    policy_run: PolicyRun | None = None
    """What watches the run, in this process alone; else None."""

    def __init__(
        self,
        module: ModuleSource,
        config: ModuleConfig | None,
        options: Mapping[str, Any],
    ) -> None:
        given = dict(options)
        if given and (unknown := given.keys() - _NAMES):
            raise mistakes.unknown_option(unknown, {*Options.__annotations__, *_OTHERS})
        if config is not None and not isinstance(config, ModuleConfig):
            raise mistakes.not_a_config(config)
        self.timeout: float | None = given.get("timeout")
        if self.timeout is not None:
            check_seconds("timeout", self.timeout)
        self.text_mode: TextMode = TextMode(given.get("text"), given.get("encoding"), given.get("errors"))
        self.imports: ImportsOption | None = given.get("imports")
        self.on_compile: OnCompile | None = given.get("on_compile")
        self.allocator: tuple[str | None, str | None] = given.get("malloc"), given.get("free")
        engine, features = engine_for(module, given), given.get("features")
        self.features: str | None = None if features is None else engine.canonical_features(features)
        self.cache: bool = given.get("cache", True)
        self.stats: bool = given.get("stats", False)
        self.isolation: str | None = _isolation(given.get("isolation"))
        self.captured_stdout: CapturedOutput | None = None
        self.captured_stderr: CapturedOutput | None = None
        self.fs: MemoryFS | None = None
        self._before: Baseline | None = None
        args, env = given.get("args"), given.get("env")
        if config is None and args is None and env is None:
            config = _named(name_of(module))
        else:
            config = _with_arguments(_BARE if config is None else config, module, args, env)
        if given:
            limits = {name: given[option] for option, name in _LIMITS.items() if option in given}
            if limits:
                config = config.with_limits(**limits)
            for option in ("handlers", "hooks"):
                if (functions := given.get(option)) is not None:
                    from wasihost.config.handling import listed

                    config = getattr(config, f"with_{option}")(*listed(functions))
            if (trace := given.get("trace")) is not None and trace is not False:
                config = config.with_trace(trace)
            config = self._with_streams(config, given)
            if self.isolation is not None and (config.handlers or config.hooks):
                name = "handlers" if config.handlers else "trace" if trace else "hooks"
                raise ConfigError(
                    f"{name} run in this process, and an isolated guest runs in another: leave out isolation"
                )
            if (profile := given.get("profile")) is not None:
                from wasihost.profile.session import Session

                if self.isolation is not None:
                    raise ConfigError("profile looks at a guest in this process: leave out isolation")
                self.session = Session(profile)
                config = self.session.hooked(config)
            config = self._with_files(config, given)
            if given.get("policy") is not None or given.get("learn") is not None:
                from wasihost.policy.runs import PolicyRun

                if self.isolation is not None:
                    raise ConfigError("policy and learn watch a guest of this process: leave out isolation")
                self.policy_run = PolicyRun(config, given.get("policy"), given.get("learn"))
                config = self.policy_run.config
            for option in ("record", "replay", "cassette"):
                if (given_cassette := given.get(option)) is not None:
                    from wasihost.cassettes.choice import cassette_of

                    chosen = cassette_of(option, given_cassette, given)
                    config = chosen.config(config)
        self.config: ModuleConfig = config

    def _with_streams(self, config: ModuleConfig, given: Mapping[str, Any]) -> ModuleConfig:
        stdin, stdout, stderr = given.get("stdin"), given.get("stdout"), given.get("stderr")
        if (text := given.get("input")) is not None:
            if stdin is not None:
                raise ConfigError("give either input or stdin, not both")
            stdin = self.text_mode.encode(text)
        if given.get("capture_output"):
            if stdout is not None or stderr is not None:
                raise ConfigError("capture_output keeps both outputs: leave out stdout and stderr")
            stdout = stderr = PIPE
        if isinstance(stdin, int):
            # Nobody can write to a PIPE of `run`'s: it is empty, as with `subprocess.run`.
            config = config.with_stdin(
                None
                if stdin in (DEVNULL, PIPE)
                else _own_descriptor(stdin, "stdin", "bytes as input, an object with read(), DEVNULL")
            )
        elif stdin is not None:
            config = config.with_stdin(stdin)
        if stdout is not None:
            taken, self.captured_stdout = _output(stdout, "stdout", config.limits.output)
            config = config.with_stdout(taken)
        if isinstance(stderr, int) and stderr == STDOUT:
            out = config.stdout
            config = config.with_stderr(Inherit(1) if isinstance(out, Inherit) and out.fd is None else out)
        elif stderr is not None:
            taken, self.captured_stderr = _output(stderr, "stderr", config.limits.output)
            config = config.with_stderr(taken)
        return config

    def _with_files(self, config: ModuleConfig, given: Mapping[str, Any]) -> ModuleConfig:
        for name in ("dirs", "ro_dirs"):
            folders = given.get(name)
            if folders is not None and not isinstance(folders, Mapping):
                raise mistakes.not_directories(name, folders)
            for guest, source in (folders or {}).items():
                mounts = config.fs_config
                if not isinstance(source, (str, os.PathLike)) and _is_mountable(source):
                    mounts = mounts.with_fs_mount(guest, source, read_only=name == "ro_dirs")
                elif name == "dirs":
                    mounts = mounts.with_dir_mount(guest, source)
                else:
                    mounts = mounts.with_read_only_dir_mount(guest, source)
                config = config.with_fs(mounts)
        files, fs = given.get("files"), given.get("fs")
        if files is not None:
            if fs is not None:
                raise ConfigError("give either files or fs: put the files into the file system, fs['a.txt'] = b'...'")
            from wasihost.vfs import MemoryFS

            try:
                fs = MemoryFS(files)
            except (TypeError, AttributeError):
                if error := mistakes.wrong_files(files):
                    raise error from None
                raise
        if fs is not None:
            from wasihost.vfs import MemoryFS
            from wasihost.vfs.changes import Baseline

            config = config.with_mount("/", fs)
            if isinstance(fs, MemoryFS):
                self.fs, self._before = fs, Baseline(fs)
        return config

    def changes(self) -> Changes | None:
        """Return the changes so far to the files; None if the guest has no file system in memory."""
        if self.fs is None or self._before is None:
            return None
        from wasihost.vfs.changes import Changes

        return Changes(self._before, self.fs)

    @property
    def truncated(self) -> tuple[str, ...]:
        """The captured streams to which the guest wrote more than was kept."""
        if self.captured_stdout is None and self.captured_stderr is None:
            return ()
        return tuple(
            name
            for name, kept in (("stdout", self.captured_stdout), ("stderr", self.captured_stderr))
            if kept and kept.truncated
        )

    def attach_outcome(
        self, error: BaseException, stats: Stats, owner: object, *, begun: int = 0, read_files: bool = True
    ) -> None:
        """Let an exception that ends the guest `owner`, or a call that began at `begun`, carry what there is of it.

        `read_files`: with the files as they are now. Those of an instance that lives on may be many, and are looked at
        when somebody asks.
        """
        decode = self.text_mode.decode_any
        made = Outcome(
            [os.fsdecode(arg) for arg in self.config.args],
            decode(self.captured_stdout),
            decode(self.captured_stderr),
            files=self.changes if self.fs is not None else None,
            truncated=self.truncated,
            stats=stats.copy(),
            owner=owner,
        )
        if read_files:
            made.read_files()
        attach(error, made, begun=begun, note=not isinstance(error, TrapError))


_OTHERS: Final = ("check", "config")  # what callers of ours take besides `Options`
_NAMES = frozenset(Options.__annotations__)
_LIMITS = {
    "max_memory": "memory",
    "fuel": "fuel",
    "max_output": "output",
    "max_stack": "stack",
    "compile_timeout": "compile_timeout",
    "compile_memory": "compile_memory",
}


_BARE: Final = ModuleConfig()


@lru_cache(maxsize=64)
def _named(name: str) -> ModuleConfig:
    """The config of a guest that gets nothing but its name: kept, as a module often runs many times."""
    return _BARE.with_args(name)


def _is_mountable(given: object) -> bool:
    from wasihost.vfs.mounting import is_source

    return is_source(given)


def _isolation(given: str | None) -> str | None:
    if given in (None, "process", "strict"):
        return given
    raise ConfigError(f'isolation cannot be {given!r}: give "process", "strict" or None')


def _with_arguments(
    config: ModuleConfig, module: ModuleSource, args: Sequence[str | bytes] | None, env: Mapping[str, str] | None
) -> ModuleConfig:
    if isinstance(args, (str, bytes)):
        raise mistakes.one_string("args", args)
    if args is not None and not hasattr(args, "__iter__"):
        raise mistakes.not_arguments(args)
    if args is not None or not config.args:
        config = config.with_args(config.name or name_of(module), *(args or ()))
    if env is not None:
        if not isinstance(env, Mapping):
            raise mistakes.not_an_environment(env)
        config = config.without_env()
        for key, value in env.items():
            config = config.with_env(key, value)
    return config


def _output(stream: Any, name: str, limit: int | None) -> tuple[Any, CapturedOutput | None]:
    """The stream for the config, and where the bytes go if they are kept."""
    if not isinstance(stream, int):
        return stream, None
    if stream == DEVNULL:
        return None, None
    if stream == PIPE:
        kept = CapturedOutput(limit)
        return kept, kept
    return _own_descriptor(stream, name, "PIPE, DEVNULL, an object with write() or a callable"), None


def _own_descriptor(fd: int, name: str, other: str) -> Inherit:
    """A descriptor of this process, as `subprocess` takes them. ConfigError if it is none."""
    try:
        if isinstance(fd, bool):
            raise OSError
        os.fstat(fd)
    except (OSError, OverflowError):
        raise ConfigError(f"{name} cannot be {fd!r}: that is no open descriptor; give {other}, or INHERIT") from None
    return Inherit(fd)


def check_seconds(name: str, seconds: Any) -> None:
    """ConfigError for what is no number of seconds from 0 on: a text, a negative number, NaN."""
    try:
        if not isinstance(seconds, (str, bytes, bool)) and float(seconds) >= 0:
            return
    except (TypeError, ValueError, OverflowError):
        pass
    raise mistakes.not_seconds(name, seconds)
