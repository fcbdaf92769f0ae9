"""Thousands of runs in one process: its memory, descriptors, threads and mappings stay where they are.

python -m tests.process.soak [--runs 10000]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
import time
from typing import NamedTuple

from tests.support.descriptors import open_files
from tests.support.guests import build_c
from wasihost import PIPE, MemoryFS, Module, TimeoutExpired, TrapError, instantiate, run

GROWTH = 3_000_000  # bytes that an allocator may keep back


class Footprint(NamedTuple):
    """What a process holds: bytes of memory, descriptors, threads, mappings."""

    memory: int
    descriptors: int
    threads: int
    mappings: int


def footprint() -> Footprint:
    """Now. Only threads and descriptors (0) are known elsewhere than on Linux."""
    if not os.path.isdir("/proc/self/fd"):
        return Footprint(0, 0, threading.active_count(), 0)
    with open("/proc/self/statm") as statm, open("/proc/self/maps") as maps:
        resident, mappings = int(statm.read().split()[1]), sum(1 for _ in maps)
    return Footprint(resident * os.sysconf("SC_PAGE_SIZE"), len(open_files()), threading.active_count(), mappings)


class Work:
    """Every kind of run, in turn."""

    def __init__(self) -> None:
        self.tool = Module(build_c("tool"))
        self.trap = Module('(module (memory (export "memory") 1) (func (export "_start") unreachable))')
        self.spin = Module(
            '(module (memory (export "memory") 1) (func (export "add") (param i32) (result i32) (local.get 0))'
            ' (func (export "_start") (loop (br 0))))'
        )
        self.kept: list[BaseException] = []

    def one(self, number: int) -> None:
        """The kind is by number; a wrong end is an AssertionError."""
        match number % 6:
            case 0:
                assert run(self.tool, args=["exit", "3"]).returncode == 3
            case 1:
                assert run(self.tool, args=["cat"], input=b"x" * 10_000, stdout=PIPE).stdout == b"x" * 10_000
            case 2:
                done = run(self.tool, args=["files", "/f"], files={"g": b"1" * 1000}, timeout=60)
                assert done.files["f"] == b"written"
            case 3:
                with contextlib.suppress(TrapError):
                    run(self.trap)
            case 4:
                with instantiate(self.spin, fs=MemoryFS()) as guest:
                    assert [guest.exports.add(one) for one in range(20)] == list(range(20))
            case _:
                if number % 60 == 5:
                    with contextlib.suppress(TimeoutExpired):
                        run(self.spin, timeout=0.002)


def soak(runs: int, warm: int = 200) -> tuple[Footprint, Footprint]:
    """What the process held after `warm` runs, and after all."""
    work = Work()
    for number in range(warm):
        work.one(number)
    before = footprint()
    for number in range(runs):
        work.one(number)
    until = time.monotonic() + 2
    while footprint().threads > before.threads and time.monotonic() < until:
        time.sleep(0.01)
    return before, footprint()


def grown(before: Footprint, after: Footprint) -> list[str]:
    """What has grown."""
    out = [name for name in ("descriptors", "threads") if getattr(after, name) > getattr(before, name)]
    out += ["memory"] * (after.memory > before.memory + GROWTH)
    return out + ["mappings"] * (after.mappings > before.mappings + 20)


def main() -> int:
    """1 if something has grown."""
    parser = argparse.ArgumentParser(prog="python -m tests.process.soak", description="Run and run and run.")
    parser.add_argument("--runs", type=int, default=10_000)
    runs: int = parser.parse_args().runs
    begin = time.perf_counter()
    before, after = soak(runs)
    print(f"{runs:,} runs in {time.perf_counter() - begin:.0f} s")
    for name in Footprint._fields:
        print(f"    {name:12} {getattr(before, name):>12,} -> {getattr(after, name):>12,}")
    problems = grown(before, after)
    print("grown: " + ", ".join(problems) if problems else "nothing has grown")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
