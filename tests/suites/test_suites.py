"""The comparison itself: what is lost, what is gained, what crashes or hangs.

The toolchains' own tests take long to compile: `make go-tests` and `make suites` run them.
"""

from __future__ import annotations

import pytest

from tests.suites.__main__ import SUITES
from tests.suites.accepted import ACCEPTED
from tests.suites.child import OURS, WASMTIME
from tests.suites.compare import compare
from tests.suites.go import PACKAGES, GoPackage
from tests.suites.program import CRASHED, FAILED, HUNG, PASSED, SKIPPED, SuiteError
from tests.support.guests import build_c, wat


@pytest.mark.parametrize("host", [WASMTIME, "memory"])
def test_a_crash_or_a_hang_loses_only_that_test(host: str) -> None:
    program = GoPackage("io/fs", module=build_c("verdicts"))
    expected = {"TestPasses": PASSED, "TestTraps": CRASHED, "TestHangs": HUNG, "TestIsSkipped": SKIPPED}
    assert program.verdicts(host, 6) == expected


def test_a_program_without_verdicts_is_an_error() -> None:
    with pytest.raises(SuiteError, match=r"fs brought no verdict on host: .*wasm trap"):
        GoPackage("io/fs", module=wat("trap")).verdicts("host", 60)


def test_lost_and_gained() -> None:
    there = {"a": PASSED, "b": PASSED, "c": SKIPPED, "d": FAILED, "e": PASSED, "f": PASSED, "g": PASSED, "h": CRASHED}
    here = {"a": PASSED, "b": SKIPPED, "c": FAILED, "d": HUNG, "f": FAILED, "g": PASSED, "h": FAILED, "i": PASSED}
    compared = compare(there, here, ["f", "g", "of another program"])
    assert compared.lost == [
        "b: passed there, skipped here",
        "c: skipped there, failed here",
        "d: failed there, hung here",
        "e: passed there, no verdict here",
    ]
    assert compared.gained == ["h: crashed there, failed here", "i: no verdict there, passed here"]
    assert (compared.agree, compared.passed, compared.tests) == (2, 2, 9)
    assert (compared.accepted, compared.needless) == (["f"], ["g"])


def test_accepted_differences_name_existing_suites() -> None:
    assert {one.suite for one in ACCEPTED} <= SUITES.keys()
    assert {one.program for one in ACCEPTED if one.suite == "go"} <= set(PACKAGES)
    assert all(set(one.hosts) <= set(OURS) and one.reason for one in ACCEPTED)
