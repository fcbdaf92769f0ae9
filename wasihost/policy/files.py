"""A policy as a TOML file, in both directions.

Rules of this file: what is read is text of others, so every mistake in it is one line that names the file. What is
written is for people: sorted, one path a line, with a word on what it means.
"""

from __future__ import annotations

import json
import os
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from wasihost.common.names import near, shown
from wasihost.errors import ConfigError

T = TypeVar("T")

VERSION: Final = 1
_TOP: Final = ("version", "env", "clocks", "random", "sockets", "files", "limits")
_FILES: Final = ("read", "write")


class Rules(Protocol):
    """A policy, as far as it is written down here."""

    @property
    def random(self) -> bool: ...
    @property
    def sockets(self) -> tuple[str, ...]: ...
    @property
    def limits(self) -> Mapping[str, Any]: ...


_HEAD: Final = """\
# What a guest may do; everything else is refused. `wasihost run --policy FILE` and `policy=` of Python run under it.
version = 1
"""
_FILES_HEAD: Final = """
[files]
# A path stands for that file or directory; with / at its end, also for everything below. Links are resolved first.
"""
_LIMITS_HEAD: Final = """
[limits]
# At most this, or what the run itself sets if that is less.
"""


def load(path: str | os.PathLike[str], make: Callable[..., T]) -> T:
    """Return what `make` makes of the rules in a file, which it gets by name. Raises: ConfigError, which names it."""
    label = shown(os.fspath(path))
    try:
        given = tomllib.loads(Path(path).read_bytes().decode())
    except OSError as error:
        raise ConfigError(f"the policy {label} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the policy {label} is not UTF-8, at byte {error.start}") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"the policy {label} is not TOML: {error}") from None
    try:
        return make(**_rules(given))
    except ConfigError as error:
        raise ConfigError(f"the policy {label}: {error}") from None


def _rules(given: dict[str, Any]) -> dict[str, Any]:
    _check_names(given, _TOP, "")
    version = given.pop("version", VERSION)
    if version != VERSION or isinstance(version, bool):
        raise ConfigError(f"version is {version!r}, and this is version {VERSION}: it is for another wasihost")
    files, limits = _table(given, "files"), _table(given, "limits")
    _check_names(files, _FILES, "files.")
    return {**given, **files, "limits": limits}


def _table(given: dict[str, Any], name: str) -> dict[str, Any]:
    table = given.pop(name, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{name} is a table, [{name}], not {table!r}")
    return table


def _check_names(given: dict[str, Any], known: Sequence[str], place: str) -> None:
    for name in given:
        if name not in known:
            meant = near(name, known)
            hint = f"; did you mean {meant}?" if meant else f": there are {', '.join(known)}"
            raise ConfigError(f"it has {place}{shown(name)}{hint}")


def text_of(policy: Rules, notes: Iterable[str] = ()) -> str:
    """Return a policy as TOML, with these comments below its head."""
    lines = [_HEAD, *(f"# {shown(note)}\n" for note in notes), "\n"]
    lines += [f"{name} = {_inline(getattr(policy, name))}\n" for name in ("env", "clocks")]
    lines.append(f"random = {json.dumps(policy.random)}\n")
    if policy.sockets:
        lines.append(f"sockets = {_inline(policy.sockets)}\n")
    lines.append(_FILES_HEAD)
    lines += [f"{name} = {_listed(getattr(policy, name))}\n" for name in _FILES]
    if policy.limits:
        lines.append(_LIMITS_HEAD)
        lines += [f"{name} = {quoted(value)}\n" for name, value in policy.limits.items() if value is not None]
    return "".join(lines)


def quoted(value: Any) -> str:
    """Return a text or a number as TOML has it, in one line. Its texts are those of JSON, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _inline(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(quoted, texts))}]"


def _listed(texts: Sequence[str]) -> str:
    return "".join(("[\n", *(f"  {quoted(text)},\n" for text in texts), "]")) if texts else "[]"


def save(text: str, path: str | os.PathLike[str]) -> None:
    """Write a policy's text to a file: all of it, or nothing. Raises: ConfigError."""
    target = Path(path)
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=target.parent, prefix=".policy-", delete=False
        ) as made:
            try:
                made.write(text)
                made.flush()
                os.fchmod(made.fileno(), 0o644)
                os.replace(made.name, target)
            except BaseException:
                os.unlink(made.name)
                raise
    except OSError as error:
        raise ConfigError(f"the policy {shown(os.fspath(path))} cannot be written: {error.strerror}") from error
