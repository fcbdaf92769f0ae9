"""Handlers of the signals that traps use, whatever sets them and when: a trap is still a trap."""

from __future__ import annotations

import sys

import pytest

from tests.support.wheels import python

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="traps are signals there")

HEAD = """
import ctypes, faulthandler, os, signal, threading
from wasihost import Imports, TrapError, instantiate, run
KINDS = {
    "out of bounds": "(drop (i32.load (i32.const -8)))",
    "division": "(drop (i32.div_s (i32.const 1) (i32.const 0)))",
    "unreachable": "unreachable",
}
NUMBERS = [signal.SIGSEGV, signal.SIGILL, signal.SIGFPE, signal.SIGBUS]
imports = Imports("env")
@imports.function
def host() -> None:
    within()
def within():
    pass
def guest(kind, name="_start"):
    return '(module (import "env" "host" (func $host)) (memory (export "memory") 1)' \\
        f'(func (export "{name}") (call $host) {KINDS[kind]}))'
def handler(*_):
    pass
def trap_all():
    for kind in KINDS:
        for _ in range(2):
            try:
                run(guest(kind), imports=imports)
            except TrapError as trap:
                assert kind in trap.kind, trap
            else:
                raise AssertionError
run('(module (memory (export "memory") 1) (func (export "_start")))')
"""
WAYS = {
    "python": "for n in NUMBERS: signal.signal(n, handler)",
    "default": "for n in NUMBERS: signal.signal(n, signal.SIG_DFL)",
    "ignore": "for n in NUMBERS: signal.signal(n, signal.SIG_IGN)",
    "faulthandler": "faulthandler.enable(file=open(os.devnull, 'w'))",
    "faulthandler, off and on": "[one() for one in (faulthandler.enable, faulthandler.disable) * 2]",
    "another library": "for n in NUMBERS: ctypes.CDLL(None).signal(int(n), 0)",
}
AT_ANY_TIME = [name for name in WAYS if name != "another library"]


def well(code: str) -> str:
    done = python(HEAD + code)
    assert done.returncode == 0, done
    return done.stdout


@pytest.mark.parametrize("way", WAYS)
def test_set_between_two_runs(way: str) -> None:
    well(WAYS[way] + "\ntrap_all()")


@pytest.mark.parametrize("way", AT_ANY_TIME)
def test_set_by_a_host_function(way: str) -> None:
    well(f"def within():\n    {WAYS[way]}\ntrap_all()")


@pytest.mark.parametrize("way", AT_ANY_TIME)
def test_set_between_two_calls_of_an_instance_in_another_thread(way: str) -> None:
    well(f"""
ends = []
def call():
    try:
        one.call("f")
    except TrapError as trap:
        ends.append(trap.kind)
one = instantiate(guest("out of bounds", "f"), imports=imports)
for change in ("", {WAYS[way]!r}):
    exec(change)
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
assert len(ends) == 2
""")


def test_the_handlers_are_there_when_no_guest_runs() -> None:
    assert well("""
came = []
signal.signal(signal.SIGSEGV, lambda *_: came.append(1))
trap_all()
os.kill(os.getpid(), signal.SIGSEGV)
assert came == [1]
def within():
    signal.signal(signal.SIGSEGV, lambda *_: came.append(2))
trap_all()
os.kill(os.getpid(), signal.SIGSEGV)
assert came == [1, 2]
print("well")
""") == "well\n"  # fmt: skip


@pytest.mark.parametrize("way", ["default", "faulthandler, off and on"])
def test_set_before_a_guest_on_a_linker_of_ones_own(way: str) -> None:
    well(f"""
import wasmtime
from wasihost import State
from wasihost.engines.wasmtime.linker import define
{WAYS[way]}
engine = wasmtime.Engine()
text = '(module (memory (export "memory") 1) (func (export "_start") unreachable))'
for _ in range(2):
    store, linker, state = wasmtime.Store(engine), wasmtime.Linker(engine), State()
    run = define(linker, state)
    instance = linker.instantiate(store, wasmtime.Module(engine, text))
    try:
        run.call(instance.exports(store)["_start"], store)
    except wasmtime.Trap as trap:
        assert "unreachable" in str(trap)
    else:
        raise AssertionError
""")
