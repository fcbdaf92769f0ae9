"""The fields of a `ModuleConfig`: their first values, and how they are read, compared, pickled and shown.

Rules of this file: a field is set once, by `__init__` or `_with`; `None` is the default that the property names.
"""

from __future__ import annotations

import os

from wasihost.config.limits import DEFAULT_LIMITS, Limits
from wasihost.config.mounts import FSConfig, Mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final, Self, TypeAlias

    from wasihost.config.handling import HandlerClass
    from wasihost.config.sockets import NamedSocket
    from wasihost.config.streams import RandomSource, Stdin, Stdout
    from wasihost.hooks import Hook

Clock: TypeAlias = "Callable[[], int]"
"""Returns nanoseconds."""
Sleep: TypeAlias = "Callable[[int], object]"
"""Called with nanoseconds."""


class Entries:
    """An immutable sequence that is cheap to append to: `plus` returns a longer one, which shares the storage.

    So appending n entries one by one takes time proportional to n. Safe to use from several threads: `setdefault` is
    atomic.
    """

    __slots__ = ("_held", "_size")

    def __init__(self, entries: tuple[bytes, ...] = ()) -> None:
        self._held = dict(enumerate(entries))  # by position; longer sequences add theirs
        self._size = len(entries)

    def plus(self, entry: bytes) -> Entries:
        """Return a sequence with `entry` added at the end."""
        longer = Entries()
        longer._held, longer._size = self._held, self._size + 1
        if self._held.setdefault(self._size, entry) is not entry:  # another sequence was made from this one before
            longer._held = dict(enumerate((*self.as_tuple(), entry)))
        return longer

    def as_tuple(self) -> tuple[bytes, ...]:
        """All entries, in order."""
        if not self._size:
            return ()
        held = self._held
        return tuple([held[position] for position in range(self._size)])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entries) and self.as_tuple() == other.as_tuple()

    def __hash__(self) -> int:
        return hash(self.as_tuple())

    def __reduce__(self) -> tuple[type[Entries], tuple[tuple[bytes, ...]]]:
        return Entries, (self.as_tuple(),)

    def __repr__(self) -> str:
        return repr(self.as_tuple())


NO_ENTRIES: Final = Entries()


class ConfigValues:
    """What one guest is given, as properties; `ModuleConfig` has the methods that change it."""

    __slots__ = (
        "_args",
        "_environ",
        "_fs",
        "_handlers",
        "_hooks",
        "_limits",
        "_name",
        "_nanosleep",
        "_nanotime",
        "_osyield",
        "_rand",
        "_sockets",
        "_stderr",
        "_stdin",
        "_stdout",
        "_walltime",
    )

    def __init__(self) -> None:
        self._args: tuple[bytes, ...] = ()
        self._environ = NO_ENTRIES
        self._fs = FSConfig()
        self._handlers: tuple[HandlerClass, ...] = ()
        self._hooks: tuple[Hook, ...] = ()
        self._limits = DEFAULT_LIMITS
        self._name = ""
        self._nanosleep: Sleep | None = None
        self._nanotime: tuple[Clock, int] | None = None
        self._osyield: Callable[[], object] | None = None
        self._rand: RandomSource | None = None
        self._sockets: tuple[NamedSocket, ...] = ()
        self._stdin: Stdin | None = None
        self._stdout: Stdout | None = None
        self._stderr: Stdout | None = None
        self._walltime: tuple[Clock, int] | None = None

    def _with(self, name: str, value: Any) -> Self:
        copy = object.__new__(type(self))
        put = object.__setattr__
        for slot in ConfigValues.__slots__:
            put(copy, slot, getattr(self, slot))
        put(copy, name, value)
        return copy

    @property
    def args(self) -> tuple[bytes, ...]:
        """The argument vector; empty if none was given."""
        return self._args

    @property
    def environ(self) -> tuple[bytes, ...]:
        """The environment as `KEY=VALUE` entries."""
        return self._environ.as_tuple()

    @property
    def limits(self) -> Limits:
        """What the guest may use of its host."""
        return self._limits

    @property
    def name(self) -> str:
        """The module's name, or an empty string."""
        return self._name

    @property
    def stdin(self) -> Stdin | None:
        """Standard input as it was given; None is empty."""
        return self._stdin

    @property
    def stdout(self) -> Stdout | None:
        """Standard output as it was given; None discards it."""
        return self._stdout

    @property
    def stderr(self) -> Stdout | None:
        """Standard error as it was given; None discards it."""
        return self._stderr

    @property
    def clock_walltime(self) -> tuple[Clock, int] | None:
        """The real-time clock and its resolution in ns; None is the system's."""
        return self._walltime

    @property
    def clock_nanotime(self) -> tuple[Clock, int] | None:
        """The monotonic clock and its resolution in ns; None is the system's."""
        return self._nanotime

    @property
    def clock_nanosleep(self) -> Sleep | None:
        """How a guest sleeps; None lets the thread really sleep."""
        return self._nanosleep

    @property
    def clock_osyield(self) -> Callable[[], object] | None:
        """What `sched_yield` calls; None is nothing."""
        return self._osyield

    @property
    def rand_source(self) -> RandomSource | None:
        """The source of random bytes; None is the system's generator."""
        return self._rand

    @property
    def fs_config(self) -> FSConfig:
        """The preopened directories, as `with_fs` takes them."""
        return self._fs

    @property
    def fs_preopens(self) -> tuple[Mount, ...]:
        """The preopened directories; the first is descriptor 3, the next 4, ..."""
        return self._fs.mounts

    @property
    def sockets(self) -> tuple[NamedSocket, ...]:
        """The sockets and their names, in the order of their descriptors, which follow those of the directories."""
        return self._sockets

    @property
    def handlers(self) -> tuple[HandlerClass, ...]:
        """Classes whose functions come before the host's, the first one first."""
        return self._handlers

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """Functions that see every call, the outermost first."""
        return self._hooks

    def _key(self) -> tuple[object, ...]:
        return tuple(getattr(self, slot) for slot in ConfigValues.__slots__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConfigValues) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash((self._args, self._environ, self._name, self._fs))

    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(self, name):
            raise AttributeError(f"a {type(self).__name__} does not change: its with_ methods return changed copies")
        object.__setattr__(self, name, value)

    def __getstate__(self) -> tuple[object, ...]:
        return self._key()

    def __setstate__(self, state: tuple[object, ...]) -> None:
        for slot, value in zip(ConfigValues.__slots__, state, strict=True):
            object.__setattr__(self, slot, value)

    def __repr__(self) -> str:
        """Shows what differs from a bare config. Of the environment it shows names only: values are often secrets."""
        fresh = ConfigValues()
        changed = (slot for slot in ConfigValues.__slots__ if getattr(self, slot) != getattr(fresh, slot))
        shown = {slot[1:]: repr(getattr(self, slot)) for slot in changed}
        if self.environ:
            names = (os.fsdecode(entry.partition(b"=")[0]) for entry in self.environ)
            shown["environ"] = f"<{len(self.environ)} variables: {', '.join(names)}>"
        return f"ModuleConfig({', '.join(f'{name}={value}' for name, value in shown.items())})"
