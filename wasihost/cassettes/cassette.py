"""`Cassette`: a file of recorded guests, and what becomes of the next one.

Rules of this file: whether a guest is recorded or replayed is decided when its config is made, because a replayed guest
gets no folders, sockets and input. A guest is found on a cassette by its arguments.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, get_args

from wasihost.cassettes import store
from wasihost.cassettes.errors import CassetteError
from wasihost.cassettes.player import Player
from wasihost.cassettes.recorder import Recorder
from wasihost.cassettes.values import encoded_bytes
from wasihost.common.sizes import size
from wasihost.common.unpatched import threading
from wasihost.config.mounts import FSConfig
from wasihost.errors import ConfigError

if TYPE_CHECKING:
    from typing import TypeAlias

    from wasihost.config import ModuleConfig

    Secrets: TypeAlias = str | bytes | Iterable[str | bytes] | Callable[[bytes], bytes]

Mode = Literal["none", "once", "new_episodes", "all"]
DEFAULT_MAX_BYTES = 256 << 20
_parts = itertools.count()


class Cassette:
    """A file with what the calls of guests returned: results, errors and bytes of each call.

    It may be used for any number of runs, one after another or at once; each is an episode. A run is replayed from the
    first episode with the same arguments (`argv[0]` left out) that this object has not replayed yet.

    Args:
        path: The file.
        mode: "once" records if there is no file yet, else replays. "none" replays, and never records.
            "new_episodes" replays what there is, and records the runs that are new. "all" records every run anew.
        scrub: Secrets, which are recorded as `*` of the same length, wherever they are in a call: a text, bytes,
            several of these, or a function from bytes to as many bytes. A secret that the guest passes in two calls,
            or changes, is not found.
        max_bytes: How large the record of one guest may become: a number, or a text such as "64MiB".

    Raises:
        ConfigError: There is no such mode, `scrub` or `max_bytes` cannot be used.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        mode: Mode = "once",
        *,
        scrub: Secrets = (),
        max_bytes: int | str = DEFAULT_MAX_BYTES,
    ) -> None:
        if mode not in get_args(Mode):
            raise ConfigError(f"the mode of a cassette cannot be {mode!r}: give {', '.join(get_args(Mode))}")
        most = size(max_bytes) if isinstance(max_bytes, str) else max_bytes
        if most is None or most <= 0:
            raise ConfigError(f"max_bytes of a cassette cannot be {max_bytes!r}: give a number, or a text as '64MiB'")
        self.path: str = os.fspath(path)
        self.mode: Mode = mode
        self._most = most
        self._scrub = scrubber(scrub)
        self._lock = threading.Lock()
        self._episodes: list[store.Episode] | None = None
        self._used: set[int] = set()
        self._records = mode == "all"
        self._written = False

    def config(self, config: ModuleConfig) -> ModuleConfig:
        """Return the config for one guest, which is recorded or replayed by a hook inside all others.

        A guest that is replayed gets no directories, sockets, handlers and input.

        Raises:
            CassetteError: There is nothing to replay, or the file is damaged.
            OSError: The file cannot be read or written.
        """
        if os.path.isdir(self.path):
            raise CassetteError(f"the cassette {self.path} cannot be used: it is a folder; give a file")
        args = [encoded_bytes(self._scrub(arg)) for arg in config.args[1:]]
        episode = self._take(args)
        if episode is not None:
            config = config.with_fs(FSConfig()).with_sockets(()).with_stdin(None).without_handlers()
            return config.with_hooks(Player(self.path, episode, self._scrub))
        folder = os.path.dirname(os.path.abspath(self.path))
        if not os.path.isdir(folder):
            raise CassetteError(f"the cassette {self.path} cannot be written: there is no folder {folder}")
        part = os.path.join(folder, f".{os.path.basename(self.path)}.{os.getpid()}-{next(_parts)}")
        return config.with_hooks(Recorder(self.path, part, args, self._scrub, self._most, self._add))

    def _take(self, args: list[Any]) -> store.Episode | None:
        """Return the episode to replay; None if the guest is to be recorded."""
        with self._lock:
            if self._records:
                return None
            if self._episodes is None:
                if not os.path.exists(self.path):
                    if self.mode == "none":
                        raise CassetteError(
                            f"there is no cassette {self.path}: record it first, with record= or --record"
                        )
                    self._records = True
                    return None
                self._episodes = store.episodes(self.path)
            for number, episode in enumerate(self._episodes):
                if episode.args == args and number not in self._used:
                    self._used.add(number)
                    return episode
            if self.mode == "new_episodes":
                return None
            known = " ".join(str(episode.args) for episode in self._episodes) or "none"
            other = " other" * any(episode.args == args for episode in self._episodes)
            raise CassetteError(
                f"the cassette {self.path} has no{other} guest with the arguments {args}; it has {known:.200}: "
                'record it again, or with the mode "new_episodes"'
            )

    def _add(self, part: str) -> None:
        """Called when a recorded guest has ended."""
        with self._lock:
            store.add(self.path, part, replace=self._records and not self._written)
            self._written = True

    def __repr__(self) -> str:
        return f"Cassette({self.path!r}, {self.mode!r})"


def scrubber(secrets: Secrets) -> Callable[[bytes], bytes]:
    """Return a function that replaces secrets. ConfigError for what cannot be one."""
    if callable(secrets):
        replace = secrets

        def checked(data: bytes) -> bytes:
            scrubbed = replace(data)
            if not isinstance(scrubbed, bytes) or len(scrubbed) != len(data):
                raise ConfigError("scrub has to return bytes, as many as it gets: the guest counts them")
            return scrubbed

        return checked
    several = list(secrets) if isinstance(secrets, Iterable) and not isinstance(secrets, (str, bytes)) else [secrets]
    found = [one.encode() if isinstance(one, str) else one for one in several]
    if not all(isinstance(one, bytes) and one for one in found):
        raise ConfigError(f"secrets are texts or bytes, and not empty: scrub cannot be {secrets!r:.60}")
    longest_first = sorted(found, key=len, reverse=True)

    def scrub(data: bytes) -> bytes:
        for secret in longest_first:
            if secret in data:
                data = data.replace(secret, b"*" * len(secret))
        return data

    return scrub
