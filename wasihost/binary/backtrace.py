"""From a frame of a backtrace to the guest's source: the function's readable name, file and line.

Rules of this file: modules are not trusted, so nothing here raises for what a module contains, and all work is bounded.
It is done only when a backtrace is read: a trap that is caught and forgotten costs nothing.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import TypeAlias

from wasihost.errors import Frame, Place

Origin: TypeAlias = "bytes | tuple[str, os.stat_result]"
"""Where a module's bytes are: the bytes, or a path and what the file was when it was compiled."""

_MOST_DEBUG_INFO = 256 << 20
_MOST_KEPT = 4096
"""Bytes of debug information of one module that are read, and places of one module that are remembered."""
_LONGEST = 500
"""Characters of a function's name."""
_MANGLED = ("_Z", "__Z", "_R", "__R", "ZN")
_CODE, _CUSTOM = 10, 0


def resolve(origin: Origin | None, known: dict[int, tuple[Place, ...]], frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """The same frames with readable names, and with places if the module has them.

    `known` remembers the places of this module by offset.
    """
    missing = {frame.offset for frame in frames} - known.keys()
    if missing and origin is not None:
        if len(known) > _MOST_KEPT:
            known.clear()
        known.update(dict.fromkeys(missing, ()))
        known.update(_places(origin, missing))
    return tuple(_readable(frame, known.get(frame.offset, ())) for frame in frames)


def preload() -> None:
    """Import what `resolve` may need, if it is installed."""
    with suppress(ImportError):
        import demangle

        demangle.preload("itanium", "rust")


def _readable(frame: Frame, places: tuple[Place, ...]) -> Frame:
    places = tuple(place._replace(function=demangled(place.function)) for place in places)
    function = demangled(frame.symbol) or (places[-1].function if places else None)
    return frame._replace(function=function, places=places)


def demangled(name: str | None) -> str | None:
    """The name of a C++ or Rust function as in its source; other names unchanged. Long ones are cut."""
    if name is not None and name.startswith(_MANGLED):
        try:
            import demangle

            limits = demangle.Limits(max_depth=64, max_output=8 * _LONGEST, max_input=8 * _LONGEST)
            name = demangle.demangle(name, language=("rust", "itanium"), limits=limits)
        except Exception:  # not installed, or wrong about a name
            pass
    return name if name is None or len(name) <= _LONGEST else f"{name[:_LONGEST]}..."


def _places(origin: Origin, offsets: set[int]) -> dict[int, tuple[Place, ...]]:
    if isinstance(origin, bytes):
        return places_in(origin, offsets)
    path, before = origin
    try:
        with open(path, "rb") as file:
            about = os.fstat(file.fileno())
            if _identity(about) != _identity(before):
                return {}  # replaced or changed meanwhile
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return places_in(content, offsets)
    except (OSError, ValueError):  # gone, or empty
        return {}


def _identity(about: os.stat_result) -> tuple[int, ...]:
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns


def places_in(content: bytes | mmap.mmap, offsets: set[int]) -> dict[int, tuple[Place, ...]]:
    """The places of offsets in a module, innermost first, as far as its debug information has them."""
    code, debug = sections(content)
    if not code or ".debug_line" not in debug:
        return {}
    try:
        from wasihost.binary.dwarf import SECTIONS, places
    except ImportError:  # pyelftools is not installed
        return {}
    wanted = {name: debug[name] for name in SECTIONS & debug.keys()}
    if sum(where.stop - where.start for where in wanted.values()) > _MOST_DEBUG_INFO:
        return {}
    found = places({name: content[where] for name, where in wanted.items()}, [offset - code for offset in offsets])
    return {offset: found[offset - code] for offset in offsets if offset - code in found}


def sections(content: bytes | mmap.mmap) -> tuple[int, dict[str, slice]]:
    """The offset of a module's code, and its debug sections by name. Sections that do not parse are left out."""
    code, debug = 0, {}
    try:
        for number, start, end in _sections(content):
            if number == _CODE:
                code = start
            elif number == _CUSTOM:
                size, start = _leb128(content, start)
                name = content[start : min(start + size, start + 64)].decode("utf-8", "replace")
                if name.startswith(".debug_") and start + size <= end:
                    debug[name] = slice(start + size, end)
    except IndexError:
        pass
    return code, debug


def _sections(content: bytes | mmap.mmap) -> Iterator[tuple[int, int, int]]:
    """Number, begin and end of each."""
    at = 8 if content[:4] == b"\0asm" else len(content)
    while at < len(content):
        number = content[at]
        size, at = _leb128(content, at + 1)
        yield number, at, min(at + size, len(content))
        at += size


def _leb128(content: bytes | mmap.mmap, at: int) -> tuple[int, int]:
    """A number and what follows it."""
    value = 0
    for shift in range(0, 35, 7):
        byte = content[at + shift // 7]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at + shift // 7 + 1
    raise IndexError
