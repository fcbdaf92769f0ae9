"""Positional reads and writes of the extension do what those of `os` do."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.native.raising import raised
from wasihost.native import extension, why

pytestmark = pytest.mark.skipif(extension is None, reason=f"this is the pure path: {why}")
calls: Any = extension


def test_reads_and_writes_are_those_of_python(tmp_path: Path) -> None:
    random_ = random.Random(17)
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    try:
        for _ in range(300):
            sizes = [random_.randrange(60) for _ in range(random_.choice([0, 1, 1, 2, 5, 16, 17, 40]))]
            offset = random_.randrange(500)
            data = [memoryview(random_.randbytes(size)) for size in sizes]
            assert calls.pwritev(fd, data, offset) == os.pwritev(other, data, offset) == sum(sizes)
            into, others = ([memoryview(bytearray(size)) for size in sizes] for _ in range(2))
            offset = random_.randrange(500)
            assert calls.preadv(fd, into, offset) == os.preadv(other, others, offset)
            assert into == others
            for descriptor in (fd, other):
                os.lseek(descriptor, offset, os.SEEK_SET)
            assert calls.preadv(fd, into, -1) == os.readv(other, others)
            assert calls.pwritev(fd, data, -1) == os.writev(other, data)
            assert into == others
            assert os.lseek(fd, 0, os.SEEK_CUR) == os.lseek(other, 0, os.SEEK_CUR)
        assert (tmp_path / "file").read_bytes() == (tmp_path / "other").read_bytes()
    finally:
        os.close(fd)
        os.close(other)


def test_bad_buffers_and_descriptors_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    with open(tmp_path / "file", "rb") as file:
        fd = file.fileno()
        for buffers in [(), memoryview(bytearray(1)), [b"x"], [bytearray(1), memoryview(b"x")], [None] * 20]:
            with pytest.raises((TypeError, BufferError)):
                calls.preadv(fd, buffers, 0)
        assert raised(calls.pwritev, fd, [b"x"], 0) == raised(os.pwritev, fd, [b"x"], 0)
        assert raised(calls.preadv, -1, [], 0) == raised(os.preadv, -1, [], 0)
        too_many = [bytearray(1)] * 5000
        assert raised(calls.preadv, fd, too_many, 0) == raised(os.preadv, fd, too_many, 0)
        held = bytearray(1)
        calls.preadv(fd, [held], 0)
        held.append(1)  # it was released


@pytest.mark.usefixtures("in_time")
def test_a_wait_lets_other_threads_run_and_signal_handlers_too() -> None:
    """PEP 475: an interrupted call continues after the handler, and ends with what the handler raises."""
    reading, writing = os.pipe()
    seen: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
    this = threading.get_ident()

    def later(raises: bool) -> None:
        time.sleep(0.05)
        signal.pthread_kill(this, signal.SIGUSR1)
        while not seen:
            time.sleep(0.001)
        if not raises:
            os.write(writing, b"x")

    try:
        thread = threading.Thread(target=later, args=(False,))
        thread.start()
        assert calls.preadv(reading, [bytearray(4)], -1) == 1
        thread.join()
        assert seen == [1]

        def handler(*_: object) -> None:
            seen.append(2)
            raise KeyError("from the handler")

        seen.clear()
        signal.signal(signal.SIGUSR1, handler)
        thread = threading.Thread(target=later, args=(True,))
        thread.start()
        with pytest.raises(KeyError, match="from the handler"):
            calls.preadv(reading, [bytearray(4)], -1)
        thread.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
        os.close(reading)
        os.close(writing)
