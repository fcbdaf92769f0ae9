"""Trees, archives and listings with data from outside, and what a guest reads of them."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

from tests.support.raw import Raw
from wasihost import Errno, ModuleConfig
from wasihost.vfs import Directory, File, Link, Node, Stat
from wasihost.vfs.mounting import VirtualSource

LAST = 2**64 - 1
YEAR_9999 = 253402300799


class Own(File):
    """A file that reports whatever it is told to."""

    def __init__(self, stat: Any = None, inode: Any = None, data: Any = b"x") -> None:
        self.told = Stat(1) if stat is None else stat
        self.data = data
        if inode is not None:
            self.inode = inode

    def stat(self) -> Stat:
        told: Stat = self.told
        return told

    def read(self, offset: int, size: int) -> bytes:
        if isinstance(self.data, Exception):
            raise self.data
        data: bytes = self.data
        return data[offset : offset + size]


class OwnLink(Link):
    def __init__(self, content: Any) -> None:
        self.content = content

    def target(self) -> str:
        content: str = self.content
        return content


class Tree(Directory):
    def __init__(self, **nodes: Node) -> None:
        self.nodes: dict[Any, Node] = nodes

    def lookup(self, name: str) -> Node | None:
        return self.nodes.get(name)

    def entries(self) -> Iterator[tuple[str, Node]]:
        yield from self.nodes.items()


def mounted(source: VirtualSource) -> Raw:
    return Raw(ModuleConfig().with_mount("/", source))


def stat(raw: Raw, path: str) -> dict[str, int] | Errno:
    raw._free = 0x8000
    at = raw.new(64)
    if code := raw.call("path_filestat_get", 3, 0, *raw.text(path), at):
        return Errno(code)
    return raw.filestat("path_filestat_get", 3, 0, *raw.text(path))


def times(raw: Raw, path: str) -> set[int]:
    found = stat(raw, path)
    assert isinstance(found, dict), found
    return {found["atim"], found["mtim"], found["ctim"]}


def names(raw: Raw) -> list[bytes]:
    return [name for _, _, _, name in raw.readdir(3, 0x4000)[0]][2:]


def content(raw: Raw, path: str) -> bytes | Errno:
    """What opening and reading answers: the bytes, or the first errno."""
    raw._free = 0x8000
    opened, buffer, result = raw.new(4), raw.new(4096), raw.new(4)
    if code := raw.call("path_open", 3, 1, *raw.text(path), 0, 1 << 1 | 1 << 21, 0, 0, opened):
        return Errno(code)
    fd = raw.get(opened)
    code = raw.call("fd_read", fd, *raw.iovecs((buffer, 4096)), result)
    data = bytes(raw.memory[buffer : buffer + raw.get(result)]) if not code else b""
    assert raw.call("fd_close", fd) == 0
    return Errno(code) if code else data


def readlink(raw: Raw, path: str) -> bytes | Errno:
    buffer, result = raw.new(100), raw.new(4)
    if code := raw.call("path_readlink", 3, *raw.text(path), buffer, 100, result):
        return Errno(code)
    return bytes(raw.memory[buffer : buffer + raw.get(result)])


class Remote:
    """As much of an fsspec file system as a mount uses, with one file that is as it is told."""

    protocol = "test"

    def __init__(self, data: Any = b"x", **entry: Any) -> None:
        self.entry = {"name": "a", "type": "file", "size": 1, **entry}
        self.data = data

    def ls(self, path: str, detail: bool = True) -> Any:
        return [self.entry, {"name": "good", "type": "file", "size": 1}]

    def info(self, path: str) -> Any:
        return self.entry

    def open(self, path: str, mode: str = "rb") -> Any:
        if isinstance(self.data, Exception):
            raise self.data
        return io.BytesIO(self.data)


def zipped(*entries: tuple[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytearray:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in entries:
            info = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            info.compress_type = compression
            archive.writestr(info, data)
    return bytearray(out.getvalue())


def patched(at_local: int, at_central: int, layout: str, value: int) -> bytearray:
    """An archive whose only entry, `f`, has another value in both of its headers."""
    data = zipped(("f", b"hello" * 100))
    for signature, at in ((b"PK\3\4", at_local), (b"PK\1\2", at_central)):
        struct.pack_into(layout, data, data.find(signature) + at, value)
    return data


def damaged(change: Callable[[bytearray], None]) -> bytearray:
    data = zipped(("f", b"hello"), ("g", b"as it was"), compression=zipfile.ZIP_STORED)
    change(data)
    return data


def flip(data: bytearray) -> None:
    data[data.find(b"hello")] ^= 1


def everything(raw: Raw, fd: int, depth: int = 0) -> set[object]:
    """The errnos and contents below a directory."""
    answers: set[object] = set()
    raw._free = 0x8000
    if code := raw.call("fd_readdir", fd, raw.new(1), 0, 0, raw.new(4)):
        return {Errno(code)}
    entries, _ = raw.readdir(fd)
    for _, _, kind, name in entries[2:]:
        raw._free = 0x8000
        answers.add(Errno(raw.call("path_filestat_get", fd, 1, *raw.text(name), raw.new(64))))
        opened, buffer, result = raw.new(4), raw.new(4096), raw.new(4)
        if code := raw.call("path_open", fd, 1, *raw.text(name), 0, RIGHTS, RIGHTS, 0, opened):
            answers.add(Errno(code))
            continue
        new = raw.get(opened)
        if kind == 3:
            if depth < 5:
                answers |= everything(raw, new, depth + 1)
        elif code := raw.call("fd_read", new, *raw.iovecs((buffer, 4096)), result):
            answers.add(Errno(code))
        else:
            answers.add(bytes(raw.memory[buffer : buffer + raw.get(result)]))
        assert raw.call("fd_close", new) == 0
    return answers


RIGHTS = 1 << 1 | 1 << 13 | 1 << 14 | 1 << 18 | 1 << 21
"""To read, open, list and stat."""
