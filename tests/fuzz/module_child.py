"""The process in which modules are tried: it reads them from its standard input and prints a line for each.

What is done with each: `inspect`, `Module` with some features switched, `Module`, its imports and exports, `run`,
`instantiate`, and every exported function called. Each may end well or with one of wasihost's own exceptions. The line
is what came out; with `!` before it where something else did.
"""

from __future__ import annotations

import functools
import sys
import time
import zlib
from collections.abc import Callable, Iterator

import wasihost
from wasihost.errors import WasihostError
from wasihost.inspection import inspect

NUMBERS = {"i32": 0, "i64": 0, "f32": 0.0, "f64": 0.0}
STUBS = [wasihost.Imports.stub(module) for module in ("env", "m\n")]
FEATURES = ("wasm-1.0", "wasm-2.0", "wasm-3.0", "-gc,-exceptions", "-multi-value,-tail-call", "-simd,-threads")
SECONDS = 5.0
"""Of the processor, for what takes some milliseconds otherwise."""


def steps(code: bytes) -> Iterator[Callable[[], object]]:
    """One after the other; the first that fails ends it, but for `inspect` and calls."""
    yield lambda: inspect(code, "guest").text() and inspect(code, "guest").json()
    features = FEATURES[zlib.crc32(code) % len(FEATURES)]
    yield lambda: wasihost.Module(code, cache=False, features=features)
    module = wasihost.Module(code, cache=False)
    yield lambda: repr((module.imports, module.exports))
    yield lambda: wasihost.run(module, timeout=0.3, check=True)
    with wasihost.instantiate(module, imports=STUBS, timeout=0.3) as guest:
        for name, item in module.exports.items():
            if item.kind == "func":
                arguments = [NUMBERS.get(one, 0) for one in item.params]
                yield functools.partial(guest.call, name, *arguments, timeout=0.3)


def tried(code: bytes) -> str:
    """What came out, in one line."""
    ends: list[str] = []
    started = time.process_time()
    todo = steps(code)
    while True:
        try:
            step = next(todo, None)
            if step is None:
                break
            step()
            ends.append("well")
        except WasihostError as error:
            str(error)
            ends.append(type(error).__name__)
        except BaseException as error:
            return f"!{type(error).__name__} after {ends}: {error!r:.300}".replace("\n", " ")
    if time.process_time() - started > SECONDS:
        return f"!took {time.process_time() - started:.1f} s"
    return " ".join(ends)


def main() -> None:
    """Until the input ends."""
    print("ready", flush=True)
    while head := sys.stdin.buffer.read(4):
        code = sys.stdin.buffer.read(int.from_bytes(head, "little"))
        print(tried(code), flush=True)


if __name__ == "__main__":
    main()
