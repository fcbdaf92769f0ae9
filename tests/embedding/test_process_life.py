"""`start`: guests that are dropped, many guests, and the ends and forks of the process that they run in."""

from __future__ import annotations

import gc
import pickle
import time
import warnings

import pytest

from tests.embedding.guests import SERVER, TALKER, begin
from tests.support.guests import build_c
from tests.support.wheels import python
from wasihost import (
    DEVNULL,
    start,
)

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_a_forgotten_guest_is_ended_with_a_warning() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        process = begin("sleeps")
        guest = process._guest
        del process
        gc.collect()
        assert guest.thread.over.wait(10)
    assert "was still running, and is ended" in " ".join(str(one.message) for one in caught)
    assert guest.code == -15


def test_reading_its_stdout_keeps_a_dropped_guest_running() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        lines = list(start(TALKER, args=["progress", "20"], text=True, stdin=DEVNULL).stdout)
        gc.collect()
    assert len(lines) == 20


def test_many_at_once() -> None:
    guests = [start(SERVER, args=["cat"], text=True, bufsize=1) for _ in range(60)]
    for number, process in enumerate(guests):
        process.stdin.write(f"{number}\n")
    assert [int(process.stdout.readline()) for process in guests] == list(range(60))
    assert [process.communicate() for process in guests] == [("", None)] * 60
    for process in guests:
        with process:
            assert process.returncode == 0


def test_a_process_cannot_be_pickled() -> None:
    with begin("reads") as process, pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(process)
    assert "returncode: 0" in repr(process)


def test_python_ends_although_guests_run() -> None:
    code = f"""
import wasihost
tool, talker = (wasihost.Module(path) for path in {[str(build_c("tool")), str(build_c("talker"))]!r})
guests = [wasihost.start(tool, args=args) for args in (["spin"], ["sleep", "60"], ["cat"])]
guests.append(wasihost.start(talker, args=["flood"]))
print(guests[0].stdout.readline())
"""
    begun = time.monotonic()
    done = python(code)
    assert (done.stdout, done.returncode) == ("b'spinning\\n'\n", 0)
    assert time.monotonic() - begun < 30


def test_a_forked_child_holds_no_end_open() -> None:
    code = f"""
import os, time, wasihost
module = wasihost.Module({str(build_c("talker"))!r})
with wasihost.start(module, args=["both", "3"]) as process:
    process.stdin.write(b"once")
    child = os.fork()
    if not child:
        try:
            process.wait()
        except RuntimeError as error:
            print(error, flush=True)
        time.sleep(60)
        os._exit(0)
    process.stdin.close()
    print(process.stdout.read(), process.wait())
os.kill(child, 9)
os.waitpid(child, 0)
"""
    begun = time.monotonic()
    done = python(code)
    assert "b'xxxonce' 0" in done.stdout
    assert "belongs to the process that was forked" in done.stdout
    assert time.monotonic() - begun < 30


def test_ctrl_c_while_reading() -> None:
    code = f"""
import os, signal, threading, wasihost
signal.signal(signal.SIGINT, signal.default_int_handler)
module = wasihost.Module({str(build_c("tool"))!r})
try:
    with wasihost.start(module, args=["spin"]) as process:
        process.stdout.readline()
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        process.stdout.readline()
except KeyboardInterrupt:
    print(process.returncode)
"""
    assert python(code).stdout == "-9\n"
