"""A word on the terminal while a large module is compiled, which happens once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from wasihost.common.unpatched import threading

if TYPE_CHECKING:
    from wasihost.engines.wasmtime.compiling import Compilation

PATIENCE = 1.0
"""Seconds before anything is said."""


class Progress:
    """Says what is compiled if that takes long, and takes it back afterwards; to be given as `on_compile`."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None
        self._shown = ""

    def __call__(self, event: Compilation) -> None:
        """A compilation begins, or is over."""
        if event.seconds is None:
            self._timer = threading.Timer(PATIENCE, self._show, (event,))
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
