"""The options `record`, `replay` and `cassette` of a run."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Mapping
from typing import Any, Final

from wasihost.cassettes.cassette import Cassette, Mode
from wasihost.errors import ConfigError

_MODES: Final[dict[str, Mode]] = {"record": "all", "replay": "none", "cassette": "once"}
"""Option -> the mode of a cassette that is given by its path."""
_NOT_WITH: Final = ("record", "replay", "cassette", "isolation", "policy", "learn")


def cassette_of(option: str, given: Any, options: Mapping[str, Any]) -> Cassette:
    """Return the cassette of a run. ConfigError for what is none, or with options that cannot be beside it."""
    for other in _NOT_WITH:
        if other != option and options.get(other) is not None:
            raise ConfigError(f"give either {option} or {other}, not both")
    if isinstance(given, Cassette):
        if option != "cassette" and given.mode != _MODES[option]:
            raise ConfigError(f"a Cassette has its own mode, {given.mode!r}: give cassette=..., not {option}")
        return given
    if not isinstance(given, (str, os.PathLike)):
        raise ConfigError(f"{option} cannot be {reprlib.repr(given)}: give a path, or a wasihost.cassettes.Cassette")
    return Cassette(given, _MODES[option])
