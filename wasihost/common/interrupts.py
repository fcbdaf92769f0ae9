"""Functions in which signal handlers and tracers must not raise. The engine's adapter defers what would.

Rule of this file: it imports nothing of the package. Other modules add their functions when they are imported.
"""

from __future__ import annotations

from types import CodeType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

FRAGILE: set[CodeType] = set()
"""Functions in which no signal handler may raise while a guest runs. What they call may raise."""
BUSY: set[CodeType] = set()
"""Functions in which nothing may be raised, nor in functions that they call, except below one of `FRAGILE`."""
WHEN_TRACED: list[Callable[[], None]] = []
"""Called before a guest is entered in a thread that has a tracer."""
