"""Modules that are not what they should be: a ModuleError, or an end of the guest, and never anything else."""

from __future__ import annotations

import random
import time

import pytest

import wasihost
from tests.engines.pywasm.test_runs import OWN, WAT
from wasihost.engines import default_engine

HEAD = b"\0asm\1\0\0\0"
TYPE = b"\1\4\1\x60\0\0"
FUNCTION = b"\3\2\1\0"
EXPORT = b"\7\5\1\1f\0\0"


def sized(number: int, content: bytes) -> bytes:
    """A section, or a body."""
    size, length = bytearray(), len(content)
    while length > 0x7F:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([number, *size, length]) + content


def function(body: bytes) -> bytes:
    """A module whose only function `f` has this body, with its local variables and its end."""
    return HEAD + TYPE + FUNCTION + EXPORT + sized(10, b"\1" + sized(0, body)[1:])


REFUSED = {
    "no module": (b"MZ, and more", "not WebAssembly"),
    "text": (b"(module)", "wat2wasm"),
    "a component": (b"\0asm\x0d\0\1\0", "component"),
    "cut off": (function(b"\0\x0b")[:-1], "ends in the middle"),
    "four billion locals": (function(b"\1\xff\xff\xff\xff\x0f\x7f\x0b"), "local variables"),
    "many locals": (function(b"\1\xff\xff\x3f\x7f\x0b"), "local variables"),
    "a long number": (function(b"\0\x41" + b"\x80" * 100_000 + b"\0\x0b"), "number is too long"),
    "a list of four billion": (HEAD + sized(1, b"\xff\xff\xff\xff\x0f"), "middle of a list"),
    "a tail call": (function(b"\0\x12\0\x0b"), "needs a feature that this engine"),
    "atomics": (function(b"\0\xfe\x03\0\x0b"), "needs a feature that this engine"),
    "a 64-bit memory": (HEAD + b"\5\3\1\4\1", "64-bit memory"),
    "a shared memory": (HEAD + b"\5\4\1\3\1\1", "shared memory"),
    "two memories": (HEAD + b"\5\5\2\0\1\0\1", "several memories"),
    "a branch too far": (function(b"\0\x0c\1\x0b"), "branch out of 1"),
    "no such local": (function(b"\0\x20\0\x1a\x0b"), "no local variable 0"),
    "no such function": (function(b"\0\x10\5\x0b"), "index 5"),
    "no memory": (function(b"\0\x41\0\x28\2\0\x1a\x0b"), "has none"),
    "an else alone": (function(b"\0\x05\x0b"), "else without an if"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    code, text = REFUSED[name]
    with pytest.raises(wasihost.ModuleError, match=text):
        wasihost.Module(code, engine="pywasm")


INVALID = {
    "nothing to drop": b"\0\x1a\x0b",
    "a float is added": b"\0\x43\0\0\0\0\x6a\x1a\x0b",
    "values are left": b"\0\x41\0\x0b",
    "a branch without its value": b"\0\x02\x7f\x0c\0\x0b\x1a\x0b",
}


@pytest.mark.parametrize("name", INVALID)
def test_code_that_is_not_valid_ends_the_guest(name: str) -> None:
    with (
        wasihost.instantiate(function(INVALID[name]), engine="pywasm") as guest,
        pytest.raises(wasihost.TrapError) as caught,
    ):
        guest.call("f")
    assert caught.value.kind == "invalid code"


def test_blocks_nest_deeply() -> None:
    depth = 20_000
    with wasihost.instantiate(function(b"\0" + b"\2\x40" * depth + b"\x0b" * (depth + 1)), engine="pywasm") as guest:
        guest.call("f")


def test_a_stack_of_local_variables_ends() -> None:
    body = b"\1\xc0\xb8\2\x7f" + b"\x10\0\x0b"  # 40,000 of them, and it calls itself
    begun = time.monotonic()
    with (
        wasihost.instantiate(function(body), engine="pywasm") as guest,
        pytest.raises(wasihost.TrapError, match="call stack exhausted"),
    ):
        guest.call("f")
    assert time.monotonic() - begun < 20


def test_changed_bytes() -> None:
    code = default_engine().assemble(WAT.encode(), "test")
    chance = random.Random(19)
    ends: set[str] = set()
    for _ in range(400):
        changed = bytearray(code)
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(8, len(changed))] = chance.randrange(256)
        try:
            with wasihost.instantiate(
                bytes(changed), imports=OWN, engine="pywasm", fuel=3000, max_memory="4MiB", timeout=10
            ) as guest:
                for name, item in guest.module.exports.items():
                    if item.kind == "func" and name != "spin":
                        try:
                            guest.call(name, *([1] * len(item.params)))
                        except (wasihost.GuestError, wasihost.LinkError, OverflowError) as error:
                            ends.add(type(error).__name__)
        except wasihost.WasihostError as error:
            ends.add(type(error).__name__)
    assert {"ModuleError", "TrapError", "ExitError", "LimitExceeded"} <= ends
