"""Events for `sys.addaudithook`. The events and their arguments are described in `docs/auditing.md`.

Rules of this file: there are events of runs, not of calls, so that no call is slower for them. A hook that raises
before a guest starts prevents its start; at the end of a guest, everything is released before hooks are called.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def begins(name: str, args: Sequence[bytes], isolation: str | None) -> None:
    """Event: a guest is about to be created."""
    sys.audit("wasihost.run", name, args, isolation)


def mounted(guest_path: str, source: object, read_only: bool) -> None:
    """Event: a guest gets a directory; `source` is the path of a host directory, or a Python object."""
    sys.audit("wasihost.mount", guest_path, source, read_only)


def cached(action: str, path: str) -> None:
    """Event: a compiled module is about to be read from the disk ("load"), or was written there ("store")."""
    sys.audit("wasihost.cache", action, path)


def ended(name: str, end: object, limits: Sequence[str]) -> None:
    """Event: a guest has ended; `end` is its exit status, or the class of an exception, or None if it was closed."""
    for limit in limits:
        sys.audit("wasihost.limit", name, limit)
    sys.audit("wasihost.end", name, end)
