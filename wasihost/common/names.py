"""How names that come from a module are shown: a module may call its imports and exports anything.

Rules of this file: no import from the rest of the package; a shown text is one line, and nothing in it does anything to
a terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

_LONGEST: Final = 100
_LISTED: Final = 5


def shown(name: str) -> str:
    """The name with control characters, line ends and what reorders text escaped as in Python, and cut if very long."""
    if len(name) > _LONGEST:
        name = name[: _LONGEST - 3] + "..."
    if name.isprintable():
        return name
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in name)


def listed(names: Sequence[str], most: int = _LISTED) -> str:
    """`a, b, c and 12 more`."""
    rest = len(names) - most
    return ", ".join(map(shown, names[:most])) + (f" and {rest} more" if rest > 0 else "")


def near(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that was probably meant."""
    import difflib  # which a run without mistakes does without

    found = difflib.get_close_matches(name, list(names), 1, 0.75)
    return found[0] if found else None
