"""The plain case against the Python handlers: random calls in two worlds, and everything compared after each of them.

In one world every call goes to the stubs in Python. In the other each call is first made in C, without the GIL, as the
engine's door makes it, and goes to the same stubs where C did nothing. Errnos, faults, the whole guest memory, files,
descriptors and output have to be the same, whatever the numbers. `make plain-differential` runs it for millions of
calls.
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import struct
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

from tests.native.plain_worlds import NAMES, NAMES_AT, SIZE, World
from wasihost.descriptors.host_directory import HostDirectory
from wasihost.descriptors.host_file import HostFile
from wasihost.descriptors.host_stream import HostStream
from wasihost.host.plain import PLAIN

LARGEST: Final = 0x140000
"""As far as it grows: more than one piece."""
STEPS: Final = 300
"""Calls in one pair of worlds."""
ALL_RIGHTS: Final = (1 << 30) - 1
READ, WRITE, SEEK, TELL, FILESTAT, POLL = 1 << 1, 1 << 6, 1 << 2, 1 << 5, 1 << 21, 1 << 27
RECORD: Final = {"fd_filestat_get": 64, "path_filestat_get": 64, "clock_time_get": 8, "random_get": 0}
"""Functions whose results are not the same in both worlds."""


class Script:
    """Random calls from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.open = [3]
        self.files: list[int] = []
        self.streams = [0, 1, 2]
        self.folders: list[int] = []

    def fd(self) -> int:
        """A descriptor's number, mostly that of an open file."""
        choice = self.random.random()
        if choice < 0.75 and self.files:
            return self.random.choice(self.files)
        if choice < 0.85 and self.streams:
            return self.random.choice(self.streams)
        if choice < 0.93:
            return self.random.choice(self.open)
        return self.random.choice([0, 1, 2, 3, 4, 5, 9, 15, 16, 17, 63, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1])

    def folder(self) -> int:
        """The number of a directory, mostly."""
        return self.random.choice([3, 3, 3, 3, 3, *self.folders, *self.folders, self.fd()])

    def path(self) -> tuple[int, int]:
        """The address and the size of a path; mostly of one that may lead somewhere."""
        number = self.random.choice([*range(len(NAMES)), *(0, 1, 2, 3, 6, 7) * 4])
        size = len(NAMES[number]) if self.random.random() < 0.97 else self.random.choice([0, 1, 9, 5000, 1 << 31])
        return NAMES_AT + 8 * number, size

    def address(self, memory: int, size: int, align: int) -> int:
        """An address for `size` bytes, mostly a good one."""
        choice = self.random.random()
        if choice < 0.9:
            return self.random.randrange(0x100, memory - size, align) if memory - size > 0x100 else 0x100
        if choice < 0.96:
            return max(0, memory - size + self.random.choice([0, 0, -align, -1, 1, align, 4]))
        return 0xFFFFFFFF & self.random.choice([0, 1, 3, memory, memory - 1, memory + 1, 1 << 31, -1, -size])

    def length(self) -> int:
        """How many bytes one buffer has."""
        choice = self.random.random()
        if choice < 0.8:
            return self.random.randrange(200)
        if choice < 0.95:
            return self.random.choice([0, 0, 4096, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x10001])
        return self.random.choice([1 << 20, (1 << 20) - 1, (1 << 20) + 1, 1 << 31, (1 << 32) - 1, (1 << 31) - 1])

    def offset(self) -> int:
        """A position in a file or a distance in it, as unsigned 64 bits."""
        choice = self.random.random()
        if choice < 0.85:
            return self.random.randrange(6000)
        edges = [-1, -7, -5000, -(1 << 63), (1 << 63) - 1, (1 << 63) - 200, 1 << 62, 1 << 40, (1 << 31) + 5, 1 << 32]
        return self.random.choice(edges)

    def buffers(self, memory: int) -> tuple[list[tuple[int, bytes]], tuple[int, int]]:
        """An iovec array: what to put into memory, and its address and count."""
        counts = [1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4, 16, 63, 64, 65, 0, 1024, 1025, (1 << 32) - 1]
        count = self.random.choice(counts)
        usual = self.random.random() < 0.5
        pairs, at = b"", self.address(memory, 8 * min(count, 70), 4)
        for _ in range(min(count, 70)):
            size = self.random.randrange(300) if usual else self.length()
            pairs += struct.pack("<II", self.address(memory, min(size, memory // 2), 1), size)
        room = max(0, min(len(pairs), memory - at))
        return ([(at, pairs[:room])] if room else []), (at, count)

    def subscriptions(self, memory: int) -> tuple[list[tuple[int, bytes]], tuple[int, int]]:
        """An array of subscriptions of which one is a clock's that is due at once or soon: what to put into memory, and
        its address and count."""
        pick, array = self.random, b""
        count = pick.choice([1, 1, 1, 2, 2, 3, 5, 64, 256, 257])
        soon = pick.randrange(count)
        for number in range(count):
            if number != soon and pick.random() < 0.6:
                fd = self.fd() if pick.random() < 0.2 or not self.streams else pick.choice(self.streams)
                array += struct.pack("<QB7xI28x", pick.getrandbits(64), pick.choice([1, 2]), fd)
            else:
                clock, timeout = pick.choice([0, 1, 0, 1, 0, 1, 2, 3]), pick.choice([0, 0, 1000])
                absolute = pick.random() < 0.3
                if absolute or clock > 1:
                    timeout = 1 if absolute else 0
                if number != soon and clock < 2 and pick.random() < 0.3:
                    timeout = 1 << 62
                array += struct.pack("<QB7xI4xQQH6x", pick.getrandbits(64), 0, clock, timeout, 1, absolute)
        if pick.random() < 0.05:  # a case, a clock or flags that do not exist
            wrong = pick.choice([8, 16, 40])
            array = array[:wrong] + b"\x07" + array[wrong + 1 :]
        at = self.address(memory, len(array), 8)
        room = max(0, min(len(array), memory - at))
        puts = [(at, array[:room])] if room else []
        return puts, (at, count if pick.random() < 0.97 else pick.choice([0, 1 << 20, (1 << 32) - 1]))

    def step(self, memory: int) -> tuple[list[tuple[int, bytes]], str, tuple[int, ...]]:
        """A call: what is to be put into memory before it, the function, and its numbers."""
        name = self.random.choices(_NAMES, _WEIGHTS)[0]
        fd, number = self.fd(), self.random
        puts: list[tuple[int, bytes]] = []
        result = self.address(memory, 8, 8)
        match name:
            case "fd_read" | "fd_write" | "fd_pread" | "fd_pwrite":
                puts, where = self.buffers(memory)
                if number.random() < 0.1 and puts and len(puts[0][1]) >= 8:  # the result lies in a buffer
                    result = struct.unpack_from("<I", puts[0][1])[0] & ~3
                at = (self.offset() % (1 << 64),) if name.startswith("fd_p") else ()
                return puts, name, (fd, *where, *at, result)
            case "fd_seek":
                return puts, name, (fd, self.offset(), number.choice([0, 1, 1, 2, 3, 255, 1 << 31]), result)
            case "fd_tell":
                return puts, name, (fd, result)
            case "fd_fdstat_get":
                return puts, name, (fd, self.address(memory, 24, 8))
            case "fd_filestat_get":
                return puts, name, (fd, self.address(memory, 64, 8))
            case "poll_oneoff":
                puts, (place, count) = self.subscriptions(memory)
                events = self.address(memory, min(32 * count, memory // 2), 8) if number.random() < 0.9 else place
                return puts, name, (place, events, count, result)
            case "fd_prestat_get":
                return puts, name, (number.choice([3, 3, 3, fd]), self.address(memory, 8, 4))
            case "fd_prestat_dir_name":
                size = number.choice([0, 1, 1, 2, 100])
                return puts, name, (number.choice([3, 3, 3, fd]), self.address(memory, size, 1), size)
            case "args_get" | "environ_get":
                return puts, name, (self.address(memory, 12, 4), self.address(memory, 400, 1))
            case "args_sizes_get" | "environ_sizes_get":
                return puts, name, (self.address(memory, 4, 4), self.address(memory, 4, 4))
            case "clock_time_get":
                return puts, name, (number.choice([0, 1, 2, 3, 4, 1 << 31]), self.offset() % (1 << 64), result)
            case "clock_res_get":
                return puts, name, (number.choice([0, 1, 2, 3, 4, (1 << 32) - 1]), result)
            case "random_get":
                size = number.choice([0, 1, 16, 63, 64, 65, 300, 1 << 20, (1 << 20) + 1])
                return puts, name, (self.address(memory, min(size, memory), 1), size)
            case "path_open":
                rights = number.choice([ALL_RIGHTS, ALL_RIGHTS, READ | SEEK | TELL, WRITE | SEEK, READ, 0])
                oflags = number.choice([0, 0, 0, 0, 1, 1, 1, 8, 9, 4, 2])
                flags = number.choice([0, 0, 0, 0, 0, 0, 1, 4, 2, 16, 1 | 4, 32])
                place = result if number.random() < 0.05 else 0x10
                follow = number.choice([0, 1, 1, 1, 1, 2])
                return puts, name, (self.folder(), follow, *self.path(), oflags, rights, rights, flags, place)
            case "path_filestat_get":
                follow = number.choice([0, 1, 1, 1, 1, 2])
                return puts, name, (self.folder(), follow, *self.path(), self.address(memory, 64, 8))
            case "path_rename":
                return puts, name, (self.folder(), *self.path(), self.folder(), *self.path())
            case "path_create_directory" | "path_remove_directory" | "path_unlink_file":
                return puts, name, (self.folder(), *self.path())
            case "fd_renumber":
                return puts, name, (_not_folder(fd), _not_folder(self.fd()))
            case "fd_fdstat_set_rights":
                if fd in self.streams:
                    return puts, name, (fd, number.choice([READ | POLL, WRITE | POLL, READ, WRITE]), 0)
                taken = number.choice([0, 0, 0, READ, WRITE, SEEK, TELL, FILESTAT, 1 << 8])
                return puts, name, (fd, 0x8E001FF & ~taken, 0)
            case "fd_fdstat_set_flags":
                flags = number.choice([0, 0, 0, 1, 4, 2, 5, 32])
                return puts, name, (99 if fd in self.streams else fd, flags)  # a stream that blocks would wait
            case "fd_filestat_set_size":
                return puts, name, (fd, number.choice([0, 10, 5000, 1 << 20]))
        return puts, name, {"fd_close": (_not_folder(fd),), "sched_yield": ()}[name]


def _not_folder(fd: int) -> int:
    """Any number but that of the preopen, through which all files are opened."""
    return 99 if fd == 3 else fd


_CHANCES = dict.fromkeys(PLAIN, 20) | {
    "args_get": 6,
    "args_sizes_get": 6,
    "environ_get": 6,
    "environ_sizes_get": 6,
    "clock_res_get": 10,
    "poll_oneoff": 40,
    "fd_read": 60,
    "fd_write": 50,
    "fd_pwrite": 40,
    "fd_seek": 50,
    "random_get": 10,
    "sched_yield": 4,
    "path_open": 45,
    "fd_close": 12,
    "fd_renumber": 6,
    "fd_fdstat_set_rights": 9,
    "fd_fdstat_set_flags": 6,
    "fd_filestat_set_size": 6,
    "path_filestat_get": 20,
    "path_create_directory": 16,
    "path_remove_directory": 40,
    "path_unlink_file": 8,
    "path_rename": 12,
}
_NAMES, _WEIGHTS = tuple(_CHANCES), tuple(_CHANCES.values())


class Differs(AssertionError):
    """The two worlds are not the same after a call."""


def run(seed: int, folder: Path, done: Counter[str], steps: int = STEPS) -> None:
    """Run one script in two worlds. Counts in `done` the calls that C did. Raises Differs."""
    script, silent = Script(seed), seed % 2 == 0
    without = World(folder / "without", plain=False, silent=silent)
    with_plain = World(folder / "with", plain=True, silent=silent)
    try:
        for number in range(steps):
            step = script.step(len(without.memory))
            try:
                _compare(without, with_plain, step, done, number)
            except AssertionError as error:
                raise Differs(f"seed {seed}, call {number}, {step[1]}{step[2]}: {error}") from error
            script.open = list(without.table.open)
            script.files = [fd for fd, one in without.table.open.items() if isinstance(one, HostFile)]
            script.streams = [fd for fd, one in without.table.open.items() if isinstance(one, HostStream)]
            script.folders = [fd for fd, one in without.table.open.items() if isinstance(one, HostDirectory)]
            if script.random.random() < 0.01 and len(without.memory) < LARGEST:
                more = script.random.choice([SIZE, 0x100000])
                for world in (without, with_plain):
                    world.memory += bytes(more)
    finally:
        without.close()
        with_plain.close()


def _compare(
    without: World,
    with_plain: World,
    step: tuple[list[tuple[int, bytes]], str, tuple[int, ...]],
    done: Counter[str],
    number: int,
) -> None:
    puts, name, numbers = step
    for world in (without, with_plain):
        for at, data in puts:
            world.memory[at : at + len(data)] = data
    expected, result = without.call(name, numbers, Counter()), with_plain.call(name, numbers, done)
    assert result == expected, f"{expected} without, {result} with"
    if name in RECORD and result == 0:
        _check_own(with_plain, name, numbers)
        at = numbers[0] if name == "random_get" else numbers[-1]
        size = numbers[1] if name == "random_get" else RECORD[name]
        without.memory[at : at + size] = with_plain.memory[at : at + size]
    assert len(with_plain.memory) == len(without.memory)
    assert with_plain.memory == without.memory, _places(without.memory, with_plain.memory)
    assert with_plain.descriptors() == without.descriptors()
    assert with_plain.written() == without.written()
    if number % 20 == 19:
        assert with_plain.files() == without.files()
        for world in (without, with_plain):
            for path in world.folder.rglob("*"):
                if path.lstat().st_blocks > 8192:  # scripts stay quick
                    os.truncate(path, 3000)


def _check_own(world: World, name: str, numbers: tuple[int, ...]) -> None:
    """Compare a result that differs between the worlds with that of the stub in the same one."""
    if name.endswith("filestat_get"):
        at = numbers[-1]
        if name.startswith("path_") and at < numbers[2] + numbers[3] and numbers[2] < at + 64:
            return  # the result lies where the path was
        plain = bytes(world.memory[at : at + 64])
        assert world.stub(name, numbers) == 0
        assert world.memory[at : at + 64] == plain
    elif name == "clock_time_get":
        first = int.from_bytes(world.memory[numbers[2] : numbers[2] + 8], "little")
        assert world.stub(name, numbers) == 0
        second = int.from_bytes(world.memory[numbers[2] : numbers[2] + 8], "little")
        assert 0 <= second - first < 60 * 10**9, (first, second)


def _places(one: bytearray, other: bytearray) -> str:
    wrong = [at for at, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    low, high = wrong[0], wrong[-1] + 1
    return f"memory {low:#x} to {high:#x}: {one[low:high][:40].hex()} without, {other[low:high][:40].hex()} with"


def main() -> None:
    """Run scripts until `--calls` calls were made; the seeds are printed."""
    parser = argparse.ArgumentParser(prog="python -m tests.native.plain_scripts", description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, help="the first seed, to see the same scripts again")
    options = parser.parse_args()
    seed = secrets.randbits(32) if options.seed is None else options.seed
    print(f"seeds from {seed} on", flush=True)
    done: Counter[str] = Counter()
    made = 0
    in_memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=in_memory) as folder:
        while made < options.calls:
            run(seed, Path(folder), done)
            seed, made = seed + 1, made + STEPS
    print(f"{made} calls in each world, no difference; done in C: {sum(done.values())}")
    for name in PLAIN:
        print(f"{done[name]:9} {name}")


if __name__ == "__main__":
    main()
