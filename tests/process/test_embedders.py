"""Programs that are unlike most: greenlets, subinterpreters, other event loops, threads that Python has not made. What
does not work there is refused in a line."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.support.guests import build_c
from tests.support.wheels import python

SPIN = '(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))'
TRAP = '(module (memory (export "memory") 1) (func (export "_start") unreachable))'
PRELUDE = f"""
import os, sys, time
tool, SPIN, TRAP = {str(build_c("tool"))!r}, {SPIN!r}, {TRAP!r}
def end(*args, **options):
    import wasihost
    try:
        return wasihost.run(*args, **options).returncode
    except wasihost.TrapError as error:
        return error.kind
    except wasihost.TimeoutExpired:
        return "timeout"
    except (RuntimeError, wasihost.ConfigError) as error:
        return str(error)
"""


def said(code: str) -> list[str]:
    """The lines that a program prints."""
    done = python(PRELUDE + code)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


# -- greenlets ---------------------------------------------------------------------------------------------------------

TURNS = """
ends = {}
def one(ms):
    ends[ms] = end(tool, args=["sleep", str(ms / 1000)], timeout=20) if ms != 100 else end(TRAP)
def spin():
    ends["spin"] = end(SPIN, timeout=0.2)
"""
"""Guests that sleep, trap and compute until their deadline, for greenlets that run by turns."""


def test_greenlets_of_a_patched_program_run_guests() -> None:
    code = f"""
from gevent import monkey
monkey.patch_all()
import gevent
{TURNS}
gevent.joinall([gevent.spawn(one, ms) for ms in (300, 100, 200, 50)] + [gevent.spawn(spin)])
print(ends)
"""
    assert said(code) == ["{300: 0, 100: 'unreachable', 200: 0, 50: 0, 'spin': 'timeout'}"]


def test_green_threads_of_a_patched_program_run_guests() -> None:
    code = f"""
import warnings; warnings.simplefilter("ignore")
import eventlet, eventlet.tpool
eventlet.monkey_patch()
{TURNS}
for thread in [eventlet.spawn(one, ms) for ms in (300, 100, 200, 50)] + [eventlet.spawn(spin)]:
    thread.wait()
print(ends, eventlet.tpool.execute(end, SPIN, timeout=0.1))
"""
    assert said(code) == ["{300: 0, 100: 'unreachable', 200: 0, 50: 0, 'spin': 'timeout'} timeout"]


def test_a_second_greenlet_does_not_enter_while_the_first_waits_in_its_guest() -> None:
    """The first greenlet's guest would end before the one that was entered later: the engine must not see that."""
    code = """
import greenlet, wasihost
ends = []
def write(data):
    if not ends:
        greenlet.getcurrent().parent.switch()
first = greenlet.greenlet(lambda: ends.append(end(tool, args=["both"], stdout=write, stderr=write)))
first.switch()
second = greenlet.greenlet(lambda: ends.append(end(TRAP)))
second.switch()
first.switch()
print("another greenlet" in ends[0], ends[1:])
print(end(TRAP), end(SPIN, timeout=0.1), end(tool, args=["exit", "4"]))
"""
    assert said(code) == ["True [0]", "unreachable timeout 4"]


def test_a_greenlet_calls_a_guest_from_a_guest_of_its_own() -> None:
    code = """
import greenlet
seen = []
def write(data):
    seen.append(end(TRAP))
def work():
    seen.append(end(tool, args=["both"], stdout=write, stderr=write))
greenlet.greenlet(work).switch()
print(seen)
"""
    assert said(code) == ["['unreachable', 'unreachable', 0]"]


def test_a_thread_of_gevent_s_pool_runs_a_guest_while_greenlets_go_on() -> None:
    code = """
from gevent import monkey
monkey.patch_all()
import gevent
turns = []
def count():
    while True:
        turns.append(1)
        gevent.sleep(0.01)
other = gevent.spawn(count)
print(gevent.get_hub().threadpool.apply(end, (SPIN,), {"timeout": 0.5}), len(turns) > 5)
other.kill()
import wasihost
process = wasihost.start(SPIN)
process.kill()
print(process.wait())
"""
    assert said(code) == ["timeout True", "-9"]


def test_a_killed_greenlet_ends_its_guest() -> None:
    code = """
from gevent import monkey
monkey.patch_all()
import gevent
def write(data):
    gevent.sleep(20)
one = gevent.spawn(end, tool, args=["both"], stdout=write)
gevent.sleep(0.1)
one.kill()
print(repr(one.value), end(TRAP))
"""
    assert said(code) == ["GreenletExit() unreachable"]


def test_patching_after_the_first_use_is_refused() -> None:
    code = """
end(TRAP)
from gevent import monkey
monkey.patch_all()
print(end(TRAP))
"""
    assert said(code) == [
        "gevent or eventlet patched threading after wasihost was first used: call its monkey patching before that"
    ]


def test_threads_locks_and_waits_are_those_of_unpatched() -> None:
    package = Path(__file__).resolve().parents[2] / "wasihost"
    taken = re.compile(r"^ *(?:import (?:threading|select)\b|from (?:threading|select) import)", re.MULTILINE)
    files = [path for path in package.rglob("*.py") if taken.search(path.read_text())]
    assert [path.name for path in files] == ["unpatched.py"]


# -- interpreters ------------------------------------------------------------------------------------------------------

WITHIN = """
try:
    import _interpreters
    create, call = lambda own: _interpreters.create("isolated" if own else "legacy"), _interpreters.run_string
    destroy = _interpreters.destroy
except ImportError:
    import _xxsubinterpreters
    create, call = lambda own: _xxsubinterpreters.create(isolated=own), _xxsubinterpreters.run_string
    destroy = _xxsubinterpreters.destroy
text = '''
import sys
sys.path[:] = %r
try:
    import wasihost
    wasihost.run(%r)
except Exception as error:
    print(error, flush=True)
''' % (sys.path, SPIN)
for own in (False, True):
    one = create(own)
    call(one, text)
    destroy(one)
print(end(TRAP))
"""


def test_a_subinterpreter_is_told_that_guests_do_not_run_there() -> None:
    *refused, last = said(WITHIN)
    assert last == "unreachable"
    assert len(refused) == 2
    assert all("subinterpreter" in line for line in refused)


def test_another_python_is_reported() -> None:
    done = python("import sys; sys.implementation.name = 'pypy'; import wasihost")
    assert "ImportError: wasihost runs on CPython, not on pypy" in done.stderr


def test_windows_is_refused_at_import() -> None:
    done = python("import os; os.name = 'nt'; import wasihost")
    assert "ImportError: wasihost runs on Linux and macOS, not on Windows" in done.stderr


# -- threads -----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="threads of POSIX")
def test_a_thread_that_python_has_not_made_runs_guests() -> None:
    code = """
import ctypes
ends = []
def work(_):
    ends.extend([end(TRAP), end(SPIN, timeout=0.2), end(tool, args=["exit", "3"])])
    return 0
function, thread = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p)(work), ctypes.c_ulong()
libc = ctypes.CDLL(None)
assert libc.pthread_create(ctypes.byref(thread), None, function, None) == 0
libc.pthread_join(thread, None)
print(ends, end(TRAP))
"""
    assert said(code) == ["['unreachable', 'timeout', 3] unreachable"]


def test_threading_may_have_been_imported_by_another_thread_than_the_main_one() -> None:
    """Up to 3.12 it takes that thread for the main thread; Python's signal handlers know the right one."""
    code = """
import _thread, signal
assert "threading" not in sys.modules
ends, over = [], _thread.allocate_lock()
over.acquire()
def work():
    ends.append(end(SPIN, timeout=0.2))
    over.release()
_thread.start_new_thread(work, ())
over.acquire()
class Enough(Exception): pass
def enough(*_): raise Enough
signal.signal(signal.SIGALRM, enough)
signal.setitimer(signal.ITIMER_REAL, 0.1)
try:
    end(SPIN, timeout=20)
except Enough:
    print(ends)
"""
    assert said(code) == ["['timeout']"]


# -- event loops -------------------------------------------------------------------------------------------------------


def test_uvloop_runs_and_cancels_guests() -> None:
    code = """
import asyncio, uvloop, wasihost
async def main():
    done = await asyncio.gather(*(wasihost.run_async(tool, args=["exit", str(one)]) for one in range(4)))
    try:
        async with asyncio.timeout(0.2):
            await wasihost.run_async(SPIN)
    except TimeoutError:
        print([one.returncode for one in done])
uvloop.run(main())
"""
    assert said(code) == ["[0, 1, 2, 3]"]


def test_run_async_says_that_it_is_asyncio_s() -> None:
    code = """
import wasihost
try:
    wasihost.run_async(SPIN).send(None)
except RuntimeError as error:
    print(error)
"""
    assert said(code) == ["run_async needs the event loop of asyncio: with another one, call run in a thread of it"]
