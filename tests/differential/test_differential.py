"""A few scripts on both hosts, the same every time, and that differences are found, said and made small."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from wasi_preview1.types import Oflags

from tests.conformance import steps
from tests.conformance.case import Tree
from tests.conformance.steps import Slot, Step
from tests.differential import accepted, hosts
from tests.differential.compare import Differs, compare, smallest
from tests.differential.scripts import TREE, scripts
from tests.fuzz.budget import quick

SCRIPT = [
    steps.fd_filestat_get(3),
    steps.path_open("new", Oflags.CREAT),
    steps.fd_write(Slot(0), b"text"),
    steps.path_symlink("new", "link"),
    steps.path_filestat_get("link"),
    steps.fd_readdir(3, 4096),
]


def test_the_two_hosts_agree() -> None:
    @quick(40)
    @given(scripts)
    def holds(script: list[Step]) -> None:
        compare(script, Counter())

    holds()


def test_a_script_does_what_it_says_on_both() -> None:
    ours, theirs = hosts.both(SCRIPT, TREE)
    assert ours == theirs
    assert [errno.name for errno, _ in ours.calls] == ["SUCCESS"] * len(SCRIPT)
    assert ours.calls[2][1] == (4, b"")
    assert ours.calls[4][1] == {
        "filetype": "REGULAR_FILE", "nlink": 1, "size": 4, "atim": "recent", "mtim": "recent",
    }  # fmt: skip
    assert ours.tree["new"] == b"text"


def test_a_difference_is_found_and_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepted, "ACCEPTED", ())
    script = [*SCRIPT, steps.fd_sync(3), steps.fd_tell(Slot(0))]
    with pytest.raises(Differs):
        compare(script, Counter())
    assert smallest(script) == "  fd_sync(3)\n  ours    SUCCESS b''\n  theirs  BADF"


def test_a_difference_of_the_trees_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def both(script: list[Step], tree: Tree) -> tuple[hosts.Ran, hosts.Ran]:
        ours, theirs = real(script, tree)
        return ours, theirs._replace(tree={**theirs.tree, "new": b"other"})

    real = hosts.both
    monkeypatch.setattr("tests.differential.compare.both", both)
    with pytest.raises(Differs, match="left behind new: b'text' and b'other'"):
        compare(SCRIPT, Counter())
