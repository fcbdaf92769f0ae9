"""Our own door in Python: one instance after another uses the linker and the callbacks of its module."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import wasihost
from wasihost.native import extension

pytestmark = pytest.mark.skipif(extension is not None, reason="with the extension, all runs share one linker")

GUEST = b"""(module
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "env" "seen" (func $seen (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (drop (call $random (i32.const 0) (i32.const 1)))
    (call $seen (i32.load8_u (i32.const 0)))))"""


class Source:
    """Random bytes that are all the same."""

    def __init__(self, byte: int) -> None:
        self.byte = byte

    def read(self, size: int) -> bytes:
        return bytes([self.byte]) * size


def run(module: wasihost.Module, byte: int, error: Exception | None = None) -> int:
    """The byte that the guest got from its own source and passed to its own function."""
    found: list[int] = []
    host = wasihost.Imports("env")

    @host.function
    def seen(number: int) -> None:
        found.append(number)
        if error is not None:
            raise error

    wasihost.run(module, wasihost.ModuleConfig().with_rand_source(Source(byte)), imports=[host])
    return found[0]


def bindings(module: wasihost.Module) -> list[Any]:
    compiled: Any = module.compiled(interruptible=True)
    return list(compiled.bindings)


def test_runs_use_one_binding_and_each_calls_its_own_host() -> None:
    module = wasihost.Module(GUEST)
    assert [run(module, byte) for byte in (1, 2, 3)] == [1, 2, 3]
    (binding,) = bindings(module)
    assert run(module, 4) == 4
    assert bindings(module) == [binding]


def test_what_a_run_leaves_does_not_reach_the_next() -> None:
    module = wasihost.Module(GUEST)
    assert run(module, 1) == 1
    (binding,) = bindings(module)
    error = KeyError("mine")
    for _ in range(3):
        with pytest.raises(KeyError) as caught:
            run(module, 2, error)
        assert caught.value is error
        assert (bindings(module), binding.raised) == ([binding], [])
        assert run(module, 3) == 3
    held = [cell.cell_contents for cell in binding._cells]
    assert held == [None, None]  # no handler and no guest is kept


def test_runs_at_the_same_time_have_bindings_of_their_own() -> None:
    module = wasihost.Module(GUEST)
    wrong: list[tuple[int, int]] = []

    def work(byte: int) -> None:
        for _ in range(50):
            if (got := run(module, byte)) != byte:
                wrong.append((byte, got))

    threads = [threading.Thread(target=work, args=(byte,)) for byte in range(1, 5)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not wrong
    assert 1 <= len(bindings(module)) <= 4
