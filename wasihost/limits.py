"""What a guest may use of its host, with safe defaults.

A guest that goes beyond gets the errno or the refusal that the spec has for it where it has one; what it has none for
ends the run with `LimitExceeded`, which names the limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypedDict

from wasihost.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


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


def checked_size(name: str, value: object) -> int | None:
    """Bytes or a count that an object of ours is given as a limit, sizes also as text. ConfigError for what is none."""
    number = size(value) if isinstance(value, str) else value
    if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 0):
        number = None
    if number is None and value is not None:
        raise ConfigError(
            f"{name} cannot be {value!r}: give a number from 0 on, a size as '64MiB', or None for no limit"
        )
    return number


_SIZES: Final = ("memory", "output", "stack", "compile_memory")
_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def size(text: str) -> int | None:
    """Bytes: 1048576, 64MiB, 64M, 1GiB. None for what is no size."""
    import re  # which a run without sizes does without

    found = re.fullmatch(r"(\d{1,30})\s*([kmg]?)(i?b)?", text.strip().lower())
    return int(found[1]) * _UNITS[found[2]] if found else None
