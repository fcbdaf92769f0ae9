"""What a call reads of the guest's memory and writes to it: its inputs as they are recorded, and its effects.

Rules of this file: an address is never recorded, so another build of a guest may be replayed. Buffers that a function
only fills are recorded by their size. For functions of WASI what is an input is known; for those of other specs each
buffer may be both.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from wasi_preview1.errors import BadValue, GuestFault
from wasi_preview1.guest import ConstPointer

from wasihost.cassettes.values import decoded, decoded_bytes, encoded, encoded_bytes, type_of

Scrub = Callable[[bytes], bytes]

_WASI = "wasi_snapshot_preview1"
_STRINGS = {"args_get": "args_sizes_get", "environ_get": "environ_sizes_get"}
"""Functions that write strings -> those that say how many."""
_FILLED = frozenset({"fd_read", "fd_pread", "fd_readdir", "path_readlink", "sock_recv"})
"""Functions that return how much of their buffers they filled; others fill all."""


def inputs(call: Any, scrub: Scrub) -> dict[str, Any]:
    """The arguments of a call as JSON, by name. ValueError if they cannot be recorded."""
    if call.function in _STRINGS and call.module == _WASI:
        return {}
    if call.function == "poll_oneoff" and call.module == _WASI:
        try:
            return {"subscriptions": encoded(call.in_.read(call.nsubscriptions))}
        except (BadValue, GuestFault):
            return {}  # the host refuses it too
    made: dict[str, Any] = {}
    for (name, kind), value in zip(type(call).__annotations__.items(), call, strict=True):
        if isinstance(value, ConstPointer):
            raise ValueError(f"{call.function} has a pointer, and a cassette cannot tell what lies behind it")
        if _is_buffers(value):
            made[name] = _size(value) if _only_filled(call, kind) else encoded_bytes(scrub(_content(value)))
        else:
            text = isinstance(value, str)
            made[name] = encoded_bytes(scrub(value.encode("utf-8", "surrogateescape"))) if text else encoded(value)
    return made


def effects(call: Any, result: Any, before: dict[str, Any], sizes: dict[str, Any], scrub: Scrub) -> dict[str, Any]:
    """What the call wrote to the guest's memory, as JSON, by the name of the argument.

    `before` are the call's inputs, `sizes` the results of earlier calls by function.
    """
    if call.module == _WASI:
        if call.function in _STRINGS:
            return _strings(call, sizes.get(_STRINGS[call.function], (0, 0)), scrub)
        if call.function == "poll_oneoff":
            return {"events": encoded(call.out.read(result))}
    made: dict[str, Any] = {}
    for (name, kind), value in zip(type(call).__annotations__.items(), call, strict=True):
        if not _is_buffers(value):
            continue
        if _only_filled(call, kind):
            used = (result if isinstance(result, int) else result[0]) if call.function in _FILLED else _size(value)
            made[name] = encoded_bytes(scrub(_content(value)[:used]))
        elif call.module != _WASI and (after := encoded_bytes(scrub(_content(value)))) != before[name]:
            made[name] = after
    return made


def repeat(call: Any, made: dict[str, Any]) -> None:
    """Write to the guest's memory what was recorded. ValueError for what cannot have been."""
    if call.module == _WASI and call.function in _STRINGS:
        _write_strings(call, made)
    elif call.module == _WASI and call.function == "poll_oneoff":
        types: Any = sys.modules["wasi_preview1.types"]
        events = decoded(made["events"], type_of("list[Event]", types), types)
        if len(events) > call.nsubscriptions:
            raise ValueError("more events than subscriptions")
        call.out.write(events)
    else:
        for name, content in made.items():
            _fill(getattr(call, name), decoded_bytes(content))


def _only_filled(call: Any, kind: str) -> bool:
    return call.module == _WASI and kind in ("memoryview", "types.IovecArray")


def _is_buffers(value: Any) -> bool:
    """Whether it is memory of the guest; a list of other values is a copy."""
    return isinstance(value, memoryview) or (
        isinstance(value, list) and all(isinstance(one, memoryview) for one in value)
    )


def _size(value: Any) -> int:
    return len(value) if isinstance(value, memoryview) else sum(map(len, value))


def _content(value: Any) -> bytes:
    return bytes(value) if isinstance(value, memoryview) else b"".join(value)


def _fill(target: Any, data: bytes) -> None:
    if len(data) > _size(target):
        raise ValueError(f"{len(data)} bytes do not fit into the guest's buffers of {_size(target)}")
    at = 0
    for buffer in [target] if isinstance(target, memoryview) else target:
        piece = data[at : at + len(buffer)]
        buffer[: len(piece)] = piece
        at += len(piece)


def _strings(call: Any, sizes: Any, scrub: Scrub) -> dict[str, Any]:
    """The strings of `args_get` and `environ_get`: the text, and where in it each begins."""
    count, size = sizes
    table, text = call
    starts = [one.address - text.address for one in table.read(count)]
    return {"starts": starts, "text": encoded_bytes(scrub(bytes(text.bytes(size))))}


def _write_strings(call: Any, made: dict[str, Any]) -> None:
    table, text = call
    data = decoded_bytes(made["text"])
    starts = made["starts"]
    if not all(type(at) is int and 0 <= at <= len(data) for at in starts):
        raise ValueError("a string begins outside the text")
    text.bytes(len(data))[:] = data
    table.write([text.offset(at) for at in starts])
