"""How memory limits are counted, by every engine: bytes of memories, and of tables beyond some that do not count."""

from __future__ import annotations

from wasihost.errors import LimitExceeded

ELEMENT = 8
"""Bytes per table element."""
FREE = 1 << 16
"""Bytes of tables that do not count against the memory limit, so that a limit of 64 MiB allows a memory of 64 MiB."""
_MIB = 1 << 20


def too_much(why: str, limit: int | None) -> LimitExceeded:
    """Return the error for a module that needs more memory than its limit."""
    given = "" if limit is None else f", and may have {shown(limit)}: give more by max_memory, or --max-memory"
    return LimitExceeded("memory", f"the module asks for more memory than it is given: {why}{given}")


def shown(size: int) -> str:
    """Return a size in bytes as text, in KiB or MiB."""
    return f"{size / _MIB:,.6g} MiB" if size >= _MIB else f"{size / 1024:.4g} KiB"
