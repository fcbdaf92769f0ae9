"""Host functions that call the guest which called them."""

from __future__ import annotations

import pytest

from wasihost import ExitError, Imports, Instance, MemoryFS, TimeoutExpired, TrapError, instantiate

GUEST = """(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "env" "ask" (func $ask (param i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\\10\\00\\00\\00\\01\\00\\00\\00")
  (data (i32.const 16) "x")
  (func $say (export "say") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func (export "outer") (param i32) (result i32)
    (call $say) (call $ask (local.get 0)) (call $say))
  (func (export "grow_and_say") (drop (memory.grow (i32.const 10))) (call $say))
  (func (export "spin") (loop (br 0)))
  (func (export "crash") unreachable)
  (func (export "leave") (call $exit (i32.const 5)))
  (func (export "raise") (drop (call $ask (i32.const -1)))))"""


def guest_with(deal: bool) -> Instance:
    """A guest whose host function calls the export that the number means, and deals with how that ends or not."""
    host = Imports()
    names = ["grow_and_say", "spin", "crash", "leave", "raise"]

    @host.function
    def ask(number: int) -> int:
        if number == -1:
            raise KeyError("mine")
        options = {"timeout": 0.05} if names[number] == "spin" else {}
        try:
            guest.call(names[number], **options)
        except Exception:
            if not deal:
                raise
        return number

    guest = instantiate(GUEST, imports=host, fs=MemoryFS(), capture_output=True, timeout=60)
    return guest


ENDS = [(1, TimeoutExpired), (2, TrapError), (3, ExitError), (4, KeyError)]


@pytest.mark.parametrize(("number", "error"), ENDS)
def test_the_end_of_the_inner_call_goes_up(number: int, error: type[Exception]) -> None:
    with guest_with(False) as guest:
        with pytest.raises(error):
            guest.call("outer", number)
        assert guest.stdout == b"x"
        assert guest.call("outer", 0) == 0
        assert guest.stdout == b"xxxx"


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4])
def test_or_is_dealt_with(number: int) -> None:
    with guest_with(True) as guest:
        assert guest.call("outer", number) == number
        assert guest.stdout == b"xx" + b"x" * (number == 0)
        with pytest.raises(TrapError, match="unreachable"):
            guest.call("crash")
        assert guest.call("outer", number) == number
