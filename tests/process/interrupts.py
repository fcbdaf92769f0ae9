"""Thousands of runs, each interrupted once by a signal handler that raises: what it raised comes out, once, of the run
or of what is around it, wherever the guest was; nothing is printed, nothing hangs, and the process lives.

python -m tests.process.interrupts [--runs 20000]
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import os
import random
import signal
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

from wasihost import Imports, Instance, Module, ModuleConfig, TimeoutExpired, instantiate, run
from wasihost.config import Inherit

LATE = 2.0
"""Seconds; a run that took that long was not interrupted when it should have been, even beside a heavy load."""
_IMPORTS = """
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_accept" (func $accept (param i32 i32 i32) (result i32)))
  (import "env" "within" (func $within (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 32) "\\00\\e4\\0b\\54\\02\\00\\00\\00")  ;; of the subscription at 8: 10 seconds
  (data (i32.const 128) "\\00\\01\\00\\00\\10\\00\\00\\00")  ;; a buffer
"""
_POLL = "(drop (call $poll (i32.const 8) (i32.const 512) (i32.const 1) (i32.const 120)))"
_CLOCK = "(drop (call $clock (i32.const 0) (i64.const 0) (i32.const 120)))"
BODIES = {
    "computing": "(loop (br 0))",
    "calling": f"(loop {_CLOCK} (br 0))",
    "sleeping": _POLL,
    "polling": f"(i32.store8 (i32.const 16) (i32.const 1)) {_POLL}",
    "reading": "(drop (call $read (i32.const 0) (i32.const 128) (i32.const 1) (i32.const 120)))",
    "accepting": "(drop (call $accept (i32.const 4) (i32.const 0) (i32.const 120)))",
    "host computing": "(call $within (i32.const 0))",
    "host sleeping": "(call $within (i32.const 1))",
    "host with a guest": "(call $within (i32.const 2))",
    "host in turns": "(loop (call $within (i32.const 3)) (br 0))",
    "nothing": "",
}
"""What a guest does when it is interrupted."""


def guest(body: str, start: bool = False) -> Module:
    """A command that does it, in its start section if wanted."""
    entry = '(func $s (export "_start")' if not start else '(start $s) (func (export "_start")) (func $s'
    return Module(f"(module {_IMPORTS} {entry} {body}))")


def wait() -> None:
    """In pieces: a signal that comes just before Python's own `sleep` begins does not shorten it."""
    for _ in range(1000):
        time.sleep(0.02)


class Interrupt(BaseException):
    """What the handler raises, with the run's number."""


class Storm:
    """A process full of guests to be interrupted."""

    def __init__(self, seed: int, timeout: float = 20) -> None:
        self.random = random.Random(seed)
        self.spin = Module('(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))')
        self.within = Imports("env")
        self.within.function(name="within")(self._within)
        modules = {name: guest(body) for name, body in BODIES.items()}
        modules |= {
            f"{name} at start": guest(BODIES[name], start=True) for name in ("computing", "calling", "sleeping")
        }
        self.reads, self.writes = os.pipe()
        self.listener = socket.create_server(("127.0.0.1", 0))
        config = ModuleConfig().with_stdin(Inherit(self.reads)).with_mount("/", {})
        door = config.with_listener("door", self.listener)  # not for all: a collected socket swallows what is raised
        self.kinds: dict[str, Callable[[], object]] = {
            name: partial(run, module, door if name == "accepting" else config, imports=self.within, timeout=timeout)
            for name, module in modules.items()
        }
        self.reactor: Instance = instantiate(guest(BODIES["calling"]), config, imports=self.within, timeout=20)
        self.kinds["the same instance again"] = lambda: self.reactor.call("_start")
        self.raised: list[int] = []
        self.number = 0
        self.where: FrameType | None = None

    def _within(self, how: int) -> None:
        if how == 0:
            until = time.monotonic() + 20  # a lost signal is a failure, and no hang
            while time.monotonic() < until:
                len("computing")
        elif how == 1:
            wait()
        elif how == 2:
            run(self.spin, timeout=20)

    def ring(self, _signal: int, frame: FrameType | None) -> None:
        """The handler."""
        self.raised.append(self.number)
        self.where = frame
        raise Interrupt(self.number)

    def one(self, kind: str) -> str:
        """Interrupt one run; what was wrong, if anything."""
        self.number += 1
        self.raised.clear()
        out: list[object] = []
        begin = time.monotonic()
        try:
            signal.setitimer(signal.ITIMER_REAL, self.random.uniform(1e-5, 3e-3))
            self.kinds[kind]()
            wait()  # it was over before
        except (Interrupt, TimeoutExpired) as end:
            out += end.args
        late = time.monotonic() - begin
        if late > LATE:
            return (
                f"{kind}: {self.raised} was raised, {out} came {late:.1f} s late, in run {self.number}" + self.place()
            )
        if out != [self.number] or self.raised != [self.number]:
            return f"{kind}: {self.raised} was raised, {out} came out, in run {self.number}"
        return ""

    def place(self) -> str:
        """Where the handler raised last."""
        return "".join(traceback.format_stack(self.where)[-6:])

    def close(self) -> None:
        """Leave nothing open."""
        self.reactor.close()
        self.listener.close()
        os.close(self.reads)
        os.close(self.writes)


@contextmanager
def handled(number: int, handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """With this handler of the signal."""
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(number, before)


def storm(runs: int, seed: int = 1) -> dict[str, int]:
    """Make `runs` interrupted runs. Returns the number of each kind; raises AssertionError with what was wrong."""
    wrong: list[str] = []
    done: dict[str, int] = collections.Counter()
    before = sys.unraisablehook
    sys.unraisablehook = lambda event: wrong.append(f"ignored: {event.exc_value!r} in {event.object!r}")
    one = Storm(seed)
    try:
        with handled(signal.SIGALRM, one.ring), warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # what was being opened is closed by the collector
            for kind in (name for _ in range(runs) for name in one.kinds):
                if sum(done.values()) >= runs or len(wrong) > 10:
                    break
                if problem := one.one(kind):
                    wrong.append(problem)
                done[kind] += 1
            assert signal.getsignal(signal.SIGALRM) == one.ring
    finally:
        one.close()
        sys.unraisablehook = before
    try:
        run(one.spin, timeout=0.05)
    except TimeoutExpired:
        pass
    else:
        wrong.append("timeouts do not work any more")
    assert not wrong, "\n".join(wrong)
    return dict(done)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    faulthandler.dump_traceback_later(30 + given.runs // 20, exit=True)
    begin = time.monotonic()
    done = storm(given.runs, given.seed)
    for kind, count in done.items():
        print(f"{count:7,} {kind}")
    print(f"{sum(done.values()):7,} interrupted runs in {time.monotonic() - begin:.0f} s, each as it should be")


if __name__ == "__main__":
    main()
