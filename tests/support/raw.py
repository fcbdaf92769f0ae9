"""A State called through its raw methods, over a memory full of a sentinel byte that shows every byte written.

Rules: `expect` compares the whole memory, so a result that is a byte too long, or in the wrong place, fails. Where a
field lies in a record is taken from what `python -m wasi_preview1 dump` prints, not from the code under test.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Self

from wasihost import ModuleConfig, State

SENTINEL = b"?"
SIZE = 0x20000
"""Two pages of wasm memory."""


@functools.cache
def abi() -> dict[str, Any]:
    """The JSON of the dump command: `types` and `functions`."""
    done = subprocess.run([sys.executable, "-m", "wasi_preview1", "dump"], capture_output=True, check=True)
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


def _places(name: str) -> list[tuple[str, int, int]]:
    """Field, offset and the bytes up to the next field: its own and its padding."""
    layout = abi()["types"][name]
    fields = sorted(layout["fields"].items(), key=lambda field: field[1])
    ends = [offset for _, offset in fields[1:]] + [layout["size"]]
    return [(field, at, end - at) for (field, at), end in zip(fields, ends, strict=True)]


def record(name: str, **values: int | bytes) -> bytes:
    """A record as it lies in memory: every field given, the padding 0."""
    places = _places(name)
    assert {field for field, _, _ in places} == set(values), (name, values)
    parts = ((values[field], size) for field, _, size in places)
    return b"".join(v.to_bytes(size, "little") if isinstance(v, int) else v.ljust(size, b"\0") for v, size in parts)


def unpack(name: str, data: bytes) -> dict[str, int]:
    """The fields of a record whose padding is 0."""
    return {field: int.from_bytes(data[at : at + size], "little") for field, at, size in _places(name)}


def number(value: int, size: int = 4) -> bytes:
    """An integer in guest memory."""
    return value.to_bytes(size, "little")


def clock(userdata: int, clock_id: int, timeout: int, *, absolute: bool = False) -> bytes:
    """A subscription to a clock."""
    u = record("subscription_clock", id=clock_id, timeout=timeout, precision=0, flags=int(absolute))
    return _subscription(userdata, 0, u)


def readable(userdata: int, fd: int) -> bytes:
    """A subscription to data to read."""
    return _subscription(userdata, 1, record("subscription_fd_readwrite", file_descriptor=fd))


def writable(userdata: int, fd: int) -> bytes:
    """A subscription to room to write."""
    return _subscription(userdata, 2, record("subscription_fd_readwrite", file_descriptor=fd))


def _subscription(userdata: int, tag: int, payload: bytes) -> bytes:
    union = abi()["types"]["subscription_u"]
    u = bytes([tag]).ljust(union["payload_offset"], b"\0") + payload
    return record("subscription", userdata=userdata, u=u.ljust(union["size"], b"\0"))


def event(userdata: int, tag: int, *, error: int = 0, nbytes: int = 0, hangup: bool = False) -> bytes:
    """An event as `poll_oneoff` writes it."""
    state = record("event_fd_readwrite", nbytes=nbytes, flags=int(hangup))
    return record("event", userdata=userdata, error=error, type=tag, fd_readwrite=state)


class Raw:
    """One State over its own memory. `put` places what a call is to find; `place` also says where the rest may go."""

    def __init__(self, config: ModuleConfig | None = None, **options: Any) -> None:
        self.memory = bytearray(SENTINEL * SIZE)
        self.state = State(lambda: self.memory, config, **options)
        self._free = 0x8000

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.state.close()

    def call(self, name: str, *args: int) -> int:
        """The errno."""
        answer: int = getattr(self.state, name)(*args)
        return answer

    def put(self, at: int, data: bytes) -> None:
        """Write guest memory."""
        self.memory[at : at + len(data)] = data

    def get(self, at: int, size: int = 4) -> int:
        """A number in guest memory."""
        return int.from_bytes(self.memory[at : at + size], "little")

    def new(self, size: int, align: int = 8) -> int:
        """An address of a place in the upper half of the memory that no other call of this was given."""
        at = -(-self._free // align) * align
        self._free = at + size + 16  # sentinels between any two places
        assert self._free <= SIZE
        return at

    def text(self, text: str | bytes) -> tuple[int, int]:
        """Put a path into memory: address and length."""
        data = text.encode() if isinstance(text, str) else text
        at = self.new(len(data), 1)
        self.put(at, data)
        return at, len(data)

    def iovecs(self, *buffers: tuple[int, int]) -> tuple[int, int]:
        """Put an array of buffers (address, length) into memory: address and count."""
        at = self.new(8 * len(buffers), 4)
        self.put(at, b"".join(record("iovec", buf=buf, buf_len=size) for buf, size in buffers))
        return at, len(buffers)

    def data(self, *pieces: bytes) -> tuple[int, int]:
        """Put bytes to be written into memory, one buffer per piece: address and count of their array."""
        return self.iovecs(*(self.text(piece) for piece in pieces))

    def expect(self, name: str, *args: int, errno: int = 0, writes: Mapping[int, bytes] | None = None) -> None:
        """Make a call, and find its errno and exactly these bytes written, all others as they were."""
        wanted = bytearray(self.memory)
        for at, data in (writes or {}).items():
            wanted[at : at + len(data)] = data
        assert self.call(name, *args) == errno, name
        assert len(self.memory) == len(wanted)
        if self.memory != wanted:
            wrong = [at for at, (a, b) in enumerate(zip(self.memory, wanted, strict=True)) if a != b]
            low, high = max(0, wrong[0] - 8), wrong[-1] + 9
            assert bytes(self.memory[low:high]) == bytes(wanted[low:high]), f"{name}: from {low:#x} on"

    # -- shortcuts for tests of handlers -----------------------------------------------------------------------------

    def open(
        self,
        path: str,
        *,
        fd: int = 3,
        follow: bool = True,
        oflags: int = 0,
        rights: int | None = None,
        inheriting: int = (1 << 30) - 1,
        flags: int = 0,
    ) -> int:
        """`path_open` that has to succeed: the new descriptor. By default with all rights that can be requested."""
        result = self.new(4)
        if rights is None:
            every = abi()["types"]["rights"]["flags"]
            unfit = ("fd_write",) if oflags & 2 else ()  # to write a directory is ISDIR
            rights = sum(1 << bit for bit, name in enumerate(every) if name not in unfit)
        got = self.call("path_open", fd, int(follow), *self.text(path), oflags, rights, inheriting, flags, result)
        assert got == 0, (path, got)
        return self.get(result)

    def read(self, fd: int, size: int) -> bytes:
        """`fd_read` that has to succeed."""
        buffer, result = self.new(size), self.new(4)
        assert self.call("fd_read", fd, *self.iovecs((buffer, size)), result) == 0
        return bytes(self.memory[buffer : buffer + self.get(result)])

    def write(self, fd: int, *pieces: bytes) -> int:
        """`fd_write` that has to succeed: how much was written."""
        result = self.new(4)
        assert self.call("fd_write", fd, *self.data(*pieces), result) == 0
        return self.get(result)

    def fdstat(self, fd: int) -> dict[str, int]:
        """`fd_fdstat_get` that has to succeed. Its fields."""
        at = self.new(24)
        assert self.call("fd_fdstat_get", fd, at) == 0
        return unpack("fdstat", bytes(self.memory[at : at + 24]))

    def filestat(self, name: str, *args: int) -> dict[str, int]:
        """`fd_filestat_get` or `path_filestat_get` that has to succeed. Its fields."""
        at = self.new(64)
        assert self.call(name, *args, at) == 0
        return unpack("filestat", bytes(self.memory[at : at + 64]))

    def readdir(self, fd: int, size: int = 4096, cookie: int = 0) -> tuple[list[tuple[int, int, int, bytes]], bool]:
        """`fd_readdir` that has to succeed: (next cookie, inode, type, name) of each whole entry, and if it is cut."""
        buffer, result = self.new(size), self.new(4)
        assert self.call("fd_readdir", fd, buffer, size, cookie, result) == 0
        used = self.get(result)
        data, at, entries = bytes(self.memory[buffer : buffer + used]), 0, []
        while at + 24 <= used:
            head = unpack("dirent", data[at : at + 24])
            name = data[at + 24 : at + 24 + head["d_namlen"]]
            if len(name) < head["d_namlen"]:
                break
            entries.append((head["d_next"], head["d_ino"], head["d_type"], name))
            at += 24 + len(name)
        return entries, used == size

    def poll(self, *subscriptions: bytes) -> list[bytes]:
        """`poll_oneoff` that has to succeed. The events, as bytes."""
        at, out, result = self.new(48 * len(subscriptions)), self.new(32 * len(subscriptions)), self.new(4)
        self.put(at, b"".join(subscriptions))
        assert self.call("poll_oneoff", at, out, len(subscriptions), result) == 0
        return [bytes(self.memory[out + 32 * i : out + 32 * i + 32]) for i in range(self.get(result))]
