"""The checks notice a module that ends the process or raises an unexpected exception; what random modules contain."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import given

from tests.fuzz import module_checks, module_child, modules
from tests.fuzz.budget import quick
from wasihost import ModuleError
from wasihost.inspection import inspect

EMPTY = modules.HEADER


def test_the_end_of_the_process_is_noticed_and_another_is_started() -> None:
    child = module_checks.Child(None)
    try:
        assert child.ask(EMPTY).startswith("well well")
        assert child.process
        os.kill(child.process.pid, signal.SIGSTOP)  # so that it does not read what comes next
        os.kill(child.process.pid, signal.SIGKILL)
        with pytest.raises(module_checks.Broken, match=f"the process ended with -{int(signal.SIGKILL)}"):
            child.ask(EMPTY)
        assert child.ask(EMPTY).startswith("well well")
    finally:
        child.close()


def test_another_exception_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_code: bytes, _name: str) -> None:
        raise IndexError("a bug")

    monkeypatch.setattr(module_child, "inspect", broken)
    assert module_child.tried(EMPTY).startswith("!IndexError after []: ")


def test_random_modules_are_of_use() -> None:
    """Of those that are tried, enough are read to their end, and some are refused."""
    ends = []

    @quick(60)
    @given(modules.modules)
    def look(module: bytes) -> None:
        assert modules.parse(modules.text(module)) == module
        try:
            ends.append(len(inspect(module, "guest").exports))
        except ModuleError:
            ends.append(-1)

    look()
    assert sum(end > 0 for end in ends) > len(ends) // 5
    assert -1 in ends
