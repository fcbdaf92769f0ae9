"""The same script on this host and on wasmtime's own WASI, in equal fresh folders, and what came of each call.

Rules of this file: what the specification leaves to a host is not compared: inode and device numbers, times that nobody
has set, the size and links of directories, the bytes of a buffer behind what was read, which free number a descriptor
gets. Everything else is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from wasi_preview1.types import Errno, Filetype

from tests.conformance import backends
from tests.conformance.case import Node, Tree
from tests.conformance.steps import Step
from tests.conformance.wire import Image, Report
from tests.fuzz.spec import fields
from tests.support.raw import abi
from tests.support.scratch import scratch
from wasihost import ModuleConfig

SET = 10_000_000_000_000
"""Times in ns below this were set by the script; the largest time that scripts set is one of its own."""
FAR = 5_000_000_000_000_000_123


class Ran(NamedTuple):
    """What came of each call, as far as it went, and the tree afterwards."""

    calls: list[tuple[Errno, Any]]
    tree: dict[str, Node]


def both(script: Sequence[Step], tree: Tree) -> tuple[Ran, Ran]:
    """On this host and on wasmtime's own."""
    images = [Image(step) for step in script]
    data = b"".join(image.script() for image in images)
    found = []
    with scratch() as folder:
        for name in ("ours", "theirs"):
            base = folder / name / "base"
            backends.fill_folder(base, tree)
            backends.fill_folder(base.parent / "outside", backends.SECRET)
            if name == "ours":
                reports = backends.guest(ModuleConfig().with_host_directory_preopen(backends.MOUNT, base), data)
            else:
                reports = backends.native(base, data)
            calls = [result(image, report) for image, report in zip(images, reports, strict=False)]
            found.append(Ran(calls, dict(backends.host_tree(str(base)))))
            assert dict(backends.host_tree(str(base.parent / "outside"))) == backends.SECRET, f"{name}: a guest got out"
    return found[0], found[1]


def result(image: Image, report: Report) -> tuple[Errno, Any]:
    """What a call gave, as far as it is comparable."""
    errno = Errno(report.errno)
    if errno:
        return errno, None
    after = bytearray(image.bytes)
    for at, data in report.changes.items():
        after[at : at + len(data)] = data
    returned = bytes(after[image.result])
    buffers = b"".join(bytes(after[place]) for place in image.buffers)
    match image.step.function:
        case "path_open":
            return errno, None
        case "fd_filestat_get" | "path_filestat_get":
            return errno, _filestat(fields("filestat", returned))
        case "fd_fdstat_get":
            stat = fields("fdstat", returned)
            return errno, (Filetype(stat["fs_filetype"]).name, stat["fs_flags"])
        case "fd_readdir":
            used = int.from_bytes(returned, "little")
            return errno, (used, _entries(buffers[:used]))
        case "poll_oneoff":
            count = int.from_bytes(returned, "little")
            size = abi()["types"]["event"]["size"]
            return errno, [_event(buffers[size * index :][:size]) for index in range(count)]
    if image.step.answers == "prestat":  # its padding may be anything
        return errno, (returned[0], returned[4:])
    if image.step.answers == "size":
        moved = int.from_bytes(returned, "little")
        return errno, (moved, buffers[:moved])
    return errno, returned + buffers


def _filestat(stat: dict[str, int]) -> dict[str, object]:
    kind = Filetype(stat["filetype"])
    told: dict[str, object] = {"filetype": kind.name}
    if kind != Filetype.DIRECTORY:
        told |= {"nlink": stat["nlink"], "size": stat["size"]}
    for name in ("atim", "mtim"):
        told[name] = stat[name] if stat[name] < SET or stat[name] == FAR else "recent"
    return told


def _entries(data: bytes) -> list[tuple[int, str, bytes]]:
    """The listing; inode numbers are left out, and what is cut is kept as it is."""
    head = int(abi()["types"]["dirent"]["size"])
    entries, at = [], 0
    while at + head <= len(data):
        entry = fields("dirent", data[at : at + head])
        at += head + entry["d_namlen"]
        entries.append((entry["d_next"], Filetype(entry["d_type"]).name, data[at - entry["d_namlen"] : at]))
    return entries


def _event(data: bytes) -> dict[str, int]:
    event = fields("event", data)
    return {name: event[name] for name in ("userdata", "error", "type")}
