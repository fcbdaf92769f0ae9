"""random_get from the system: what it keeps in stock is given out once, and to one process."""

import subprocess
import sys

from tests.support.raw import Raw

FORKING = """
import os
from wasihost.host.state import State

state = State(lambda: memory)
memory = bytearray(64)
state.random_get(0, 16)
reader, writer = os.pipe()
child = os.fork()
state.random_get(16, 16)
if not child:
    os.write(writer, memory[16:32])
    os._exit(0)
os.waitpid(child, 0)
assert os.read(reader, 16) != memory[16:32]
"""


def test_no_bytes_come_twice() -> None:
    with Raw() as raw:
        seen = set()
        for turn in range(2000):  # several stocks
            size = 8 + turn % 57
            assert raw.call("random_get", 0x100, size) == 0
            seen.add(bytes(raw.memory[0x100:0x108]))
            seen.add(bytes(raw.memory[0x100 + size - 8 : 0x100 + size]))
        assert len(seen) >= 2 * 2000 - 2000 // 57 - 1  # of 8 bytes, start and end are the same


def test_a_request_of_every_small_size_is_filled_exactly() -> None:
    with Raw() as raw:
        for size in range(130):
            before = bytes(raw.memory)
            assert raw.call("random_get", 0x100, size) == 0
            assert raw.memory[:0x100] == before[:0x100]
            assert raw.memory[0x100 + size :] == before[0x100 + size :]
            assert size < 16 or raw.memory[0x100 : 0x100 + size] != before[0x100 : 0x100 + size]


def test_a_forked_process_does_not_share_the_stock() -> None:
    done = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_two_guests_do_not_share_bytes() -> None:
    with Raw() as one, Raw() as other:
        assert one.call("random_get", 0x100, 16) == other.call("random_get", 0x100, 16) == 0
        assert one.memory[0x100:0x110] != other.memory[0x100:0x110]
