"""Packages that the generator wrote, served to guests by `wasihost.bind`."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.c_stubs import compile_stubs
from wasihost import (
    ConfigError,
    Imports,
    Module,
    Profile,
    TrapError,
    bind,
    hook,
    instantiate,
    native,
    outcome,
    run,
    run_async,
    start,
)

GUEST = Module("""(module
  (import "first" "text_len" (func $text_len (param i32 i32 i32) (result i32)))
  (import "first" "fill" (func $fill (param i32 i32 i32) (result i32)))
  (import "first" "centre" (func $centre (param i32 i32 i32) (result i32)))
  (import "first" "fd_read" (func $fd_read (param i32) (result i32)))
  (import "first" "next" (func $next (param i32) (result i32)))
  (import "first" "say" (func $say (param i32 i32)))
  (import "second" "twice" (func $twice (param f64) (result f64)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\\01\\00\\00\\00\\02\\00\\00\\00\\03\\00\\00\\00\\04\\00\\00\\00caf\\c3\\a9")
  (func (export "text_len") (param i32 i32 i32) (result i32)
    (call $text_len (local.get 0) (local.get 1) (local.get 2)))
  (func (export "fill") (param i32 i32 i32) (result i32) (call $fill (local.get 0) (local.get 1) (local.get 2)))
  (func (export "centre") (param i32 i32 i32) (result i32) (call $centre (local.get 0) (local.get 1) (local.get 2)))
  (func (export "fd_read") (param i32) (result i32) (call $fd_read (local.get 0)))
  (func (export "next") (param i32) (result i32) (call $next (local.get 0)))
  (func (export "say") (param i32 i32) (call $say (local.get 0) (local.get 1)))
  (func (export "twice") (param f64) (result f64) (call $twice (local.get 0)))
  (func (export "grow") (result i32) (memory.grow (i32.const 1)))
  (func (export "_start") (drop (call $fd_read (i32.const 7))) (call $say (i32.const 16) (i32.const 5))))""")


@pytest.fixture(params=["Python", "C"])
def binding(request: pytest.FixtureRequest, abi: Any, kind: Any) -> tuple[Any, Any]:
    """Handlers, and their binding by the stubs in one language."""
    mine = kind()
    if request.param == "Python":
        return bind(abi, mine), mine
    if native.extension is None:
        pytest.skip(f"this is the pure path: {native.why}")
    return bind(abi, mine, stubs=request.getfixturevalue("in_c")), mine


@pytest.fixture(scope="session")
def in_c(abi: Any, folder: Path) -> Any:
    """An extension with the stubs in C."""
    return compile_stubs(folder, [abi.__name__], "binding_native")


def test_values_and_results_are_passed(binding: Any) -> None:
    served, mine = binding
    with instantiate(GUEST, imports=served) as guest:
        call = guest.exports
        assert (call.text_len(16, 5, 64), guest.memory.read_bytes(64, 4)) == (0, b"\4\0\0\0")
        assert (call.fill(100, 3, 0x41), guest.memory.read_bytes(99, 5)) == (0, b"\0AAA\0")
        assert (call.centre(0, 2, 64), guest.memory.read_bytes(64, 8)) == (0, b"\2\0\0\0\3\0\0\0")
        assert (call.next(0), call.twice(0.25)) == (1, 0.5)
        call.say(16, 5)
        assert mine.heard == ["café"]


def test_errnos_of_handlers_and_of_values(binding: Any, abi: Any) -> None:
    served, mine = binding
    mine.raises = {
        1: abi.WasiError(abi.Errno.NOENT),
        2: FileNotFoundError(2, "as noent"),
        3: PermissionError(1, "as eperm"),
        4: TimeoutError(110, "which this ABI does not have"),
    }
    with instantiate(GUEST, imports=served) as guest:
        call = guest.exports
        assert [call.fd_read(number) for number in range(4)] == [0, 3, 3, 4]
        assert (call.centre(0, 0, 64), call.text_len(19, 1, 64)) == (1, 2)  # inval, ilseq
        with pytest.raises(TimeoutError) as caught:
            call.fd_read(4)
        assert caught.value is mine.raises[4]


def test_errnos_for_errors_of_the_system_can_be_chosen(abi: Any, kind: Any) -> None:
    mine = kind()
    mine.raises = {1: ConnectionError(111, "refused"), 2: OSError("without a number")}
    with instantiate(GUEST, imports=bind(abi, mine, errno_of=lambda _: abi.Errno.EPERM)) as guest:
        assert [guest.exports.fd_read(number) for number in (1, 2)] == [4, 4]
    with (
        instantiate(GUEST, imports=bind(abi, mine)) as guest,
        pytest.raises(OSError, match="without a number"),
    ):
        guest.exports.fd_read(2)


@pytest.mark.parametrize(
    ("name", "numbers", "message"),
    [
        ("text_len", (0x10000, 1, 64), "text_len: text: bytes 0x10000 to 0x10001 are outside the memory of 0x10000 b"),
        ("text_len", (16, 5, 66), "text_len: result: address 0x42 is not a multiple of 4"),
        ("fill", (0xFFFF, 2, 0), "fill: to: bytes 0xffff to 0x10001 are outside the memory of 0x10000 bytes"),
        ("centre", (0, 0x7FFF_FFFF, 64), "centre: points: bytes 0x0 to 0x3fffffff8 are outside the memory of 0x10000"),
        ("next", (2,), "next: colour: not a value of its type"),
        ("say", (19, 1), "say: text: not UTF-8"),
    ],
)
def test_faults_of_the_guest_are_traps(binding: Any, name: str, numbers: tuple[int, ...], message: str) -> None:
    served, mine = binding
    with instantiate(GUEST, imports=served) as guest, pytest.raises(TrapError) as caught:
        guest.call(name, *numbers)
    assert caught.value.message.startswith(message)
    assert caught.value.kind == "guest fault"
    assert caught.value.backtrace
    assert mine.heard == []


def test_lists_that_overlap_cannot_name_any_amount(binding: Any) -> None:
    """A small memory holds a list of lists that are all the same one: 4 million values."""
    rows = """(module
      (import "first" "area" (func $area (param i32 i32 i32) (result i32)))
      (import "first" "paint" (func $paint (param i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "area") (param i32 i32) (result i32) (call $area (local.get 0) (local.get 1) (i32.const 8)))
      (func (export "paint") (param i32) (result i32) (call $paint (local.get 0))))"""
    served, mine = binding
    with instantiate(rows, imports=served) as guest:
        write = guest.memory.write_bytes
        for row in range(2000):
            write(0x4000 + 8 * row, (0x4000).to_bytes(4, "little") + (2000).to_bytes(4, "little"))
        for _ in range(3):  # each call counts anew
            assert (guest.exports.area(0x4000, 500), guest.memory.read_bytes(8, 4)) == (
                0,
                (1_000_000).to_bytes(4, "little"),
            )
        assert guest.exports.area(0x4000, 2000) == 1  # inval
        write(16, (32).to_bytes(4, "little") + (3).to_bytes(4, "little"))
        write(32, b"\0\1\0\7")
        assert (guest.exports.paint(16), mine.heard) == (0, ["RED", "GREEN", "RED"])
        write(20, (4).to_bytes(4, "little"))
        assert guest.exports.paint(16) == 1  # a colour that there is not, in a list in a record
        assert len(mine.heard) == 3


def test_memory_that_has_grown_is_seen(binding: Any, abi: Any) -> None:
    served, mine = binding
    with instantiate(GUEST, imports=served) as guest:
        call = guest.exports
        assert call.fill(0x10000 - 2, 2, 1) == 0
        assert call.grow() == 1
        assert (call.fill(0x1FFFE, 2, 0x42), guest.memory.read_bytes(0x1FFFE, 2)) == (0, b"BB")
        mine.fill = lambda to, value: (call.grow(), to.__setitem__(slice(None), bytes([value]) * len(to)))[1]
        in_the_handler = bind(abi, mine)
    with instantiate(GUEST, imports=in_the_handler) as guest:
        call = guest.exports
        assert (call.fill(8, 2, 0x43), guest.memory.read_bytes(8, 2)) == (0, b"CC")
        assert len(guest.memory) == 0x20000


def run_by(way: str, served: Any) -> None:
    if way == "run":
        run(GUEST, imports=served)
    elif way == "run_async":
        asyncio.run(run_async(GUEST, imports=[served]))
    else:
        with start(GUEST, imports=served) as process:
            process.wait()


@pytest.mark.parametrize("way", ["run", "run_async", "start"])
def test_an_exception_of_a_handler_comes_out_as_it_is(binding: Any, way: str) -> None:
    served, mine = binding
    mine.raises[7] = error = KeyError("mine")
    with pytest.raises(KeyError) as caught:
        run_by(way, served)
    assert caught.value is error
    assert outcome(error) is not None


def test_a_class_serves_each_guest_by_an_instance_of_its_own(abi: Any, kind: Any) -> None:
    instances: list[Any] = []

    class Counted(kind):  # type: ignore[misc]  # as above
        def __init__(self) -> None:
            super().__init__()
            instances.append(self)

    served = bind(abi, Counted)
    assert instances == []
    for _ in range(2):
        run(GUEST, imports=served)
    assert [one.heard for one in instances] == [["café"], ["café"]]


def test_guests_of_several_threads_have_memories_of_their_own(abi: Any, kind: Any) -> None:
    both = threading.Barrier(2)

    class Meeting(kind):  # type: ignore[misc]  # as above
        def fill(self, to: memoryview, value: int) -> None:
            both.wait(60)
            super().fill(to, value)
            both.wait(60)

    served, seen = bind(abi, Meeting()), {}

    def work(number: int) -> None:
        with instantiate(GUEST, imports=served) as guest:
            guest.exports.fill(200, 4, number)
            seen[number] = guest.memory.read_bytes(200, 4)

    threads = [threading.Thread(target=work, args=[number]) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {1: b"\1\1\1\1", 2: b"\2\2\2\2"}


def test_calls_are_counted_under_their_names(binding: Any) -> None:
    served, _ = binding
    done = run(GUEST, imports=served, stats=True)
    assert done.stats.calls == {"first.fd_read": 1, "say": 1}  # WASI has an fd_read of its own


def test_a_binding_stands_beside_other_imports(abi: Any, kind: Any) -> None:
    guest = """(module
      (import "first" "next" (func $next (param i32) (result i32)))
      (import "first" "more" (func $more (result i32)))
      (import "first" "never" (func $never))
      (import "env" "one" (func $one (result i32)))
      (memory (export "memory") 1)
      (func (export "sum") (result i32) (i32.add (call $next (i32.const 0)) (i32.add (call $more) (call $one)))))"""
    env, more = Imports(), Imports("first")

    @env.function
    def one() -> int:
        return 10

    @more.function(name="more")
    def another() -> int:
        return 100

    with instantiate(guest, imports=[bind(abi, kind), env, more, Imports.stub("first")]) as made:
        assert made.exports.sum() == 111


def test_hooks_see_the_calls_decoded(binding: Any, abi: Any) -> None:
    served, mine = binding
    mine.raises = {7: FileNotFoundError(2, "no such"), 8: TimeoutError(110, "which this ABI does not have")}
    seen: list[Any] = []

    def watch(call: Any, proceed: Any) -> Any:
        try:
            result = proceed()
        except abi.WasiError as error:
            seen.append((call.function, error.errno))
            raise
        seen.append((call.kept(), result))
        return result

    @hook(on="text_*")
    def shout(call: Any, proceed: Any) -> Any:
        return proceed(call._replace(text=call.text + "!"))

    with instantiate(GUEST, imports=served, hooks=[watch, shout]) as guest:
        assert [guest.exports.text_len(16, 5, 64), guest.exports.fd_read(7)] == [0, 3]
        assert guest.memory.read_bytes(64, 4) == b"\5\0\0\0"
        guest.exports.fill(0, 1, 2)
        with pytest.raises(TimeoutError) as caught:
            guest.exports.fd_read(8)
    calls = abi.calls
    assert seen == [
        (calls.TextLen("café"), 5),
        ("fd_read", abi.Errno.NOENT),
        (calls.Fill(b"\2", 2), None),
    ]
    assert caught.value is mine.raises[8]
    assert (seen[0][0].function, seen[0][0].module) == ("text_len", "first")


def test_a_profile_has_the_calls(binding: Any) -> None:
    served, mine = binding
    mine.raises = {7: FileNotFoundError(2, "no such")}
    profile = Profile()
    with instantiate(GUEST, imports=served, profile=profile) as guest:
        guest.exports.text_len(16, 5, 64)
        guest.exports.fd_read(7)
    assert {one.function: (one.calls, one.failed, one.path) for one in profile.calls} == {
        "first.text_len": (1, 0, ""),
        "first.fd_read": (1, 1, ""),
    }


def test_calls_are_traced_recorded_and_replayed(abi: Any, kind: Any, tmp_path: Path) -> None:
    lines: list[Any] = []
    mine = kind()
    mine.raises = {3: abi.WasiError(abi.Errno.NOENT)}

    def calls(handlers: Any, **options: Any) -> list[int]:
        with instantiate(GUEST, imports=bind(abi, handlers), **options) as guest:
            call = guest.exports
            return [call.text_len(16, 5, 64), call.centre(0, 2, 64), call.fd_read(3), call.next(1)]

    assert calls(mine, trace=lines.append) == [0, 0, 3, 0]
    assert [str(line).rpartition(" <")[0] for line in lines] == [
        'text_len("café") = 4',
        "centre([{{x=1, y=2}}, {{x=3, y=4}}]) = {x=2, y=3}",
        "fd_read(3) = NOENT",
        "next(GREEN) = 0",
    ]
    cassette = tmp_path / "of.cassette"
    assert calls(mine, record=cassette) == [0, 0, 3, 0]
    mine.raises = {}
    assert calls(mine, replay=cassette) == [0, 0, 3, 0]


def test_a_hook_changes_no_exception_of_a_function_without_an_errno(binding: Any) -> None:
    served, mine = binding
    error = FileNotFoundError(2, "as noent, in a function that returns none")

    def fail(_text: str) -> None:
        raise error

    mine.say = fail
    for hooks in ([], [lambda _call, proceed: proceed()]):
        with instantiate(GUEST, imports=served, hooks=hooks) as guest, pytest.raises(FileNotFoundError) as caught:
            guest.exports.say(16, 5)
        assert caught.value is error


def test_a_hook_may_refuse_and_may_be_limited_to_functions_that_exist(abi: Any, kind: Any) -> None:
    def refuse(*_: Any) -> Any:
        raise abi.WasiError(abi.Errno.EPERM)

    served = bind(abi, kind)
    with instantiate(GUEST, imports=[served], hooks=hook(refuse, on=["fill", "fd_write"])) as guest:
        assert [guest.exports.fill(0, 1, 2), guest.exports.fd_read(0)] == [4, 0]
    with pytest.raises(ConfigError, match=r"no function is called 'filll', .*; did you mean fill?"):
        instantiate(GUEST, imports=[served], hooks=hook(refuse, on="filll"))
