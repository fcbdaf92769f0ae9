"""Host functions that take any signature, and stand-ins for what is never called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wasihost import ConfigError, Imports, LinkError, TrapError, instantiate, run
from wasihost.imports import Unsigned

GUEST = """(module
  (import "env" "any" (func $any (param i32 i64 f64) (result i32 i64)))
  (import "env" "one" (func $one (param f32) (result f32)))
  (import "env" "none" (func $none (param i32)))
  (import "edge" "send" (func $send (param i32 externref) (result f32)))
  (import "edge" "\\1b[2J" (func $odd))
  (import "wasi_snapshot_preview1" "sock_open" (func (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "any") (result i32 i64) (call $any (i32.const -1) (i64.const -2) (f64.const 0.5)))
  (func (export "one") (result f32) (call $one (f32.const 1.5)))
  (func (export "none") (call $none (i32.const -1)))
  (func (export "send") (drop (call $send (i32.const 1) (ref.null extern))))
  (func (export "odd") (call $odd))
  (func (export "_start") (call $none (i32.const 7))))"""
STUBS = [Imports.stub("edge"), Imports.stub("wasi_snapshot_preview1")]


def catch_all() -> tuple[Imports, list[Any]]:
    host, seen = Imports(), list[Any]()

    @host.function(name="any")
    def two(*numbers: Unsigned) -> Any:
        seen.append(numbers)
        return -1, numbers[1]

    @host.function
    def one(*numbers: float, **_unused: object) -> float:
        return numbers[0] * 2

    @host.function
    def none(first: int, *rest) -> None:  # type: ignore[no-untyped-def]  # *args need no annotation
        seen.append((first, rest))

    return host, seen


def test_a_function_that_takes_any_signature() -> None:
    host, seen = catch_all()
    with instantiate(GUEST, imports=[*STUBS, host]) as guest:
        assert guest.exports.any() == (-1, -2)
        assert guest.exports.one() == 3.0
        assert guest.exports.none() is None
    assert seen == [(2**32 - 1, 2**64 - 2, 0.5), (-1, ())]


@pytest.mark.parametrize(
    ("value", "words"), [(1, "tuple of 2"), (None, "tuple of 2"), ((1, "x"), "'x', which is no i64")]
)
def test_a_result_that_is_not_the_module_s(value: object, words: str) -> None:
    host, _ = catch_all()
    host.function(name="any")(lambda *_numbers: value)
    with instantiate(GUEST, imports=[host, *STUBS]) as guest, pytest.raises(TypeError, match=rf"env\.any.*{words}"):
        guest.exports.any()


def test_a_call_to_a_stub_ends_the_guest_and_names_it() -> None:
    host, _ = catch_all()
    with instantiate(GUEST, imports=[host, *STUBS]) as guest:
        with pytest.raises(TrapError, match=r"the guest called edge\.send, which is a stub") as caught:
            guest.exports.send()
        assert caught.value.kind == "stub"
        assert caught.value.backtrace
        with pytest.raises(TrapError) as caught:
            guest.exports.odd()
        assert r"edge.\x1b[2J" in str(caught.value)
        assert "\x1b" not in str(caught.value)
        assert guest.exports.one() == 3.0


def test_a_stub_takes_nothing_from_others() -> None:
    host, seen = catch_all()
    run(GUEST, imports=[Imports.stub("env"), host, *STUBS])
    assert seen == [(7, ())]
    with pytest.raises(LinkError, match=r"env\.shared: a global"):
        run('(module (import "env" "shared" (global i32)) (func (export "_start")))', imports=Imports.stub("env"))


def test_near_names_among_ones_own_functions() -> None:
    host, _ = catch_all()
    text = '(module (import "env" "nnoe" (func)) (memory (export "memory") 1) (func (export "_start")))'
    with pytest.raises(LinkError, match="did you mean none"):
        run(text, imports=host)
    with pytest.raises(LinkError, match="did you mean the module edge"):
        run(text.replace("env", "egde"), imports=Imports("edge"))


def command(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "wasihost", *arguments], capture_output=True, check=False, timeout=120)


def test_the_command_has_stubs_too(tmp_path: Path) -> None:
    module = tmp_path / "edge.wat"
    module.write_text(GUEST)
    stubs = ["--stub", "edge", "--stub=wasi_snapshot_preview1"]
    done = command("run", *stubs, str(module))
    assert done.returncode == 2
    assert b"edge.wat: imports from env: any, one, none: unknown" in done.stderr
    assert b"--stub env" in done.stderr
    done = command("run", *stubs, "--stub", "env", str(module))
    assert done.returncode == 134
    assert b"the guest called env.none, which is a stub" in done.stderr


def test_wasi_itself_is_not_overridden_by_imports() -> None:
    with pytest.raises(ConfigError, match="WASI's own"):
        Imports("wasi_snapshot_preview1")
