"""What a guest does wrong with functions of the embedder's, or with its own allocator, is a trap of the guest's."""

from __future__ import annotations

import pickle

import pytest

import wasihost
from wasihost import GuestError, Imports, LinkError, TrapError, instantiate, run
from wasihost.errors import AllocationFailed, BadPointer, BadText, OutputError
from wasihost.memory import Memory

DATA = '(memory (export "memory") 1) (data (i32.const 8) "\\ff\\fe")'
GET = '(import "env" "get" (func $get (result i64)))'


def provided() -> Imports:
    host = Imports("env")

    @host.function
    def text(given: str) -> None: ...
    @host.function
    def data(given: bytes) -> None: ...
    @host.function
    def get() -> bytes:
        return b"12345678"

    @host.function
    def read(memory: Memory, pointer: int, size: int) -> None:
        memory.read_bytes(pointer, size)

    @host.function
    def cstr(memory: Memory, pointer: int, _size: int) -> None:
        memory.read_cstr(pointer)

    @host.function
    def alloc(memory: Memory, size: int, _more: int) -> None:
        memory.alloc(size)

    return host


GOOD = {("data", 8), ("read", 8), ("cstr", 8), ("cstr", 0), ("cstr", 65535), ("alloc", 0)} | {
    (name, 65536) for name in ("data", "read", "text")
}  # no bytes at the very end are in the memory, too


@pytest.mark.parametrize("name", ["text", "data", "read", "cstr", "alloc"])
@pytest.mark.parametrize(("first", "second"), [(8, 2), (-1, 5), (65535, 2), (0, -1), (65536, 0)])
def test_bad_arguments_from_a_guest(name: str, first: int, second: int) -> None:
    module = f"""(module (import "env" "{name}" (func $it (param i32 i32))) {DATA}
      (func (export "malloc") (param i32) (result i32) (i32.const 65530))
      (func (export "_start") (call $it (i32.const {first}) (i32.const {second}))))"""
    if (name, first) in GOOD:
        run(module, imports=provided())
        return
    with pytest.raises(TrapError) as caught:
        run(module, imports=provided())
    assert type(caught.value) is TrapError
    assert caught.value.kind in ("guest fault", "allocation failed")
    assert caught.value.backtrace


def test_text_that_is_none_is_named() -> None:
    module = f"""(module (import "env" "text" (func $it (param i32 i32))) {DATA}
      (func (export "_start") (call $it (i32.const 8) (i32.const 2))))"""
    with pytest.raises(TrapError, match=r"env\.text takes text, and the guest gave what is no UTF-8") as caught:
        run(module, imports=provided())
    assert caught.value.kind == "guest fault"


ALLOCATORS = {
    "there is none": ("", "guest fault"),
    "two": ('(func (export "a_alloc") (param i32) (result i32) (i32.const 8)) (func (export "a_free") (param i32))'
            '(func (export "b_alloc") (param i32) (result i32) (i32.const 8)) (func (export "b_free") (param i32))',
            "guest fault"),
    "no function": ('(global (export "malloc") i32 (i32.const 8))', "guest fault"),
    "takes nothing": ('(func (export "malloc") (result i32) (i32.const 8))', "guest fault"),
    "gives nothing": ('(func (export "malloc") (param i32))', "guest fault"),
    "gives a float": ('(func (export "malloc") (param i32) (result f32) (f32.const nan))', "guest fault"),
    "has nothing": ('(func (export "malloc") (param i32) (result i32) (i32.const 0))', "allocation failed"),
    "outside": ('(func (export "malloc") (param i32) (result i32) (i32.const -4))', "guest fault"),
    "over the end": ('(func (export "malloc") (param i32) (result i32) (i32.const 65530))', "guest fault"),
    "of 64 bits": ('(func (export "malloc") (param i64) (result i64) (i64.const -1))', "guest fault"),
    "traps": ('(func (export "malloc") (param i32) (result i32) unreachable)', "unreachable"),
    "asks its host": ('(func (export "malloc") (param i32) (result i32) (drop (call $get)) (i32.const 8))',
                      "stack overflow"),
    "pins by another": ('(func (export "__new") (param i32 i32) (result i32) (i32.const 8))'
                        '(func (export "__pin") (param i32 i32))', "guest fault"),
}  # fmt: skip


@pytest.mark.parametrize("name", ALLOCATORS)
def test_an_allocator_of_another_kind(name: str) -> None:
    functions, kind = ALLOCATORS[name]
    module = f'(module {GET} {DATA} {functions} (func (export "_start") (drop (call $get))))'
    with pytest.raises(TrapError) as caught:
        run(module, imports=provided())
    assert caught.value.kind == kind
    assert len(str(caught.value)) < 10_000


CALLED = f"""(module {DATA} {{}} (func (export "take") (param i32 i32))
  (func (export "text") (result i64) (i64.const 0x8_0000_0002)))"""


def test_the_same_when_an_export_is_called() -> None:
    for value, kind in ((0, "allocation failed"), (-4, "guest fault"), (65533, "guest fault")):
        malloc = f'(func (export "malloc") (param i32) (result i32) (i32.const {value}))'
        with instantiate(CALLED.format(malloc)) as guest:
            with pytest.raises(AllocationFailed) as caught:
                guest.exports.take("text")
            assert caught.value.kind == kind
            assert isinstance(caught.value, MemoryError)
    with instantiate(CALLED.format("")) as guest:
        with pytest.raises(LinkError, match="no allocator"):  # of the embedder, who asked for one
            guest.exports.take("text")
        with pytest.raises(OutputError) as text:
            guest.exports.text(returns=str)
        assert isinstance(text.value, UnicodeDecodeError)
        with pytest.raises(BadPointer) as pointer:
            guest.memory.read_bytes(-1, 2)
        assert isinstance(pointer.value, IndexError)
        guest.memory.write_bytes(0, b"x" * len(guest.memory))
        with pytest.raises(BadText) as end:
            guest.memory.read_cstr(0)
        assert isinstance(end.value, ValueError)
        for error in (text.value, pointer.value, end.value, caught.value):
            assert isinstance(error, GuestError)
            copy = pickle.loads(pickle.dumps(error))
            assert (type(copy), str(copy)) == (type(error), str(error))


def test_output_that_is_not_text() -> None:
    module = """(module (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1) (data (i32.const 0) "\\10\\00\\00\\00\\01\\00\\00\\00") (data (i32.const 16) "\\ff")
      (func (export "_start") (drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"""
    with pytest.raises(OutputError) as caught:
        run(module, capture_output=True, text=True)
    assert caught.value.stdout == "\ufffd"
    assert isinstance(caught.value, wasihost.WasihostError)
    with instantiate(module, stdout=wasihost.PIPE, text=True) as guest:
        guest.run()
        with pytest.raises(OutputError):
            assert guest.stdout
