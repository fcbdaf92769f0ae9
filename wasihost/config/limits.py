"""What a guest may use of its host, with safe defaults.

A guest that exceeds a limit gets the spec's errno (or a failing `memory.grow`) if there is one; otherwise the run ends
with `LimitExceeded`, which names the limit.
"""

from __future__ import annotations

from wasi_preview1.light_typing import NamedTuple

from wasihost.errors import ConfigError, LimitExceeded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final


STACK: Final = 512 << 10
"""Bytes of stack for a guest's calls by default; less if the thread has less."""


class Limits(NamedTuple):
    """The limits of one guest. None means that there is no limit.

    | limit | unit | default | beyond it |
    | --- | --- | --- | --- |
    | `memory` | bytes of all memories and tables | 1 GiB | `memory.grow` fails; LimitExceeded at the start |
    | `fuel` | units of work, about one per wasm instruction | None | LimitExceeded |
    | `output` | bytes kept of each captured stream | 16 MiB | the rest is dropped and the result says so |
    | `open_files` | descriptors, the standard streams and preopens included | 1,024 | MFILE |
    | `path` | bytes of a path | 4,095 | NAMETOOLONG |
    | `sleep` | seconds of one wait | None | LimitExceeded |
    | `subscriptions` | subscriptions of one `poll_oneoff` | 4,096 | INVAL |
    | `stack` | bytes of the thread's stack for a guest's calls; None: all of it | 512 KiB | TrapError |
    | `compile_timeout` | seconds to compile the module | None | LimitExceeded |
    | `compile_memory` | bytes of memory to compile the module | None | LimitExceeded |

    With `compile_timeout` or `compile_memory` the module is compiled in a process of its own, which adds a tenth of a
    second.
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


_LEAST = Limits(
    memory=0,
    fuel=0,
    output=0,
    open_files=3,
    path=1,
    sleep=0,
    subscriptions=1,
    stack=16 << 10,
    compile_timeout=0,
    compile_memory=64 << 20,
)

_MOST: Final = {"memory": (1 << 63) - 1, "fuel": (1 << 64) - 1, "stack": (1 << 40) - 1}
"""The largest values that the engine can count to."""


def changed(limits: Limits, changes: Mapping[str, object]) -> Limits:
    """Return `limits` with `changes` applied.

    Raises:
        ConfigError: There is no such limit, the value has the wrong type, or no guest could run within it.
    """
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
