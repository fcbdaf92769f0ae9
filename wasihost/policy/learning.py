"""The hook that notes what a run needs, and the policy that is made of it.

Rules of this file: what a call needed is noted before the call is made, also of calls that fail, because a program
asks for what is not there and goes on. A name that was made and removed within the run (a temporary file has another
one in the next run) stands for its directory; so does any name where a directory has more than `MOST`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from posixpath import dirname
from typing import TYPE_CHECKING, Any, Final

from wasi_preview1.errors import WasiError
from wasi_preview1.types import Filetype, Oflags

from wasihost.policy import needs
from wasihost.policy.files import save, text_of
from wasihost.policy.places import Mounts, Place, is_directory, mounts_of, named, note_rename
from wasihost.policy.rules import CLOCKS, Policy, ancestors, normal

if TYPE_CHECKING:
    from wasihost.config import ModuleConfig
    from wasihost.host.functions import Host
    from wasihost.stats import Stats

MOST: Final = 12
"""Names of one directory in a policy; if a run needs more, the whole directory is allowed."""
_REMOVE: Final = ("path_remove_directory", "path_unlink_file")


class Learner:
    """Notes what guests need: `run(..., learn=learner)`, once or several times; then `learner.policy` allows it all."""

    def __init__(self) -> None:
        self._read: set[str] = set()
        self._write: set[str] = set()
        self._below: set[str] = set()  # directories that were renamed with all that is in them
        self._passing: set[str] = set()  # names that were made and are gone
        self._made: set[str] = set()
        self._roots: set[str] = set()
        self._env: set[str] = set()
        self._clocks: set[str] = set()
        self._sockets: set[str] = set()
        self._random = False
        self._memory = self._files = 0
        self._reached: set[str] = set()

    def hook(self, config: ModuleConfig) -> LearningHook:
        """Return the hook for one guest, which gets `config`."""
        return LearningHook(self, config)

    @property
    def policy(self) -> Policy:
        """What was needed so far, as a policy that allows it."""
        write = _covering(*_writable(self._write, self._below), self._passing, self._roots)
        allowed = Policy(write=write)
        left = {path for path in self._read if not allowed.may_write(path)}
        read = _covering(*_writable(left, set()), (), self._roots)
        limits: dict[str, Any] = {}
        if self._memory:
            limits["memory"] = f"{_room(self._memory, 1 << 20) >> 20}MiB"
        if self._files:
            limits["open_files"] = _room(self._files, 8)
        return Policy(
            read=read,
            write=write,
            env=sorted(self._env),
            clocks=[name for name in CLOCKS if name in self._clocks],
            random=self._random,
            sockets=sorted(self._sockets),
            limits=limits,
        )

    @property
    def text(self) -> str:
        """The policy as the text of a TOML file."""
        notes = [f"The run reached limits: {', '.join(sorted(self._reached))}."] if self._reached else []
        return text_of(self.policy, notes)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the policy to a file, all of it or nothing. Raises ConfigError if it cannot be written."""
        save(self.text, path)

    def note_use(self, stats: Stats) -> None:
        """Note what a guest used until its end."""
        self._memory = max(self._memory, stats.peak_memory)
        self._reached.update(stats.limits)


class LearningHook:
    """Notes the needs of one guest."""

    def __init__(self, learner: Learner, config: ModuleConfig) -> None:
        self._learner = learner
        self._host: Host | None = None
        self._mounts: Mounts = {}
        self._names = {os.fsdecode(entry.partition(b"=")[0]) for entry in config.environ}
        self._notes: dict[str, Callable[[Any, Any], Any]] = dict.fromkeys(needs.PATHS, self._paths)
        self._notes |= dict.fromkeys(needs.OPEN, self._open)
        self._notes |= dict.fromkeys((*needs.CLOCK, "poll_oneoff"), self._clocks)
        self._notes |= dict.fromkeys(needs.ENVIRONMENT, self._environment)
        if config.sockets:
            self._notes |= dict.fromkeys(needs.SOCKET, self._socket)
        self._notes["random_get"] = self._random
        self.on: tuple[str, ...] = tuple(self._notes)

    def open(self, host: Host) -> None:
        """Called with the host of the guest."""
        self._host = host
        self._mounts = mounts_of(host)
        self._learner._roots.update(map(normal, self._mounts))

    def __call__(self, call: Any, proceed: Any) -> Any:
        """Note what the call needs, and make it."""
        return self._notes[call.function](call, proceed)

    def _paths(self, call: Any, proceed: Any) -> Any:
        host, learner, function = self._host, self._learner, call.function
        assert host is not None
        places: list[Place] = []
        for use in needs.PATHS[function]:
            place = needs.place_for(host, self._mounts, call, use)
            if place is None:
                return proceed()
            (learner._write if needs.changes(call, use) else learner._read).add(place.path)
            places.append(place)
        there = [_kind(place) for place in places]
        last = places[-1]
        if function == "path_rename" and is_directory(places[0]):
            learner._below.add(places[0].path)
        result = proceed()
        if function == "path_open" and host.names is not None:
            host.names[result] = last.path, last.mount  # without links
        if function == "path_rename":
            note_rename(host, places[0].path, last.path, last.mount)
        if function in (*_REMOVE, "path_rename") and places[0].path in learner._made:
            learner._passing.add(places[0].path)
        makes = call.oflags & Oflags.CREAT if function == "path_open" else function not in _REMOVE
        if makes and there[-1] is None:
            learner._made.add(last.path)
            learner._passing.discard(last.path)
        learner._files = max(learner._files, len(host.table.open))
        return result

    def _open(self, call: Any, proceed: Any) -> Any:
        assert self._host is not None
        path = named(self._host, call.fd)
        if path is not None:
            (self._learner._write if needs.OPEN[call.function] else self._learner._read).add(path)
        return proceed()

    def _clocks(self, call: Any, proceed: Any) -> Any:
        assert self._host is not None
        self._learner._clocks |= needs.clocks_of(call, self._host)
        return proceed()

    def _random(self, _call: Any, proceed: Any) -> Any:
        self._learner._random = True
        return proceed()

    def _environment(self, _call: Any, proceed: Any) -> Any:
        self._learner._env |= self._names
        return proceed()

    def _socket(self, call: Any, proceed: Any) -> Any:
        assert self._host is not None
        if (name := needs.socket_name(self._host, call.fd)) is not None:
            self._learner._sockets.add(name)
        return proceed()


def _kind(place: Place) -> Filetype | None:
    """What is at a place; None if nothing is."""
    try:
        return place.directory.stat_path(place.passed.rstrip("/") or ".", False).filetype
    except (OSError, WasiError):
        return None


def _writable(paths: set[str], below: set[str]) -> tuple[set[str], set[str]]:
    """Return paths and whole directories that a file can hold.

    A name that is not UTF-8, to which only a link on the host leads, stands for the directory that it is in.
    """
    odd = {path for path in paths | below if not _is_text(path)}
    return paths - odd, (below - odd) | {next(filter(_is_text, ancestors(path))) for path in odd}


def _is_text(path: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in path)


def _covering(paths: set[str], below: Iterable[str], passing: Iterable[str], roots: set[str]) -> list[str]:
    """Return rules for these paths: paths as they are, and directories with a slash."""
    whole = set(below)
    for path in passing:
        if (above := dirname(path) or ".") not in roots:
            whole.add(above)
    left = paths - {path for path in paths if _within(path, whole)}
    while True:
        counts: dict[str, int] = {}
        for path in (*left, *whole):
            above = dirname(path) or "."
            if above != path:
                counts[above] = counts.get(above, 0) + 1
        full = {above for above, count in counts.items() if count > MOST and not _within(above, whole)}
        if not full:
            break
        deepest = max(full, key=lambda path: path.count("/") if path != "/" else -1)
        whole = {path for path in whole if not _within(path, {deepest})} | {deepest}
        left = {path for path in left if not _within(path, whole)}
    whole = {path for path in whole if not _within(dirname(path) or ".", whole - {path}) or path == dirname(path)}
    return sorted([*left, *(path.rstrip("/") + "/" for path in whole)])


def _within(path: str, whole: set[str]) -> bool:
    return any(above in whole for above in ancestors(path))


def _room(used: int, least: int) -> int:
    """Return a limit for what was used: twice that, rounded up to a power of two."""
    room = least
    while room < 2 * used:
        room *= 2
    return room
