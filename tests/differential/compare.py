"""Where two runs of a script differ, and how that is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from wasi_preview1.types import Errno

from tests.conformance.steps import Step
from tests.differential.accepted import CHANGE_NOTHING, reason
from tests.differential.hosts import Ran, both
from tests.differential.scripts import TREE, told


class Differs(AssertionError):
    """The two hosts do not agree, and that is not on the list."""


def compare(script: Sequence[Step], met: Counter[str]) -> int:
    """Run a script on both and return how many calls were compared; `met` counts the accepted differences by reason.

    Raises `Differs` with the script as text, and what both said of its last call.
    """
    ours, theirs = both(script, TREE)
    for number, step in enumerate(script):
        if number == min(len(ours.calls), len(theirs.calls)):
            raise Differs(f"{_lines(script[: number + 1])}  trapped on {_who_trapped(ours, theirs)}")
        one, other = ours.calls[number], theirs.calls[number]
        if one == other:
            continue
        why = reason(step, one, other)
        if why is None:
            raise Differs(f"{_lines(script[: number + 1])}  ours    {_said(one)}\n  theirs  {_said(other)}")
        met[why] += 1
        if not (one[0] and other[0]) and step.function not in CHANGE_NOTHING:
            return number  # from here on the two are in different worlds
    if ours.tree != theirs.tree:
        paths = [path for path in {*ours.tree, *theirs.tree} if ours.tree.get(path, 0) != theirs.tree.get(path, 0)]
        found = [f"{path}: {_left(ours, path)} and {_left(theirs, path)}" for path in paths]
        raise Differs(f"{_lines(script)}  left behind {'; '.join(found)}")
    return len(script)


def smallest(script: Sequence[Step]) -> str:
    """The difference of a script that has one, without the steps that it does not need."""
    said = ""
    left = list(script)
    index = len(left)
    while index >= 0:
        shorter = left[:index] + left[index + 1 :]
        try:
            compare(shorter, Counter())
        except Differs as error:
            left, said = shorter, str(error)
        index -= 1
    return said


def _lines(script: Sequence[Step]) -> str:
    return "".join(f"  {told(step)}\n" for step in script)


def _left(ran: Ran, path: str) -> str:
    return repr(ran.tree[path]) if path in ran.tree else "nothing"


def _said(one: tuple[Errno, Any]) -> str:
    return one[0].name if one[1] is None else f"{one[0].name} {one[1]!r:.300}"


def _who_trapped(ours: Ran, theirs: Ran) -> str:
    if len(ours.calls) == len(theirs.calls):
        return "both"
    return "ours" if len(ours.calls) < len(theirs.calls) else "theirs"
