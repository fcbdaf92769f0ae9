"""The calls that would change something in a read-only mount, and some that would not, on paths of every kind.

Rules of this file: data, and nothing of how the calls are made: `linux` makes them on a real mount, the test on ours.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FILES = {"f": b"text", "d/g": b"inner"}
FOLDERS = ("d", "empty")
LINKS = {
    "tof": "f",
    "tod": "d",
    "dangling": "none",
    "deep": "d/none",
    "astray": "none/x",
    "throughfile": "f/x",
    "slashed": "none/",
    "folderslash": "d/",
    "loop": "loop",
    "twice": "dangling",
}
ESCAPES = {"out": "../outside", "outnew": "../none", "rooted": "/", "up": ".."}
"""Links that lead out, where they are followed."""

PATHS = (
    "f", "d", "empty", "none", "d/g", "d/none", "none/x", "f/x", "tod/g", "tod/none", "tof/x", "dangling/x", "loop/x",
    *LINKS, "f/", "d/", "none/", "tof/", "tod/", "dangling/", "f/.", "d/.", "d/..", "none/..", ".", "./", "./f", "",
)  # fmt: skip
LEADING_OUT = ("..", "../outside", "../none", "d/../..", "out/x", "up/x", "rooted/x", "/", "/f")
OLD = ("f", "d", "none", "none/x", "f/x", "tof", "dangling", "loop", "f/", "d/", ".")
NEW = ("f", "d", "none", "none/x", "f/x", "tof", "dangling", "f/", "d/", "none/", "d/.")

ACCESS = {"r": os.O_RDONLY, "w": os.O_WRONLY, "rw": os.O_RDWR}
CREAT, DIRECTORY, EXCL, TRUNC = (1 << bit for bit in range(4))
OFLAGS = {"creat": CREAT, "directory": DIRECTORY, "excl": EXCL, "trunc": TRUNC}


class Opening(NamedTuple):
    """An open: its access mode, wasi's `oflags`, and whether a link at the end is followed."""

    access: str
    oflags: int
    follow: bool

    def __str__(self) -> str:
        names = [name for name, flag in OFLAGS.items() if self.oflags & flag]
        return " ".join(["open", self.access, *names, *(["nofollow"] if not self.follow else [])])


def openings() -> Iterator[Opening]:
    """All of them, but `excl` without `creat`, which POSIX leaves open, and `creat` with `directory`, for which kernels
    have different results."""
    for access, oflags, follow in itertools.product(ACCESS, range(16), (True, False)):
        if oflags & (CREAT | DIRECTORY) != CREAT | DIRECTORY and oflags & (CREAT | EXCL) != EXCL:
            yield Opening(access, oflags, follow)


ON_ONE_PATH = ("mkdir", "rmdir", "unlink", "symlink", "readlink", "stat", "lstat", "utimes", "lutimes")
ON_TWO_PATHS = ("rename", "link", "link follow")


def fill(folder: Path) -> None:
    """The tree on a file system of the host."""
    for name in FOLDERS:
        (folder / name).mkdir()
    for path, content in FILES.items():
        (folder / path).write_bytes(content)
    for path, target in {**LINKS, **ESCAPES}.items():
        os.symlink(target, folder / path)
