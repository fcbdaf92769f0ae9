"""One profiled guest: what `Instance` calls, and nothing else of this package.

The module is compiled with indices as names (see `binary.function_names`), its `CancelCheck` takes samples, a hook sees
its calls, and when the guest is closed the profile is written.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from wasihost.binary.function_names import FunctionNames
from wasihost.common.unpatched import time
from wasihost.errors import ConfigError, TrapError
from wasihost.profile import Profile
from wasihost.profile.hook import ProfileHook
from wasihost.profile.recorder import Recorder, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wasihost.config import ModuleConfig
    from wasihost.engines.base import CancelCheck, Engine, EngineInstance, Stub
    from wasihost.errors import Frame

perf_counter_ns: Callable[[], int] = time.perf_counter_ns


class Session:
    """Profiles one guest into `target`: a `Profile`, or the path of a file.

    Raises:
        ConfigError: The target is neither, or the file has a name that ends in nothing known.
        OSError: The file's folder does not exist, or cannot be written to.
    """

    def __init__(self, target: Any) -> None:
        if not isinstance(target, (Profile, str, os.PathLike)):
            raise ConfigError(
                f"profile cannot be {target!r}: give the name of a file that ends in .html or .json, or a Profile"
            )
        self.profile: Profile = target if isinstance(target, Profile) else Profile(target)
        for file in self.profile.files:
            _check_folder(file)
        self._files = self.profile.files
        self.recorder: Recorder = Recorder()
        self.hook: ProfileHook = ProfileHook(self.recorder)
        self._names: FunctionNames | None = None

    def hooked(self, config: ModuleConfig) -> ModuleConfig:
        """The config with the profile's hook around all others, whose time is then the host's."""
        return config._with("_hooks", (self.hook, *config.hooks))

    def begin(self, name: str, code: bytes) -> None:
        """The guest's module is known, which has this code in the binary format."""
        self._names = FunctionNames(code)
        self.profile.begin(name, self.recorder, self._names)

    def watch(self, scope: CancelCheck) -> CancelCheck:
        """What the engine is to ask instead of `scope`."""
        return Watch(scope, self.recorder)

    def attach(self, instance: EngineInstance, engine: Engine) -> None:
        """The engine's instance is there."""
        self.recorder.attach(instance, engine.stack_profiler(instance, self.recorder.interval))

    def around(self, module: str, name: str, stub: Stub) -> Stub:
        """A stub that records the calls of another one, which the embedder's own function is behind."""
        recorder = self.recorder
        function = f"{module}.{name}"

        def recorded(*numbers: int | float) -> Any:
            return recorder.around(perf_counter_ns(), recorder.row(function, "", ""), partial(stub, *numbers))

        return recorded

    def name_frames(self, error: BaseException) -> None:
        """Give the frames of a trap the names that the engine was not shown."""
        if isinstance(error, TrapError) and self._names is not None:
            error.look_first(partial(_named, self._names))

    def finish(self) -> None:
        """The guest is closed: write the files.

        Raises:
            OSError: A file cannot be written. If an exception has ended the guest, it gets a note instead.
        """
        ended = sys.exc_info()[1]
        self.recorder.finish()
        files, self._files = self._files, ()
        for file in files:
            try:
                self.profile.write(file)
            except OSError as error:
                if ended is None:
                    raise
                ended.add_note(f"the profile was not written: {error}")


def _check_folder(path: str) -> None:
    """OSError if no file can be made in the folder of this path: better now than after the run."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(2, os.strerror(2), folder)
    if not os.access(folder, os.W_OK):
        raise PermissionError(13, os.strerror(13), folder)


def _named(names: FunctionNames, frames: Iterable[Frame]) -> tuple[Frame, ...]:
    frames = tuple(frames)
    found = names.find(frame.number for frame in frames)
    return tuple(frame._replace(symbol=name, function=name) for frame in frames for name in (found.get(frame.number),))
