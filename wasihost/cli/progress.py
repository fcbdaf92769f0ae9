"""A message on the terminal while a large module is compiled for the first time."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from wasihost.common.unpatched import threading

if TYPE_CHECKING:
    from wasihost.engines.values import Compilation

DELAY = 1.0
"""Seconds of compiling before the message appears."""


class Progress:
    """Prints a message if compiling takes long, and erases it afterwards. Pass it as `on_compile`."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None
        self._shown = ""

    def __call__(self, event: Compilation) -> None:
        """Called when a compilation begins (`seconds` is None) and when it is over."""
        if event.seconds is None:
            self._timer = threading.Timer(DELAY, self._show, (event,))
            self._timer.daemon = True
            self._timer.start()
        elif self._timer is not None:
            self._timer.cancel()
            self._timer.join()
            if self._shown:
                self._print(f"\r{' ' * len(self._shown)}\r")
                self._shown = ""

    def _show(self, event: Compilation) -> None:
        self._shown = f"compiling {event.name} ({event.size / 1e6:.1f} MB), once ..."
        self._print(self._shown)

    def _print(self, text: str) -> None:
        print(text, end="", file=sys.stderr, flush=True)
