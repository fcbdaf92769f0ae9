"""Two hosts' verdicts on the same tests: which agree, which are lost here, which are gained."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tests.suites.program import PASSED, VERDICTS, Verdicts

NONE = "no verdict"
"""Worse than all others: the test did not run."""
_ORDER = (*VERDICTS, NONE)


@dataclass
class Comparison:
    """How many agree, and how many of them passed; the others as `TEST: verdict there, verdict here`.

    `lost` is worse here than there, `gained` is better.
    """

    passed: int
    agree: int
    lost: list[str]
    gained: list[str]
    accepted: list[str]
    needless: list[str]

    @property
    def tests(self) -> int:
        """How many there are on either host."""
        return self.agree + len(self.lost) + len(self.gained) + len(self.accepted)


def compare(there: Verdicts, here: Verdicts, accepted: Collection[str] = ()) -> Comparison:
    """Those in `accepted` may be lost; such a one that is not is `needless`."""
    compared = Comparison(0, 0, [], [], [], [])
    for name in sorted(there.keys() | here.keys()):
        expected, got = there.get(name, NONE), here.get(name, NONE)
        line = f"{name}: {expected} there, {got} here"
        if expected == got:
            compared.agree += 1
            compared.passed += got == PASSED
        elif _ORDER.index(got) < _ORDER.index(expected):
            compared.gained.append(line)
        elif name in accepted:
            compared.accepted.append(name)
        else:
            compared.lost.append(line)
    compared.needless = sorted(set(accepted) & there.keys() - set(compared.accepted))
    return compared
