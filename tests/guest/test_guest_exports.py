"""Guests that import from guests: numbers pass, nothing is shared, and they end together."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.support.guests import build_c
from tests.support.timing import few_tries, in_time
from wasihost import (
    ConfigError,
    ExitError,
    Imports,
    Instance,
    LinkError,
    Module,
    TimeoutExpired,
    TrapError,
    instantiate,
    run,
)

SHELF = Module(build_c("shelf", "-mexec-model=reactor"))

USER = """(module
  (import "shelf" "put" (func $put (param i64)))
  (import "shelf" "get" (func $get (result i64)))
  (import "shelf" "leave" (func $leave (param i32)))
  (import "shelf" "fall" (func $fall))
  (import "shelf" "spin" (func $spin))
  (import "shelf" "rest" (func $rest (param i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "add") (param i64) (result i64)
    (call $put (i64.add (call $get) (local.get 0))) (call $get))
  (func (export "leave") (param i32) (call $leave (local.get 0)))
  (func (export "fall") (call $fall))
  (func (export "spin") (call $spin))
  (func (export "rest") (param i32) (call $rest (local.get 0)))
  (func (export "_start") (call $leave (i32.wrap_i64 (call $get)))))"""


@pytest.fixture
def shelf() -> Instance:
    return instantiate(SHELF, capture_output=True)


def test_numbers_pass_and_nothing_else_does(shelf: Instance) -> None:
    with shelf, instantiate(USER, imports=shelf.as_imports("shelf"), capture_output=True) as user:
        assert user.exports.add(1) == 43
        assert user.exports.add(-(2**62)) == 43 - 2**62
        assert shelf.exports.get() == 43 - 2**62
        assert shelf.stdout == f"keeps 43\nkeeps {43 - 2**62}\n".encode()
        assert user.stdout == b""
        assert len(user.memory) == 65536 != len(shelf.memory)


def test_every_kind_of_number_and_several_results() -> None:
    types = "(param i32 i64 f32 f64) (result i64 f64 i32 f32)"
    mixer = f"""(module (func (export "mix") {types}
      (i64.mul (local.get 1) (i64.extend_i32_s (local.get 0))) (f64.neg (local.get 3))
      (i32.sub (i32.const 0) (local.get 0)) (f32.neg (local.get 2))))"""
    user = f"""(module (import "m" "mix" (func $mix {types})) (func (export "mix") {types}
      (call $mix (local.get 0) (local.get 1) (local.get 2) (local.get 3))))"""
    with instantiate(mixer) as lib, instantiate(user, imports=[lib.as_imports("m")]) as guest:
        assert guest.exports.mix(-3, 2**40, 0.5, -1e300) == (-3 * 2**40, 1e300, 3, -0.5)
        assert guest.exports.mix(2**32 - 1, 2**64 - 1, 2, 3) == (1, -3.0, 1, -2.0)


def test_beside_functions_of_python(shelf: Instance) -> None:
    host = Imports("env")

    @host.function
    def double(number: int) -> int:
        return 2 * number

    text = """(module (import "shelf" "get" (func $get (result i64)))
      (import "env" "double" (func $double (param i64) (result i64)))
      (func (export "both") (result i64) (call $double (call $get))))"""
    with shelf, instantiate(text, imports=[host, shelf.as_imports("shelf")]) as guest:
        assert guest.exports.both() == 84


def test_the_called_guest_s_end_is_the_calling_one_s(shelf: Instance) -> None:
    with shelf, instantiate(USER, imports=shelf.as_imports("shelf")) as user:
        with pytest.raises(TrapError, match="unreachable"):
            user.exports.fall()
        with pytest.raises(ExitError) as caught:
            user.exports.leave(5)
        assert caught.value.code == 5
        assert user.exports.add(1) == 43
        assert run(USER, imports=shelf.as_imports("shelf")).returncode == 43


@pytest.mark.parametrize("what", ["spin", "rest"])
@few_tries
def test_the_calling_guest_s_time_is_the_called_one_s(what: str) -> None:
    numbers = (60_000,) if what == "rest" else ()
    with instantiate(SHELF, capture_output=True) as shelf, instantiate(USER, imports=shelf.as_imports("shelf")) as user:
        begin = time.perf_counter()
        with pytest.raises(TimeoutExpired) as caught:
            user.call(what, *numbers, timeout=0.1)
        assert caught.value.timeout == 0.1
        in_time(time.perf_counter() - begin, 0.1, 0.4)
        assert user.exports.add(1) == 43
        timer = threading.Timer(0.1, user.end, (RuntimeError("enough"),))
        timer.start()
        with pytest.raises(RuntimeError, match="enough"):
            user.call(what, *numbers)
        timer.join()
        assert user.exports.add(1) == 44
        shelf.exports.rest(20)  # its own time is its own again


def test_an_uninterruptible_guest_with_a_timeout_is_refused() -> None:
    """In another thread, a guest made without a timeout computes without looking, if it was compiled so."""
    told: list[BaseException] = []
    plain = Module(SHELF, interruptible=False)

    def work() -> None:
        with instantiate(plain) as shelf:
            imports = shelf.as_imports("shelf")
            with instantiate(USER, imports=imports, timeout=5) as user, pytest.raises(ConfigError) as caught:
                user.call("spin", timeout=0.1)
            told.append(caught.value)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "instantiate it with a timeout" in str(told[0])


def test_imports_that_do_not_fit_the_other_guest(shelf: Instance) -> None:
    imports = shelf.as_imports("shelf")
    with shelf:
        with pytest.raises(LinkError, match=r"shelf\.drop: .*exports no such function, but _initialize, fall, get"):
            instantiate('(module (import "shelf" "drop" (func)))', imports=imports)
        with pytest.raises(LinkError, match=r"has \(i32\) -> \(\), .* has \(i64\) -> \(\)"):
            instantiate('(module (import "shelf" "put" (func (param i32))))', imports=imports)
        with pytest.raises(LinkError, match=r"import shelf\.memory: a shared memory"):
            instantiate('(module (import "shelf" "memory" (memory 1 2 shared)))', imports=imports)
        with pytest.raises(ConfigError, match="WASI's own"):
            shelf.as_imports("wasi_snapshot_preview1")


def test_a_chain_of_guests_has_an_end() -> None:
    """In each of them the guest uses most of the stack that it may before it calls the next."""
    deep = """(module {} (func $r (param i32 i32) (if (local.get 0)
        (then (call $r (i32.sub (local.get 0) (i32.const 1)) (local.get 1))) (else {})))
      (func (export "f") (param i32) (call $r (local.get 0) (local.get 0))))"""
    guests = [instantiate(deep.format("", "(nop)"))]
    middle = Module(deep.format('(import "next" "f" (func $next (param i32)))', "(call $next (local.get 1))"))
    for _ in range(30):
        guests.append(instantiate(middle, imports=guests[-1].as_imports("next")))
    guests[7].exports.f(9000)
    for _ in range(2):
        with pytest.raises(RecursionError, match="more than 8 deep"):
            guests[-1].exports.f(9000)
    guests[7].exports.f(9000)
    for guest in guests:
        guest.close()


def test_a_guest_in_the_middle_of_a_chain_ends_with_the_first() -> None:
    """The first calls one that calls back, and from there another one; then the one in the middle computes."""
    host = Imports("env")

    @host.function
    def back() -> None:
        first.exports.other()

    middle = """(module (import "env" "back" (func $back)) (func (export "spin") (call $back) (loop (br 0))))"""
    text = """(module (import "middle" "spin" (func $spin)) (import "last" "nothing" (func $nothing))
      (func (export "go") (call $spin)) (func (export "other") (call $nothing)))"""
    with (
        instantiate(middle, imports=host) as second,
        instantiate('(module (func (export "nothing")))') as third,
        instantiate(text, imports=[second.as_imports("middle"), third.as_imports("last")]) as first,
    ):
        timer = threading.Timer(0.1, first.end, (RuntimeError("enough"),))
        timer.start()
        begin = time.perf_counter()
        with pytest.raises(RuntimeError, match="enough"):
            first.exports.go(timeout=5)
        assert time.perf_counter() - begin < 4
        timer.join()


def test_a_closed_guest_says_so(shelf: Instance) -> None:
    with instantiate(USER, imports=shelf.as_imports("shelf")) as user:
        shelf.close()
        with pytest.raises(RuntimeError, match="closed"):
            user.exports.add(1)


def test_the_command_preloads(tmp_path: Path) -> None:
    guest = tmp_path / "user.wat"
    guest.write_text(USER)

    def wasihost(*arguments: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "wasihost", "run", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    shelf = f"shelf={build_c('shelf', '-mexec-model=reactor')}"
    assert wasihost("--preload", shelf, str(guest)) == (42, "", "")
    assert wasihost("--preload", shelf, "--invoke", "add", str(guest), "8") == (0, "keeps 50\n50\n", "")
    assert wasihost("--preload", shelf, "--invoke", "leave", str(guest), "9") == (9, "", "")
    status, _, said = wasihost("--preload", "shelf", str(guest))
    assert status == 2
    assert "'shelf' is not NAME=FILE" in said
    status, _, said = wasihost("--preload", "shelf=nowhere.wasm", str(guest))
    assert (status, said) == (2, "wasihost: nowhere.wasm: No such file or directory\n")
