"""The checks notice what a call must not do: each of these breaks one promise of `tests.fuzz.worlds`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest
from wasi_preview1.errors import WasiError
from wasi_preview1.types import Errno

from tests.fuzz import spec, worlds
from tests.fuzz.raw_script import Line, parse
from wasihost.handlers.fd import FdFunctions
from wasihost.handlers.random import RandomFunctions

CALL: list[Line] = parse("fd_tell 5 0x100\nrandom_get 0x200 8")
kept: list[object] = []


def _wrong_exception(_self: object, _fd: int) -> int:
    raise KeyError("fd")


def _slow(_self: object, _fd: int) -> int:
    end = time.thread_time() + worlds.SECONDS * 1.1
    while time.thread_time() < end:
        pass
    return 0


def _leak(_self: object, _fd: int) -> int:
    kept.append(os.open("/", os.O_RDONLY))
    return 0


def _hoard(_self: object, _fd: int) -> int:
    return len(bytearray(worlds.BYTES + 1))


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (_wrong_exception, "fd_tell raised KeyError"),
        (_slow, "fd_tell took"),
        (_hoard, "fd_tell took"),
        (_leak, "this process has .* open, the guest"),
    ],
)
def test_a_broken_handler(monkeypatch: pytest.MonkeyPatch, handler: Callable[..., int], said: str) -> None:
    monkeypatch.setattr(FdFunctions, "fd_tell", handler)
    with pytest.raises(worlds.Broken, match=said):
        worlds.run(CALL, "memory", measured=True)
    for fd in kept:
        os.close(fd)  # type: ignore[arg-type]  # what _leak has opened
    kept.clear()


def test_a_failed_call_that_wrote_something(monkeypatch: pytest.MonkeyPatch) -> None:
    def fill_and_fail(_self: object, buf: memoryview) -> None:
        buf[0] = 0
        raise WasiError(Errno.IO)

    monkeypatch.setattr(RandomFunctions, "random_get", fill_and_fail)
    with pytest.raises(worlds.Broken, match="random_get ended with IO and wrote 1 bytes from 0x200 on"):
        worlds.run(CALL, "memory")


def test_everything_of_these_calls_is_written() -> None:
    assert worlds.run(CALL, "memory") == ["SUCCESS", "SUCCESS"]


def test_buffers_that_a_call_may_write_are_those_of_the_spec() -> None:
    memory = bytes(16) + b"".join(number.to_bytes(4, "little") for number in (0x100, 4, 0x200, 8)) + bytes(0x400)
    read = spec.writable("fd_read", (0, 0x10, 2, 0x300), memory, {})
    assert read == spec.Writable([spec.Region(0x300, 4)], [spec.Region(0x100, 4), spec.Region(0x200, 8)], 1, True)
    after = bytearray(memory)
    after[0x300], after[0x100:0x104], after[0x200:0x202] = 6, b"abcd", b"ef"
    assert spec.outside(memory, bytes(after), read, success=True) == []
    after[0x202] = 1  # in the buffer, but behind what was read
    assert spec.outside(memory, bytes(after), read, success=True) == [0x202]
    assert spec.writable("fd_write", (1, 0x10, 2, 0x300), memory, {}).arrays == []
    poll = spec.writable("poll_oneoff", (0, 0x100, 2, 0x300), memory, {})
    assert poll == spec.Writable([spec.Region(0x300, 4)], [spec.Region(0x100, 64)], 32, True)
    assert spec.writable("args_get", (0x100, -4), memory, {"args_sizes_get": (2, 7)}).arrays == [
        (0x100, 8), (0xFFFFFFFC, 7),
    ]  # fmt: skip
