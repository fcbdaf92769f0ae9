"""What `sys.addaudithook` is told of guests. The events and their arguments are in `docs/auditing.md`.

Rules of this file: events are of runs, not of calls, so that no call pays for them. A hook that raises before a guest
begins keeps it from beginning; at its end all is given back before hooks are told.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def begins(name: str, args: Sequence[bytes], isolation: str | None) -> None:
    """A guest is about to be made."""
    sys.audit("wasihost.run", name, args, isolation)


def mounted(guest_path: str, source: object, read_only: bool) -> None:
    """A guest gets a directory: of the host, by its path, or a file system of Python's."""
    sys.audit("wasihost.mount", guest_path, source, read_only)


def cached(action: str, path: str) -> None:
    """A compiled module is about to be taken ("load") from the disk, or was written there ("store")."""
    sys.audit("wasihost.cache", action, path)


def ended(name: str, end: object, limits: Sequence[str]) -> None:
    """A guest is gone: by which exit status, or by an exception of which class (None: it was only closed)."""
    for limit in limits:
        sys.audit("wasihost.limit", name, limit)
    sys.audit("wasihost.end", name, end)
