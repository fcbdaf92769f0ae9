"""What a guest may use of its host, with safe defaults.

A guest that goes beyond gets the errno or the refusal that the spec has for it where it has one; what it has none for
ends the run with `LimitExceeded`, which names the limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypedDict

from wasihost.errors import ConfigError, LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


STACK: Final = 512 << 10
"""Of a guest that may have what its thread has, if that is less."""


class Limits(NamedTuple):
    """None lifts a limit.

    | limit | unit | beyond it |
    | --- | --- | --- |
    | `memory` | bytes of all memories and tables | `memory.grow` fails; one that begins with more is LimitExceeded |
    | `fuel` | units of work, about one per wasm instruction | LimitExceeded |
    | `output` | bytes kept of each captured stream | the rest is dropped and the result says so |
    | `open_files` | descriptors, the standard streams and preopens included | MFILE |
    | `path` | bytes of a path | NAMETOOLONG |
    | `sleep` | seconds of one wait | LimitExceeded |
    | `subscriptions` | of one `poll_oneoff` | INVAL |
    | `stack` | bytes of its thread's stack for a guest's calls; None is all there is | TrapError |
    | `compile_timeout` | seconds of compiling its module | LimitExceeded |
    | `compile_memory` | bytes of memory for that | LimitExceeded |

    With one of the last two, the module is compiled in a process of its own, which takes a tenth of a second more.
    """

    memory: int | None = 1 << 30
    fuel: int | None = None
    output: int | None = 16 << 20
    open_files: int | None = 1024
    path: int | None = 4095
    sleep: float | None = None
    subscriptions: int | None = 4096
    stack: int | None = STACK
    compile_timeout: float | None = None
    compile_memory: int | None = None


DEFAULT_LIMITS: Final = Limits()


class LimitChanges(TypedDict, total=False):
    """The fields of `Limits`, each of them optional. Sizes may be text, such as "64MiB"."""

    memory: int | str | None
    fuel: int | None
    output: int | str | None
    open_files: int | None
    path: int | None
    sleep: float | None
    subscriptions: int | None
    stack: int | str | None
    compile_timeout: float | None
    compile_memory: int | str | None


_LEAST = Limits(memory=0, fuel=0, output=0, open_files=3, path=1, sleep=0, subscriptions=1, stack=16 << 10,
                compile_timeout=0, compile_memory=64 << 20)  # fmt: skip

_MOST: Final = {"memory": (1 << 63) - 1, "fuel": (1 << 64) - 1, "stack": (1 << 40) - 1}
"""As far as the engine counts."""


def changed(limits: Limits, changes: Mapping[str, object]) -> Limits:
    """`limits` with some of them changed. ConfigError for an unknown one, and for one that nothing could run in."""
    new: dict[str, object] = {}
    for name, value in changes.items():
        if name not in Limits._fields:
            raise ConfigError(f"there is no limit {name!r}: the limits are {', '.join(Limits._fields)}")
        kinds = (int, float) if name in ("sleep", "compile_timeout") else (int,)
        least = getattr(_LEAST, name)
        if name in _SIZES and isinstance(value, str):
            from wasihost.common.sizes import size

            value = new[name] = size(value)
            if value is None:
                raise ConfigError(f"the limit {name!r} cannot be {changes[name]!r}: give bytes, or a text as '64MiB'")
        if value is not None and not (isinstance(value, kinds) and not isinstance(value, bool) and value >= least):
            raise ConfigError(f"the limit {name!r} cannot be {value!r}: give at least {least}, or None for no limit")
        if value is not None and value > _MOST.get(name, value):
            raise ConfigError(
                f"the limit {name!r} cannot be {changes[name]!r}: give at most {_MOST[name]}, or None for no limit"
            )
    return limits._replace(**{**changes, **new})  # type: ignore[arg-type]  # checked just now


_SIZES: Final = ("memory", "output", "stack", "compile_memory")


class OutputLimit:
    """The number of bytes that a guest may still write, to one stream or to several together."""

    __slots__ = ("_left",)

    def __init__(self, left: int) -> None:
        self._left = left

    def write(self, buffers: list[memoryview], write: Callable[[list[memoryview]], int]) -> int:
        """Pass as many bytes of the buffers to `write` as may still be written, and return how many it took.

        Raises LimitExceeded after that, if bytes were left over.
        """
        part, room = [], self._left
        for buffer in buffers:
            part.append(buffer[:room])
            room -= len(part[-1])
        written = write(part) if self._left else 0
        self._left -= written
        if not self._left and written < sum(map(len, buffers)):
            raise LimitExceeded("output", "the guest wrote more than it may")
        return written
