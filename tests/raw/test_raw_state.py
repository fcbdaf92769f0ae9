"""The State itself: memory that grows and moves, `mem()`, and what is there besides the spec's functions."""

from __future__ import annotations

import array

import pytest

from tests.raw.scene import FILE
from tests.support.raw import SIZE, Raw, abi, number
from wasihost import ConfigError, GuestFault, ModuleConfig, State


def test_memory_may_grow_between_calls_because_no_view_is_kept(raw: Raw) -> None:
    for name, args, errno in (
        ("fd_read", (FILE, *raw.iovecs((0x200, 3)), 0x100), 0),
        ("fd_read", (99, *raw.iovecs((0x200, 3)), 0x100), 8),
        ("path_open", (3, 0, *raw.text("none"), 0, 0, 0, 0, 0x100), 44),
        ("fd_prestat_dir_name", (3, 0x200, 1), 37),
        ("path_filestat_get", (3, 0, *raw.text(b"\xff"), 0x100), 25),
        ("args_get", (0x200, 0x300), 0),
    ):
        assert raw.call(name, *args) == errno
        raw.memory.extend(b"?" * 8)  # BufferError if anybody looks at it still


def test_a_call_reaches_what_has_grown(raw: Raw) -> None:
    with pytest.raises(GuestFault):
        raw.call("fd_tell", FILE, SIZE)
    raw.memory.extend(b"?" * 16)
    raw.expect("fd_tell", FILE, SIZE, writes={SIZE: number(0, 8)})


def test_memory_may_be_another_object_at_each_call() -> None:
    memories = [bytearray(64), bytearray(64)]
    state = State(lambda: memories[0], ModuleConfig().with_args("a"))
    assert state.args_sizes_get(0, 4) == 0
    memories.reverse()
    assert state.args_sizes_get(8, 12) == 0
    assert memories[1] == number(1) + number(2) + bytes(56)
    assert memories[0] == bytes(8) + number(1) + number(2) + bytes(48)


def test_memory_shrunk_since_is_looked_at_again() -> None:
    memory = bytearray(128)
    state = State(lambda: memory)
    assert state.clock_res_get(0, 120) == 0
    del memory[64:]
    with pytest.raises(GuestFault, match="0x78 to 0x80 are outside the memory of 0x40 bytes"):
        state.clock_res_get(0, 120)


def test_mem_is_the_memory_as_it_is_now() -> None:
    memory = bytearray(b"abc")
    state = State(lambda: memory)
    with state.mem() as view:
        assert view.tobytes() == b"abc"
        assert not view.readonly
        view[0] = 120
    assert memory == b"xbc"
    memory.extend(b"d")
    assert state.mem().tobytes() == b"xbcd"


def test_memory_of_wider_items_is_seen_as_bytes() -> None:
    memory = array.array("I", [0] * 8)
    assert State(lambda: memory).clock_res_get(1, 8) == 0
    assert memory.tobytes()[8:16] == number(1, 8)


def test_read_only_memory_is_refused() -> None:
    with pytest.raises(TypeError, match="writable"):
        State(lambda: b"?" * 64).sched_yield()


def test_a_state_without_a_memory_says_so() -> None:
    with pytest.raises(ConfigError, match="memory"):
        State().sched_yield()


def test_call_host_function_is_0(raw: Raw) -> None:
    assert raw.state.call_host_function(1, 2, 3) == 0
    assert raw.state.call_host_function(-1, 0, 2**32 - 1) == 0
    signature, stub = raw.state.imports()["env"]["call_host_function"]
    assert (signature.params, signature.results, stub(0, 0, 0)) == (("i32", "i32", "i32"), ("i32",), 0)


def test_imports_are_all_functions_with_their_types(raw: Raw) -> None:
    provided = raw.state.imports()
    assert set(provided) == {"wasi_snapshot_preview1", "env"}
    table = provided["wasi_snapshot_preview1"]
    functions = abi()["functions"]
    assert set(table) == set(functions)
    for name, (signature, _) in table.items():
        assert list(signature.params) == functions[name]["params"]
        assert list(signature.results) == functions[name]["results"]


def test_two_states_share_nothing() -> None:
    first, second = State(lambda: bytearray(64)), State(lambda: bytearray(64))
    assert first.fd_close(0) == 0
    assert first.fd_close(0) == 8
    assert second.fd_close(0) == 0


def test_a_closed_state_has_no_descriptors(raw: Raw) -> None:
    raw.state.close()
    for fd in range(6):
        raw.expect("fd_fdstat_get", fd, 0x100, errno=8)
    raw.state.close()
