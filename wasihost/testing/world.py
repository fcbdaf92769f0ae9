"""`Wasi`: the world of the guests of one test, in memory. The fixture `wasi` makes it.

Rule of this file: it knows nothing of pytest, so that other test frameworks can use it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import wasihost
from wasihost.errors import ConfigError, GuestError
from wasihost.testing import faults
from wasihost.testing.clock import NEW_YEAR_2026, FakeClock
from wasihost.testing.randomness import random_bytes
from wasihost.vfs import MemoryFS

if TYPE_CHECKING:
    from wasi_preview1.types import Errno

    from wasihost.cassettes import Cassette
    from wasihost.embedding.process import Process
    from wasihost.embedding.run import CompletedProcess
    from wasihost.guest.instance import Instance
    from wasihost.guest.module import ModuleSource

_SHOWN: Final = 4000
"""The last characters of an output that a report has."""


class Wasi:
    """Runs guests in a world that is the same each time: files in memory, a clock that jumps, randomness from a seed.

    Attributes:
        fs: The files, the guest's `/`.
        clock: The guest's clocks, which advance when it sleeps. A sleep takes no time.
        runs: How each run ended: what `run` returned or raised.

    Args:
        files: Path -> content, as text or bytes: what `fs` has at the beginning.
        folder: A folder of the host whose files `fs` has at the beginning.
        seed: What the guest's randomness comes from.
        start_ns: The guest's wall time at the beginning, in ns since 1970. Default: 2026.
        tick_ns: How far each reading advances the clock, in ns.
        timeout: Seconds of real time that a run may take; None for any time.
        beside: A folder in which relative paths of modules are looked for first.
        cassette: Records the guests, or replays them: see `wasihost.cassettes`. Its folder is made.

    Raises:
        ConfigError: An argument cannot work.
        OSError: `folder` cannot be read.
    """

    def __init__(
        self,
        *,
        files: Mapping[str, str | bytes] | None = None,
        folder: str | os.PathLike[str] | None = None,
        seed: int = 0,
        start_ns: int = NEW_YEAR_2026,
        tick_ns: int = 0,
        timeout: float | None = 60,
        beside: str | os.PathLike[str] | None = None,
        cassette: Cassette | None = None,
    ) -> None:
        self.clock: FakeClock = FakeClock(start_ns, tick_ns)
        self.fs: MemoryFS = MemoryFS(clock=self.clock.walltime)
        self.runs: list[CompletedProcess[Any, Any, Any] | BaseException] = []
        self._random = random_bytes(seed)
        self._timeout = timeout
        self._beside = None if beside is None else Path(beside)
        self._cassette = cassette
        self._faults: list[faults.Fault] = []
        if folder is not None:
            self._copy(self._found(folder))
        for path, content in (files or {}).items():
            self.fs[path] = content.encode() if isinstance(content, str) else content

    def run(
        self,
        module: ModuleSource,
        *args: str | bytes,
        config: wasihost.ModuleConfig | None = None,
        **options: Any,
    ) -> CompletedProcess[Any, Any, Any]:
        """Run a command as `wasihost.run` does, in this world; its output is kept, as text.

        Args:
            module: As for `wasihost.run`. A relative path is looked for beside the test first.
            *args: The arguments of the guest.
            config: What the guest gets besides.
            **options: Those of `wasihost.run`; `text=False` keeps bytes.

        Returns:
            The exit status and the output.

        Raises:
            TimeoutExpired: The guest took longer than `timeout` seconds of real time.
            TrapError: The guest trapped.
            CalledProcessError: With `check`, the exit status was not 0.
        """
        if not {"capture_output", "stdout", "stderr"} & options.keys():
            options["capture_output"] = True
        if {"encoding", "errors"}.isdisjoint(options):
            options.setdefault("text", True)
        try:
            done = wasihost.run(self._found(module), self._config(config), args=args, **self._options(options))
        except GuestError as error:
            self.runs.append(error)
            raise
        self.runs.append(done)
        return done

    def instantiate(
        self, module: ModuleSource, config: wasihost.ModuleConfig | None = None, **options: Any
    ) -> Instance:
        """Make an instance to call, as `wasihost.instantiate` does, in this world."""
        return wasihost.instantiate(self._found(module), self._config(config), **self._options(options))

    def start(
        self,
        module: ModuleSource,
        *args: str | bytes,
        config: wasihost.ModuleConfig | None = None,
        **options: Any,
    ) -> Process[Any, Any, Any]:
        """Start a guest to talk with, as `wasihost.start` does, in this world."""
        return wasihost.start(self._found(module), self._config(config), args=args, **self._options(options))

    def fail(
        self,
        on: str | Collection[str],
        error: Errno | Exception,
        *,
        after: int = 0,
        times: int | None = None,
        path: str | None = None,
    ) -> faults.Fault:
        """Let calls of the guests that are started from now on fail: see `wasihost.testing.fail`."""
        return self._with(faults.fail(on, error, after=after, times=times, path=path))

    def shorten(self, on: str | Collection[str], most: int, *, path: str | None = None) -> faults.Fault:
        """Let calls move fewer bytes: see `wasihost.testing.shorten`."""
        return self._with(faults.shorten(on, most, path=path))

    def delay(
        self, on: str | Collection[str], seconds: float, *, per_mib: float = 0.0, path: str | None = None
    ) -> faults.Fault:
        """Let calls take longer on the guest's clock, which is advanced: see `wasihost.testing.delay`."""
        return self._with(faults.delay(on, seconds, per_mib=per_mib, clock=self.clock, path=path))

    def heal(self) -> None:
        """Let calls of the guests that are started from now on succeed again."""
        self._faults.clear()

    def report(self) -> str:
        """Return how each run ended, and the end of its output, for a test that failed."""
        return "\n".join(map(_told, self.runs))

    def _with(self, fault: faults.Fault) -> faults.Fault:
        self._faults.append(fault)
        return fault

    def _config(self, config: wasihost.ModuleConfig | None) -> wasihost.ModuleConfig:
        config = wasihost.ModuleConfig() if config is None else config
        config = self.clock.configure(config).with_rand_source(self._random).with_hooks(*self._faults)
        return config if config.fs_preopens else config.with_mount("/", self.fs)

    def _options(self, options: dict[str, Any]) -> dict[str, Any]:
        replaced = {"fs", "files", "dirs"} & options.keys()
        if replaced:
            raise ConfigError(
                f"{min(replaced)}= cannot be passed here, since / is the fixture's own fs: put files there, or pass "
                "config= with mounts of yours"
            )
        if self._cassette is not None:
            options.setdefault("cassette", self._cassette)
            if self._cassette.mode != "none":
                os.makedirs(os.path.dirname(self._cassette.path) or ".", exist_ok=True)
        return {"timeout": self._timeout, **options}

    def _found(self, source: Any) -> Any:
        """Return `source`, or the file beside the test that it names."""
        if self._beside is None or not isinstance(source, (str, os.PathLike)):
            return source
        name = os.fspath(source)
        if isinstance(name, bytes) or name.lstrip()[:1] == "(":
            return source
        beside = self._beside / name
        return beside if beside.exists() else source

    def _copy(self, folder: Path) -> None:
        folder = Path(folder)
        if not folder.is_dir():
            raise ConfigError(f"{folder} is not a folder: its files would be those of the guest")
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_symlink():
                self.fs.symlink(os.readlink(path), name)
            elif path.is_dir():
                self.fs.mkdir(name, parents=True, exist_ok=True)
            else:
                self.fs[name] = path.read_bytes()


def _told(run: Any) -> str:
    how = f"{type(run).__name__}: {run}" if isinstance(run, BaseException) else f"exit status {run.returncode}"
    lines = [how]
    for stream in ("stdout", "stderr"):
        output = getattr(run, stream, None)
        if output:
            text = output if isinstance(output, str) else bytes(output).decode(errors="replace")
            cut = "..." if len(text) > _SHOWN else ""
            lines += [f"{stream}:", cut + text[-_SHOWN:].rstrip("\n")]
    return "\n".join(lines)
