"""SECURITY.md: each promise names tests, and those tests exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import wasihost

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "SECURITY.md").read_text()
PROMISES = re.findall(r"^\| (P\d+) \| (.*?) \| (.*?) \|$", PAGE, re.MULTILINE)
NAMED = sorted(set(re.findall(r"`(tests/[^`]*)`", PAGE)))


@cache
def functions(file: str) -> frozenset[str]:
    """The names of a file's functions."""
    tree = ast.parse((ROOT / file).read_text())
    return frozenset(one.name for one in tree.body if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef)))


def test_every_promise_has_a_number_of_its_own_and_a_test() -> None:
    assert [name for name, _, _ in PROMISES] == [f"P{number}" for number in range(1, len(PROMISES) + 1)]
    assert [name for name, _, tests in PROMISES if not re.findall(r"`tests/.+?::test_\w+`", tests)] == []


@pytest.mark.parametrize("test", NAMED)
def test_a_test_that_is_named_exists(test: str) -> None:
    file, _, name = test.partition("::")
    assert (ROOT / file).is_file()
    assert not name or name in functions(file)


def test_a_bare_run_has_nothing() -> None:
    """P1: three streams, of which one is empty and two go nowhere; nothing else by any number."""
    memory = bytearray(65536)
    memory[8:12] = (100).to_bytes(4, "little")  # an iovec: 100 bytes at 0
    badf = 8
    with wasihost.State(lambda: memory) as state:
        assert state.environ_sizes_get(16, 20) == 0
        assert memory[16:24] == bytes(8)
        assert state.fd_read(0, 8, 1, 16) == 0
        assert memory[16:20] == bytes(4)
        for fd in range(3, 2000):
            assert state.fd_prestat_get(fd, 16) == badf
            assert state.fd_fdstat_get(fd, 16) == badf
            assert state.sock_accept(fd, 0, 16) == badf
        for fd in range(3):
            memory[100:101] = b"/"
            assert state.path_open(fd, 0, 100, 1, 0, 0, 0, 0, 16) not in (0, badf)  # no directory
