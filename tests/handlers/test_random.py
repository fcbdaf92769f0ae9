"""random_get and sched_yield."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.raw import SENTINEL, Raw
from wasihost import Errno, ModuleConfig


class Dripping:
    """Gives at most three bytes at a time."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def read(self, size: int, /) -> bytes:
        self.asked.append(size)
        return bytes([len(self.asked)]) * min(size, 3)


def test_short_reads_are_repeated() -> None:
    source = Dripping()
    with Raw(ModuleConfig().with_rand_source(source)) as raw:
        raw.expect("random_get", 0x100, 8, writes={0x100: b"\1\1\1\2\2\2\3\3"})
    assert source.asked == [8, 5, 2]


def test_a_source_that_has_run_dry_is_io() -> None:
    with Raw(ModuleConfig().with_rand_source(io.BytesIO(b"ab"))) as raw:
        assert raw.call("random_get", 0x100, 3) == Errno.IO
        assert raw.call("random_get", 0x100, 0) == 0


def test_a_source_that_gives_too_much_is_the_embedder_s_bug() -> None:
    class Generous:
        def read(self, size: int, /) -> bytes:
            return b"x" * (size + 1)

    with Raw(ModuleConfig().with_rand_source(Generous())) as raw:
        before = bytes(raw.memory)
        with pytest.raises(ValueError, match="gave 5 bytes when asked for 4"):
            raw.call("random_get", 0x100, 4)
        assert raw.memory == before


def test_the_system_s_generator_fills_all_of_a_large_buffer() -> None:
    with Raw() as raw:
        size = 3 * 2**20 + 1
        raw.memory.extend(SENTINEL * size)
        at = len(raw.memory) - size
        assert raw.call("random_get", at, size) == 0
        counts = [raw.memory.count(byte, at) for byte in range(256)]
        assert max(counts) < 2 * min(counts)


def test_sched_yield_calls_the_hook() -> None:
    calls: list[int] = []
    with Raw(ModuleConfig().with_osyield(lambda: calls.append(1))) as raw:
        raw.expect("sched_yield")
        raw.expect("sched_yield")
    assert calls == [1, 1]
    with Raw() as raw:
        raw.expect("sched_yield")


def pieces(raw: Raw, count: int, size: int = 16) -> list[bytes]:
    out = []
    for _ in range(count):
        assert raw.call("random_get", 0x100, size) == 0
        out.append(bytes(raw.memory[0x100 : 0x100 + size]))
    return out


def test_no_byte_is_given_twice() -> None:
    with Raw() as one, Raw() as other:
        found = pieces(one, 300) + pieces(other, 300) + pieces(one, 100, 37)
    assert len(set(found)) == 700


def test_only_the_buffer_is_filled() -> None:
    with Raw() as raw:
        for size in (0, 1, 63, 64, 65, 5000):
            raw.memory[:] = SENTINEL * len(raw.memory)
            assert raw.call("random_get", 0x100, size) == 0
            assert raw.memory[:0x100] + raw.memory[0x100 + size :] == SENTINEL * (len(raw.memory) - size)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_has_bytes_of_its_own() -> None:
    code = """
import os
from tests.support.raw import Raw
raw = Raw()
raw.call("random_get", 0x100, 16)
child = os.fork()
raw.call("random_get", 0x100, 16)
os.write(1, bytes(raw.memory[0x100:0x110]))
if child:
    os.waitpid(child, 0)
"""
    root = Path(__file__).resolve().parents[2]  # where it finds tests.support
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=root, check=True, timeout=30)
    assert len(done.stdout) == 32
    assert done.stdout[:16] != done.stdout[16:]
