"""A call as an object of JSON, complete: names, numbers, and the first bytes of buffers.

Rules of this file: whatever the guest passed, the line is valid JSON in ASCII.
"""

from __future__ import annotations

import json
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from wasi_preview1.guest import ConstPointer

if TYPE_CHECKING:
    from wasihost.trace.facts import CallFacts


def line(traced: CallFacts) -> str:
    """The call, in one line."""
    call, most = traced.call, traced.length
    made: dict[str, Any] = {
        "time": round(traced.time, 6),
        "guest": traced.guest,
        "thread": traced.thread,
        "depth": traced.depth,
        "function": call.function,
        "arguments": {name: _value(value, most) for name, value in zip(call._fields, call, strict=True)},
        "descriptors": {
            name or "result": {"kind": one.kind.name, "path": _text(one.path), "mount": _text(one.mount)}
            for name, one in traced.descriptors.items()
        },
    }
    if traced.error is not None:
        made["error"] = traced.error.name
    elif traced.ended is not None:
        made["ended"] = traced.ended
    else:
        made["result"] = _value(traced.result, most)
    if isinstance(traced.details, list):
        made["details"] = [_value(one, most) for one in traced.details]
    made["seconds"] = round(traced.seconds, 9)
    return json.dumps(made)


def _value(value: Any, most: int) -> Any:
    if isinstance(value, (bytes, memoryview)):
        return {"size": len(value), "data": bytes(value[:most]).decode("utf-8", "backslashreplace")}
    if isinstance(value, list):
        return [_value(one, most) for one in value]
    if isinstance(value, ConstPointer):
        return value.address
    if isinstance(value, tuple):
        names = getattr(value, "_fields", None)
        shown = [_value(one, most) for one in value]
        return shown if names is None else dict(zip(names, shown, strict=True))
    if isinstance(value, IntEnum):
        return value.name
    names = getattr(value, "names", None)
    return list(names) if isinstance(names, tuple) else _text(value)


def _text(value: Any) -> Any:
    """Text without lone surrogates, which JSON readers refuse."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
