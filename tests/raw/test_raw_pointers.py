"""What a guest passes as a pointer: every one of every function, outside the memory and misaligned."""

from __future__ import annotations

import mmap
import tracemalloc
from collections.abc import Iterator

import pytest

from tests.raw import scene
from tests.raw.scene import CALLS, FAILING, Buffer, Fd, Places, Pointer, Text, Value, Vectors
from tests.support.raw import SIZE, Raw, abi, clock
from wasihost import GuestFault, ModuleConfig, State

BADF = 8
OUTSIDE = 0xFFFF_FFF8
"""An address that is aligned to everything and outside every memory."""


def arguments(raw: Raw, name: str) -> list[int]:
    """The numbers of a call that gets as far as it can."""
    out: list[int] = []
    for parameter in CALLS[name]:
        match parameter:
            case Pointer():
                out.append(raw.new(parameter.size))
            case Buffer():
                out += raw.new(parameter.size), parameter.size
            case Text():
                out += raw.text(parameter.text)
            case Vectors():
                out += raw.iovecs((raw.new(parameter.size), parameter.size))
            case Value():
                out.append(parameter.good)
            case Fd():
                out.append(parameter.number)
            case Places():
                out.append(raw.new(48))
                raw.put(out[-1], clock(1, 1, 0))
    return out


def positions(name: str) -> Iterator[tuple[int, scene.Parameter]]:
    """Each parameter of the witx and where its numbers begin."""
    at = 0
    for parameter in CALLS[name]:
        yield at, parameter
        at += 2 if isinstance(parameter, (Buffer, Text, Vectors)) else 1


def test_every_function_of_the_spec_is_in_the_table() -> None:
    functions = abi()["functions"]
    assert set(CALLS) == set(functions)
    for name, call in CALLS.items():
        wide = [2 if isinstance(one, (Buffer, Text, Vectors)) else 1 for one in call]
        assert sum(wide) == len(functions[name]["params"]), name


@pytest.mark.parametrize("name", sorted(set(CALLS) - {"proc_exit"}))
def test_every_call_of_the_table_gets_through(raw: Raw, name: str) -> None:
    assert raw.call(name, *arguments(raw, name)) == FAILING.get(name, 0)


def spoiled() -> Iterator[tuple[str, str, int, tuple[int, ...]]]:
    """Function, parameter, position, and what to put there instead: an address, or an address and a length."""
    for name in CALLS:
        for at, parameter in positions(name):
            match parameter:
                case Pointer(result=True) if name in FAILING:
                    continue  # looked at only when there is a result
                case Pointer():
                    behind = SIZE - parameter.size + parameter.align
                    for bad in (OUTSIDE, SIZE, behind, -8, *([SIZE // 2 + 1] if parameter.align > 1 else [])):
                        yield name, parameter.name, at, (bad,)
                case Buffer() | Text():
                    size = parameter.size if isinstance(parameter, Buffer) else len(parameter.text)
                    for bad, length in ((OUTSIDE, size), (SIZE - size + 1, size), (8, 0xFFFF_FFFF)):
                        yield name, parameter.name, at, (bad, length)
                case Vectors():
                    for bad, length in ((OUTSIDE, 1), (SIZE - 4, 1), (SIZE - 8, 2), (2, 1), (SIZE - 4000, 1000)):
                        yield name, parameter.name, at, (bad, length)
                case Places():
                    for bad in (OUTSIDE, SIZE - 40, 4):
                        yield name, parameter.name, at, (bad,)
                case Value() | Fd():
                    pass


@pytest.mark.parametrize(
    ("name", "parameter", "at", "instead"), [pytest.param(*one, id=f"{one[0]}-{one[1]}-{one[3]}") for one in spoiled()]
)
def test_a_bad_pointer_is_a_fault_that_names_it(
    raw: Raw, name: str, parameter: str, at: int, instead: tuple[int, ...]
) -> None:
    numbers = arguments(raw, name)
    numbers[at : at + len(instead)] = instead
    before = bytes(raw.memory)
    with pytest.raises(GuestFault) as caught:
        raw.call(name, *numbers)
    assert caught.value.what == f"{name}: {parameter}"
    assert str(caught.value).startswith(f"{name}: {parameter}: ")
    if not parameter.startswith("result"):  # a result comes last, when the other outputs are already written
        assert raw.memory == before


VECTORS = [(name, at) for name in CALLS for at, parameter in positions(name) if isinstance(parameter, Vectors)]


@pytest.mark.parametrize(("name", "at"), VECTORS)
@pytest.mark.parametrize("bad", [(OUTSIDE, 1), (SIZE - 2, 3), (8, 0xFFFF_FFFF)])
@pytest.mark.parametrize("before_it", [0, 1, 2])
def test_a_buffer_outside_the_memory_is_a_fault(
    raw: Raw, name: str, at: int, bad: tuple[int, int], before_it: int
) -> None:
    numbers = arguments(raw, name)
    numbers[at : at + 2] = raw.iovecs(*[(0x100, 4)] * before_it, bad)
    before = bytes(raw.memory)
    with pytest.raises(GuestFault, match=f"^{name}: "):
        raw.call(name, *numbers)
    assert raw.memory == before


WITH_RESULT = [
    (name, at, last)
    for name in CALLS
    for at, parameter in list(positions(name))[:1]
    if isinstance(parameter, Fd)
    for last, pointer in positions(name)
    if isinstance(pointer, Pointer) and pointer.result
]


@pytest.mark.parametrize(("name", "at", "last"), WITH_RESULT)
@pytest.mark.parametrize("bad", [OUTSIDE, 3])
def test_a_result_pointer_is_not_looked_at_when_the_call_fails(
    raw: Raw, name: str, at: int, last: int, bad: int
) -> None:
    numbers = arguments(raw, name)
    numbers[at], numbers[last] = 99, bad
    raw.expect(name, *numbers, errno=BADF)


def huge() -> Iterator[tuple[str, int]]:
    for name in CALLS:
        for at, parameter in positions(name):
            if isinstance(parameter, (Buffer, Text, Vectors)):
                yield name, at + 1
    yield "poll_oneoff", 2


@pytest.mark.parametrize(("name", "at"), list(huge()))
@pytest.mark.parametrize("length", [0xFFFF_FFFF, 0x7FFF_FFFF, 0x1000_0000])
def test_a_huge_length_allocates_nothing(raw: Raw, name: str, at: int, length: int) -> None:
    numbers = arguments(raw, name)
    numbers[at] = length
    tracemalloc.start()
    try:
        answer = raw.call(name, *numbers)
    except GuestFault:
        answer = None
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert answer in (None, 28)
    assert peak < 200_000


def test_an_address_may_be_given_as_a_negative_number() -> None:
    size = 2**31 + 0x10000
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        wrote: list[bytes] = []
        state = State(lambda: memory, ModuleConfig().with_stdout(wrote.append))
        text, vectors, result = 2**31 + 0x100, 2**31 + 0x200, 2**31 + 0x300
        memory[text : text + 5] = b"hello"
        memory[vectors : vectors + 8] = text.to_bytes(4, "little") + (5).to_bytes(4, "little")
        assert state.fd_write(1, vectors - 2**32, 1, result - 2**32) == 0
        assert wrote == [b"hello"]
        assert memory[result : result + 4] == b"\5\0\0\0"
        assert state.random_get(text - 2**32, 5) == 0
        assert memory[text : text + 5] != b"hello"
