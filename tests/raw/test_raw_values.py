"""What a guest passes as a number: values that a type does not have, signed numbers, and text that is none."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest

from tests.raw.scene import ALL_RIGHTS, CALLS, FILE, Fd, Text, Value, make
from tests.raw.test_raw_pointers import VECTORS, arguments, positions
from tests.support.raw import Raw, abi, clock, number
from wasihost import Errno, ExitError, ModuleConfig, SignalExit, State, run

BADF, FBIG, ILSEQ, INVAL = 8, 22, 25, 28


def unknown() -> Iterator[tuple[str, int, int]]:
    for name in CALLS:
        for at, parameter in positions(name):
            if isinstance(parameter, Value):
                for bad in parameter.bad:
                    yield name, at, bad


@pytest.mark.parametrize(("name", "at", "bad"), list(unknown()))
def test_an_unknown_value_is_inval_before_the_handler_runs(raw: Raw, name: str, at: int, bad: int) -> None:
    numbers = arguments(raw, name)
    for position, parameter in positions(name):
        if isinstance(parameter, Fd):
            numbers[position] = 99  # a handler would return BADF
    numbers[at] = bad
    raw.expect(name, *numbers, errno=INVAL)


def test_an_unknown_clock_is_not_read() -> None:
    times = iter([11])
    with Raw(ModuleConfig().with_walltime(times.__next__, 1).with_nanotime(times.__next__, 1)) as raw:
        raw.expect("clock_time_get", 4, 0, 0x100, errno=INVAL)
        raw.expect("clock_time_get", 0, 0, 0x100, writes={0x100: number(11, 8)})


UNKNOWN_IN_MEMORY = {
    "tag": (8, b"\3"),
    "clock id": (16, b"\4\0\0\0"),
    "clock flags": (40, b"\2\0"),
}


@pytest.mark.parametrize("what", UNKNOWN_IN_MEMORY)
def test_an_unknown_value_in_a_subscription_is_inval(raw: Raw, what: str) -> None:
    offset, data = UNKNOWN_IN_MEMORY[what]
    at = raw.new(96)
    raw.put(at, clock(1, 1, 0) * 2)
    raw.put(at + 48 + offset, data)
    raw.expect("poll_oneoff", at, raw.new(64), 2, raw.new(4), errno=INVAL)


@pytest.mark.parametrize("count", [0, 4097, 0xFFFF_FFFF, -1])
def test_no_subscriptions_or_too_many_are_inval(raw: Raw, count: int) -> None:
    raw.expect("poll_oneoff", raw.new(48), raw.new(32), count, raw.new(4), errno=INVAL)


TEXTS = [(name, at) for name in CALLS for at, parameter in positions(name) if isinstance(parameter, Text)]


@pytest.mark.parametrize(("name", "at"), TEXTS)
@pytest.mark.parametrize("path", [b"\xff", b"a\x80", b"\xed\xa0\x80", b"\xc0\xaf", b"file\xc3"])
def test_a_path_that_is_not_utf_8_is_ilseq(raw: Raw, name: str, at: int, path: bytes) -> None:
    numbers = arguments(raw, name)
    numbers[at : at + 2] = raw.text(path)
    raw.expect(name, *numbers, errno=ILSEQ)


@pytest.mark.parametrize(("name", "at"), TEXTS)
def test_a_path_with_a_nul_is_inval(raw: Raw, name: str, at: int) -> None:
    numbers = arguments(raw, name)
    numbers[at : at + 2] = raw.text("fi\0le")
    raw.expect(name, *numbers, errno=INVAL)


@pytest.mark.parametrize(("name", "at"), VECTORS)
def test_more_than_1024_buffers_are_inval(raw: Raw, name: str, at: int) -> None:
    numbers = arguments(raw, name)
    numbers[at : at + 2] = raw.iovecs(*[(0x100, 0)] * 1025)
    raw.expect(name, *numbers, errno=INVAL)


@pytest.mark.parametrize("name", ["fd_read", "fd_write", "fd_pread", "fd_pwrite"])
@pytest.mark.parametrize("count", [0, 1, 3, 1024])
def test_empty_buffers_move_nothing(raw: Raw, name: str, count: int) -> None:
    numbers = arguments(raw, name)
    numbers[1:3] = raw.iovecs(*[(0x100, 0)] * count)
    raw.expect(name, *numbers, writes={numbers[-1]: number(0)})


def test_1024_buffers_are_read_in_order(raw: Raw) -> None:
    at, count = raw.iovecs(*[(0x200 + 2 * i, 1) for i in range(1024)])
    raw.expect("fd_read", FILE, at, count, 0x100, writes={
        0x100: number(7), **{0x200 + 2 * i: bytes([byte]) for i, byte in enumerate(b"content")},
    })  # fmt: skip


SIGNED = [
    ("clock_time_get", (1, -1, 0x100)),
    ("fd_tell", (-1, 0x100)),
    ("fd_seek", (FILE, -3, 2, 0x100)),
    ("fd_seek", (FILE, -(2**63), 1, 0x100)),
    ("fd_advise", (FILE, -1, -1, 0)),
    ("fd_allocate", (FILE, -2, 1)),
    ("fd_filestat_set_size", (FILE, -1)),
    ("fd_fdstat_set_rights", (FILE, -1, 0)),
    ("fd_filestat_set_times", (FILE, -1, -(2**63), 5)),
    ("fd_renumber", (FILE, -1)),
    ("fd_close", (-(2**31),)),
    ("fd_readdir", (3, 0x200, 64, -1, 0x100)),
    ("path_open", (3, 0, 0x40, 4, 0, ALL_RIGHTS, -(2**63), 0, 0x100)),
]


@pytest.mark.parametrize(("name", "args"), SIGNED)
def test_signed_numbers_mean_their_unsigned_counterparts(
    raw: Raw, tmp_path_factory: pytest.TempPathFactory, name: str, args: tuple[int, ...]
) -> None:
    params = abi()["functions"][name]["params"]
    unsigned = [
        arg % (2**64 if type_ == "i64" else 2**32) for arg, type_ in zip(args, params, strict=True)
    ]  # fmt: skip
    raw.put(0x40, b"file")
    with make(tmp_path_factory.mktemp("other")) as other:
        other.put(0x40, b"file")
        assert raw.call(name, *args) == other.call(name, *unsigned)
        assert raw.memory == other.memory


def test_a_negative_offset_counts_back(raw: Raw) -> None:
    raw.expect("fd_seek", FILE, -3, 2, 0x100, writes={0x100: number(4, 8)})
    raw.expect("fd_seek", FILE, 2**64 - 1, 1, 0x100, writes={0x100: number(3, 8)})


@pytest.mark.parametrize("code", [0, 1, 255, 256, 2**31, 2**32 - 1])
def test_proc_exit_keeps_its_code(code: int) -> None:
    state = State(lambda: bytearray(8))
    for given in (code, code - 2**32):
        with pytest.raises(ExitError) as caught:
            state.proc_exit(given)
        assert caught.value.code == code


def test_a_signal_does_what_the_spec_says() -> None:
    """The meaning of each, by number, from beside its name in the official file."""
    state = State(lambda: bytearray(8))
    ignored, stops = {13, 16, 17, 22, 27}, {18, 19, 20, 21}
    for sig in range(31):
        if sig == 0:
            assert state.proc_raise(sig) == INVAL
        elif sig in stops:
            assert state.proc_raise(sig) == Errno.NOTSUP
        elif sig in ignored:
            assert state.proc_raise(sig) == 0
        else:
            with pytest.raises(SignalExit) as caught:
                state.proc_raise(sig)
            assert (caught.value.signal, caught.value.code) == (sig, 128 + sig)
            again = pickle.loads(pickle.dumps(caught.value))
            assert (again.name, again.code, str(again)) == (caught.value.name, 128 + sig, str(caught.value))


@pytest.mark.parametrize("spec", ["wasi_snapshot_preview1", "wasi_unstable"])
def test_a_guest_that_aborts_itself(spec: str) -> None:
    done = run(f"""(module (import "{spec}" "proc_raise" (func $raise (param i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "_start") (drop (call $raise (i32.const 16))) (drop (call $raise (i32.const 6))) unreachable))""")
    assert done.returncode == 134


def test_offsets_beyond_what_a_host_has_are_inval(raw: Raw) -> None:
    vectors = raw.iovecs((0x200, 4))
    for offset in (2**63, 2**64 - 1):
        raw.expect("fd_pread", FILE, *vectors, offset, 0x100, errno=INVAL)
        raw.expect("fd_pwrite", FILE, *vectors, offset, 0x100, errno=INVAL)
        raw.expect("fd_filestat_set_size", FILE, offset, errno=INVAL)
        raw.expect("fd_advise", FILE, offset, 0, 0, errno=INVAL)
        raw.expect("fd_allocate", FILE, offset, 1, errno=INVAL)
        raw.expect("fd_allocate", FILE, 1, offset, errno=INVAL)
    assert raw.call("fd_filestat_set_size", FILE, 2**63 - 1) in (INVAL, FBIG, 0)  # tmpfs takes it
