"""A call as a line of text: `path_open(3</data>, SYMLINK_FOLLOW, "a.txt", CREAT, ...) = 5</data/a.txt>`.

Rules of this file: a line has no control character, whatever the guest passed: it may go to a terminal. What is long
is shortened, with `...` after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from wasi_preview1 import types
from wasi_preview1.codecs import DIRENT_LAYOUT
from wasi_preview1.guest import ConstPointer

if TYPE_CHECKING:
    from wasihost.trace.facts import CallFacts

_FEW = 4
"""So many flags are all shown; of more only the access mode."""
_MODES = ("FD_READ", "FD_WRITE")
_SHOWN_FIELDS: Mapping[type, tuple[str, ...]] = {
    types.Filestat: ("filetype", "size"),
    types.Fdstat: ("fs_filetype", "fs_flags"),
}
"""The fields of records that are shown, of those that are not all shown."""
_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\", '"': '\\"', "\0": "\\0"}


def quoted(data: str | bytes | memoryview, most: int) -> str:
    """Text or bytes in quotes, with escapes; `...` follows if there are more than `most` bytes or characters."""
    part = data[:most]
    text = part if isinstance(part, str) else bytes(part).decode("utf-8", "surrogateescape")
    if not text.isprintable() or '"' in text or "\\" in text:
        text = "".join(map(_escaped, text))
    return f'"{text}"...' if len(data) > most else f'"{text}"'


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not text
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class Text:
    """The parts of one call as text."""

    def __init__(self, traced: CallFacts) -> None:
        self.traced = traced
        self.most: int = traced.length

    def line(self) -> str:
        """The whole call, without its duration."""
        return f"{self.call()} = {self.outcome()}"

    def call(self) -> str:
        """The function and its arguments."""
        call = self.traced.call
        special = _SPECIAL.get(call.function)
        if special is not None and self.traced.details is not None:
            shown = special(self)
        else:
            shown = [self.value(name, value) for name, value in zip(call._fields, call, strict=True)]
        return f"{call.function}({', '.join(shown)})"

    def outcome(self) -> str:
        """The result, the errno, or what ended the guest."""
        traced = self.traced
        if traced.error is not None:
            return str(traced.error.name)
        if traced.ended is not None:
            return "?" if traced.call.function == "proc_exit" else f"? {traced.ended}"
        return "0" if traced.result is None else self.value("", traced.result)

    def value(self, name: str, value: Any) -> str:
        """An argument, or with an empty name the result."""
        if name in self.traced.descriptors:
            return self.descriptor(value, name)
        if isinstance(value, str):
            return quoted(value, 4096)
        if isinstance(value, (bytes, memoryview)):
            return f"{quoted(value, self.most)}, {len(value)}"
        if isinstance(value, list):
            return f"[{', '.join(map(self.buffer, value))}]"
        if isinstance(value, ConstPointer):
            return f"{value.address:#x}"
        if isinstance(value, tuple):
            return self.record(value)
        return _number(value)

    def buffer(self, value: Any) -> str:
        """One of several buffers."""
        return f"{{{self.value('-', value)}}}"

    def descriptor(self, number: int, name: str) -> str:
        """A descriptor with what it is: `3</data>`, `1<stdout>`."""
        known = self.traced.descriptors[name]
        if known.path is None:
            return str(number)
        shown = known.path
        if known.mount is not None and not known.path.startswith(known.mount.removeprefix(".")):
            shown += f" in {known.mount}"
        return f"{number}<{shown if shown.isprintable() else ''.join(map(_escaped, shown))}>"

    def record(self, value: tuple[Any, ...]) -> str:
        """A record, by its fields; a tuple without names, by its values."""
        names = getattr(value, "_fields", None)
        if names is None:
            return f"({', '.join(self.value('-', one) for one in value)})"
        tag = getattr(value, "tag", None)
        if tag is not None:  # one case of a union
            return f"{{{', '.join([_number(tag), *(self.value('-', one) for one in value)])}}}"
        shown = _SHOWN_FIELDS.get(type(value), names)
        parts = [f"{name}={self.value('-', getattr(value, name))}" for name in shown]
        return f"{{{', '.join(parts + ['...'] * (len(shown) < len(names)))}}}"

    # -- calls with arguments in guest memory ------------------------------------------------------------------------

    def read(self) -> list[str]:
        """Buffers that were filled: their content up to the size that was read, and their own size."""
        call, left, shown = self.traced.call, self.traced.details, []
        for name, value in zip(call._fields, call, strict=True):
            if not isinstance(value, list):
                shown.append(self.value(name, value))
                continue
            parts = []
            for buffer in value:
                parts.append(f"{{{quoted(buffer[: max(left, 0)], self.most)}, {len(buffer)}}}")
                left -= len(buffer)
            shown.append(f"[{', '.join(parts)}]")
        return shown

    def readdir(self) -> list[str]:
        """The names of the entries."""
        fd, buffer, cookie = self.traced.call
        names = [quoted(name, self.most) for name in self.traced.details]
        return [self.value("fd", fd), f"[{', '.join(names)}], {len(buffer)}", str(cookie)]

    def poll(self) -> list[str]:
        """The subscriptions."""
        return [f"[{', '.join(map(self.subscription, self.traced.details))}]", str(self.traced.call[2])]

    def subscription(self, one: types.Subscription) -> str:
        """What is waited for: `{FD_READ, 0<stdin>}`, `{CLOCK, MONOTONIC, 5000000}`."""
        wanted = one.u
        if isinstance(wanted, types.SubscriptionUClockCase):
            clock = wanted.value
            return f"{{CLOCK, {clock.id.name}, {clock.timeout}{', ABSTIME' * bool(clock.flags)}}}"
        fd = wanted.value.file_descriptor
        shown = self.descriptor(fd, f"#{fd}") if f"#{fd}" in self.traced.descriptors else str(fd)
        return f"{{{wanted.tag.name}, {shown}}}"


_SPECIAL: Mapping[str, Callable[[Text], list[str]]] = {
    "fd_read": Text.read,
    "fd_pread": Text.read,
    "sock_recv": Text.read,
    "fd_readdir": Text.readdir,
    "poll_oneoff": Text.poll,
}


def _number(value: Any) -> str:
    if isinstance(value, IntEnum):
        return value.name
    names = getattr(value, "names", None)
    if not isinstance(names, tuple):
        return str(value)
    if not names:
        return "0"
    if len(names) <= _FEW:
        return "|".join(names)
    if value == type(value).MASK:
        return "ALL"
    return "|".join([*(name for name in _MODES if name in names), "..."])


def entries(data: bytes) -> list[bytes]:
    """The names in what `fd_readdir` returned; the last may be cut."""
    at, names = 0, []
    while at + DIRENT_LAYOUT.size <= len(data):
        size = DIRENT_LAYOUT.unpack_from(data, at)[2]
        at += DIRENT_LAYOUT.size
        names.append(data[at : at + size])
        at += size
    return names
