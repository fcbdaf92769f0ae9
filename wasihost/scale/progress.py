"""How far a map is: a bar of tqdm, or a function of the caller's."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeAlias

from wasihost.errors import ConfigError

Progress: TypeAlias = "bool | Callable[[int, int | None], object] | None"
"""True for a bar of tqdm; or a function, called with how many results there are, and how many there will be (None if
that is not known)."""


class Reporter:
    """Passes on how many results there are. Close it at the end."""

    def __init__(self, progress: Progress, total: int | None, label: str) -> None:
        self._total = total
        self._done = 0
        self._bar: Any = None
        self._function: Callable[[int, int | None], object] | None = None
        if progress is True:
            try:
                tqdm: Any = import_module("tqdm.auto").tqdm
            except ImportError:
                raise ConfigError(
                    "progress=True shows a bar of tqdm, which is not installed: pip install tqdm, or pass a function "
                    "progress(done, total)"
                ) from None
            self._bar = tqdm(total=total, desc=label, unit="run")
        elif callable(progress):
            self._function = progress
        elif progress is not None and progress is not False:
            raise ConfigError(f"progress cannot be {progress!r}: pass True, or a function progress(done, total)")

    def step(self) -> None:
        """There is one more result."""
        self._done += 1
        if self._bar is not None:
            self._bar.update(1)
        elif self._function is not None:
            self._function(self._done, self._total)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()
