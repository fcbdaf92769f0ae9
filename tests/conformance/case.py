"""One row of the table: what a guest does in a tree of files, what it must get, and how docs/errnos.md describes it.

Rules of this file: data only. A tree is path -> bytes of a file, None for a directory, `Link` or `FIFO`, so that any
back end can make it; directories on the way need no entry of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias, TypedDict, Unpack

from wasi_preview1.types import Errno

from tests.conformance.steps import Step
from wasihost.config.keywords import LimitChanges

BACK_ENDS = ("openat2", "walk", "memory", "overlay")
HOST = ("openat2", "walk")
LIMITS = ("memory", "overlay", "limited")
NO_FIFO = "on the host; a virtual tree has no FIFOs"
LIMITED = "seen by the limits of a `MemoryFS`, of an `Overlay` or of a mount; those of a disk are its own"


class Link(str):
    """A symbolic link with this content."""

    __slots__ = ()


class Special(Enum):
    """Neither a file, nor a directory, nor a link."""

    FIFO = "a FIFO"
    GONE = "what was there is no more: in `Case.after` only"


FIFO, GONE = Special.FIFO, Special.GONE
Node: TypeAlias = bytes | Link | Special | None
Tree: TypeAlias = Mapping[str, Node]

TREE: Tree = {
    "f": b"text",
    "d/g": b"inner",
    "empty": None,
    "tof": Link("f"),
    "tod": Link("d"),
    "dangling": Link("none"),
    "loop": Link("loop"),
    "out": Link("../outside"),
    "rooted": Link("/"),
    "up": Link(".."),
}
"""What most cases work in. Beside it, where no guest may get, lies the directory `outside` with the file `secret`."""


@dataclass(frozen=True)
class Case:
    """What `function` returns `when`.

    `after` is what is different in the tree then; nothing, if nothing is said. `read_only` is about the mount, `other`
    mounts a second, empty file system as descriptor 4. `limits` are the config's, `memory` are arguments of the
    `MemoryFS`, in which what lies in the tree counts. Where not all back ends can do the same, `only` names those that
    do, and `why` says where and why.
    """

    function: str
    when: str
    errno: Errno
    steps: tuple[Step, ...]
    tree: Tree = field(default_factory=lambda: TREE)
    after: Tree = field(default_factory=dict)
    read_only: bool = False
    other: bool = False
    limits: LimitChanges = field(default_factory=LimitChanges)
    memory: Mapping[str, Any] = field(default_factory=dict)
    only: tuple[str, ...] = BACK_ENDS
    why: str = ""

    @property
    def wanted(self) -> dict[str, Node]:
        """The whole tree afterwards."""
        changed = whole(self.tree) | whole({path: node for path, node in self.after.items() if node is not GONE})
        return {path: node for path, node in changed.items() if self.after.get(path, None) is not GONE}

    def __str__(self) -> str:
        return f"{self.function}: {self.errno.name}: {self.when}"


class Details(TypedDict, total=False):
    """The rest of a `Case`."""

    tree: Tree
    after: Tree
    read_only: bool
    other: bool
    limits: LimitChanges
    memory: Mapping[str, Any]
    only: tuple[str, ...]
    why: str


def case(
    function: Callable[..., Step], when: str, *steps: Step, errno: Errno | None = None, **rest: Unpack[Details]
) -> Case:
    """A case. It is about `errno`, with which then every call of the function fails that is not said to give something;
    without, about what the last call of the function returns."""
    name = function.__name__
    if errno is None:
        errno = [step.errno for step in steps if step.function == name][-1]
    elif errno != Errno.SUCCESS:
        steps = tuple(step.fails(errno) if step.function == name and step.value is None else step for step in steps)
    return Case(name, when, errno, steps, **rest)


def whole(tree: Tree) -> dict[str, Node]:
    """A tree with its directories on the way."""
    out: dict[str, Node] = {}
    for path, node in tree.items():
        folder = path
        while folder := folder.rpartition("/")[0]:
            out[folder] = None
        out[path] = node
    return dict(sorted(out.items()))
