"""Wasm modules written byte by byte, for what no text format can express."""

from __future__ import annotations

HEADER = b"\0asm\1\0\0\0"


def leb(number: int) -> bytes:
    """An unsigned LEB128 number in as few bytes as possible."""
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def section(number: int, *items: bytes) -> bytes:
    """A section that is a vector of items."""
    content = leb(len(items)) + b"".join(items)
    return bytes([number]) + leb(len(content)) + content


def command(
    *bodies: bytes,
    types: tuple[bytes, ...] = (b"\x60\0\0",),
    exports: tuple[bytes, ...] = (),
    local: bytes = b"\0",
    of: tuple[int, ...] = (),
) -> bytes:
    """A module with one memory whose functions have these bodies; the first function is `_start`.

    `types` are the function types, and `of` says which of them each function has (without it the first); `exports` are
    exported too; `local` declares the local variables of each function.
    """
    return b"".join(
        (
            HEADER,
            section(1, *types),
            section(3, *(leb(one) for one in of or [0] * len(bodies))),
            section(5, b"\0\1"),
            section(7, b"\6memory\2\0", b"\6_start\0\0", *exports),
            section(10, *(leb(len(local) + len(body) + 1) + local + body + b"\x0b" for body in bodies)),
        )
    )


SLOW_TO_COMPILE = command(b"", *[b"\x41\0\x28\2\0\x1a" * 20_000] * 60)
"""Takes seconds to compile."""
