"""Where signal handlers and tracers must not raise: what the engine's adapter sees to, and others need.

Rule of this file: it knows nobody. Who needs it puts a function here when it is imported.
"""

from collections.abc import Callable
from types import CodeType

FRAGILE: set[CodeType] = set()
"""Functions in which no signal handler may raise while a guest runs. What they call may raise."""
BUSY: set[CodeType] = set()
"""Functions in which nothing may be raised, and neither in what they call, up to a function of `FRAGILE`."""
WHEN_TRACED: list[Callable[[], None]] = []
"""Called before a guest is entered in a thread that is traced."""
