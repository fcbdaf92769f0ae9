"""Run by CPython inside a guest: tests of its own, of the package `test`. Arguments: the names of their modules.

Standard input is a list, in JSON, of tests that are not to be run. Standard output says of each test that it begins and
then what came of it, each on a line that begins with a NUL: `begin ID`, `VERDICT ID`; and in the end `end`.
"""

from __future__ import annotations

import json
import sys
import traceback
import unittest
from collections.abc import Iterator
from typing import Any


def say(*words: str) -> None:
    print("\n\0" + " ".join(words), flush=True, file=sys.__stdout__)


class Result(unittest.TestResult):
    """Says what comes."""

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self.verdict = "passed"
        say("begin", test.id())

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        say(self.verdict, test.id())

    def _ends(self, test: Any, verdict: str) -> None:
        if isinstance(test, unittest.TestCase):
            self.verdict = verdict
        else:  # a class or a module that could not be set up
            say(verdict, test.id())

    def addError(self, test: Any, err: Any) -> None:
        super().addError(test, err)
        self._ends(test, "failed")
        print(test.id(), self.errors[-1][1], file=sys.__stderr__, flush=True)

    def addFailure(self, test: Any, err: Any) -> None:
        super().addFailure(test, err)
        self._ends(test, "failed")
        print(test.id(), self.failures[-1][1], file=sys.__stderr__, flush=True)

    def addSkip(self, test: Any, reason: str) -> None:
        super().addSkip(test, reason)
        self._ends(test, "skipped")

    def addUnexpectedSuccess(self, test: Any) -> None:
        super().addUnexpectedSuccess(test)
        self._ends(test, "failed")

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.verdict = "failed"
            print(subtest.id(), "".join(traceback.format_exception(*err)), file=sys.__stderr__, flush=True)


def without(suite: unittest.TestSuite, names: set[str]) -> Iterator[unittest.TestCase | unittest.TestSuite]:
    """The suite's tests but those with these names."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield unittest.TestSuite(without(test, names))
        elif test.id() not in names:
            yield test


def main() -> None:
    names = set(json.load(sys.stdin))
    loader = unittest.TestLoader()
    suite = loader.loadTestsFromNames(sys.argv[1:])
    if loader.errors:
        sys.exit("\n".join(map(str, loader.errors)))
    unittest.TestSuite(without(suite, names)).run(Result())
    say("end")


if __name__ == "__main__":
    main()
