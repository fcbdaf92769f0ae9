"""How names that come from a module are displayed: its imports and exports can have any name.

Rules of this file: no import from the rest of the package; a displayed text is one line, without characters that
control a terminal.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

_LONGEST: Final = 100
_LISTED: Final = 5


def shown(name: str) -> str:
    """Return the name with control characters, line ends and bidi marks escaped as in Python, and cut if very long."""
    if len(name) > _LONGEST:
        name = name[: _LONGEST - 3] + "..."
    if name.isprintable():
        return name
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in name)


def listed(names: Sequence[str], most: int = _LISTED, more: int = 0) -> str:
    """Return the first names, as in `a, b, c and 12 more`; `more` counts those that are not in `names`."""
    rest = max(len(names) - most, 0) + more
    return ", ".join(map(shown, names[:most])) + (f" and {rest} more" if rest > 0 else "")


def near(name: str, names: Iterable[str]) -> str | None:
    """Return the one of `names` that was probably meant, or None."""
    import difflib  # only when there is a mistake to report

    found = difflib.get_close_matches(name, list(names), 1, 0.75)
    return found[0] if found else None
