"""`path_rename`: every kind over every kind, and the paths that it does not take."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from wasi_preview1.types import Errno, Filetype

from tests.conformance.case import GONE, Case, Link, Node, case
from tests.conformance.steps import (
    Step,
    fd_filestat_get,
    fd_read,
    opened,
    opened_directory,
    path_filestat_get,
    path_link,
    path_open,
    path_remove_directory,
    path_rename,
)

NAME = "n" * 255

KINDS: dict[str, dict[str, Node]] = {
    "file": {"": b"%s"},
    "link": {"": Link("%s")},
    "dangling": {"": Link("no%s")},
    "empty": {"": None},
    "full": {"": None, "/x": b"%s"},
}
"""What can be at a name, and below it."""


def _at(name: str, kind: str) -> dict[str, Node]:
    mark = name.encode()
    return {
        name + path: node.replace(b"%s", mark) if isinstance(node, bytes)
        else Link(node.replace("%s", name)) if isinstance(node, Link) else node
        for path, node in KINDS[kind].items()
    }  # fmt: skip


def _over() -> Iterator[Case]:
    """Every kind over every kind."""
    for old, new in product(KINDS, KINDS):
        folder, over = old in ("empty", "full"), new in ("empty", "full")
        errno, when = Errno.SUCCESS, "what is at the new path is replaced, a directory by a directory if it is empty"
        if folder and not over:
            errno, when = Errno.NOTDIR, "the old path is a directory's and something else is at the new path"
        elif over and not folder:
            errno, when = Errno.ISDIR, "a directory is at the new path and something else at the old one"
        elif over and new == "full":
            errno, when = Errno.NOTEMPTY, "a directory that is not empty is at the new path"
        after: dict[str, Node] = {}
        if errno == Errno.SUCCESS:
            after = dict.fromkeys([*_at("a", old), *_at("b", new)], GONE)
            after |= {path.replace("a", "b", 1): node for path, node in _at("a", old).items()}
        yield case(
            path_rename, when, path_rename("a", "b"), tree=_at("a", old) | _at("b", new), after=after, errno=errno
        )


def same(path: str) -> Step:
    return path_rename(path, path)


# fmt: off
CASES = [
    *_over(),
    case(path_rename, "a name moves, with all that is below it, and stays open where it is open", opened("d/g"),
         opened_directory("d", fd=5), path_rename("d", "empty/new"), fd_read(4, 9).gives(b"inner"),
         path_open("g", fd=5).gives(6), path_rename("f", NAME), path_rename("g", "moved", fd=5),
         path_rename("moved", "back", new_fd=5), after={"d": GONE, "d/g": GONE, "f": GONE, "empty/new/back": b"inner",
         NAME: b"text"}),
    case(path_rename, "slashes at the end are allowed for directories", path_rename("d/", "new/"),
         path_rename("new//", "empty/"), after={"d": GONE, "d/g": GONE, "empty/g": b"inner"}),
    case(path_rename, "a link moves itself", path_rename("tof", "d/x"), path_rename("tod", "y"),
         path_rename("dangling", "z"), path_rename("rooted", "w"), path_rename("d/g", "loop"),
         path_filestat_get("y", follow=0).gives({"filetype": Filetype.SYMBOLIC_LINK, "nlink": 1}),
         after={"tof": GONE, "d/x": Link("f"), "tod": GONE, "y": Link("d"), "dangling": GONE, "z": Link("none"),
                "rooted": GONE, "w": Link("/"), "loop": b"inner", "d/g": GONE}),
    case(path_rename, "both paths are names of the same file: nothing happens", same("f"), same("d"), same("tof"),
         path_rename("f", "d/../f"), path_link("f", "new"), path_rename("f", "new"),
         path_filestat_get("f").gives({"nlink": 2}), path_rename("tod/g", "d/g"), path_rename("d/", "d"),
         after={"new": b"text"}),
    case(path_rename, "the file that is replaced stays for those who have it open", opened("f"),
         path_rename("d/g", "f"), fd_filestat_get(4).gives({"nlink": 0, "size": 4}), fd_read(4, 9).gives(b"text"),
         after={"f": b"inner", "d/g": GONE}),
    case(path_rename, "nothing is at the old path", path_rename("none", "new"), path_rename("none/", "new"),
         path_rename("none", "f"), path_rename("none", "none"), path_rename("d/none", "d/new"), path_rename(NAME, "x"),
         errno=Errno.NOENT),
    case(path_rename, "a path ends in `.` or `..`", *(path_rename(path, "new") for path in (".", "d/.", "d/..", "./")),
         *(path_rename("d", path) for path in (".", "empty/.", "empty/..")), path_rename("f", "d/."),
         errno=Errno.INVAL),
    case(path_rename, "a directory is to go into itself", path_rename("d", "d/x"), path_rename("d", "d/sub/x"),
         path_rename("d", "tod/x"), path_rename("d/sub", "d/sub/x/"), path_rename("d", "d/sub/"),
         tree={"d/sub": None, "tod": Link("d")}, errno=Errno.INVAL),
    case(path_rename, "the new path is above the old one", path_rename("d/sub/x", "d"), path_rename("d/sub", "d"),
         tree={"d/sub/x": None}, errno=Errno.NOTEMPTY),
    case(path_rename, "a slash follows a path, and the old path is no directory's", path_rename("f/", "new"),
         path_rename("f", "new/"), path_rename("tof/", "new"), path_rename("tod/", "new"), path_rename("tod", "new/"),
         path_rename("f", "d/g/"), path_rename("f", "empty/"), path_rename("dangling/", "x"), errno=Errno.NOTDIR),
    case(path_rename, "the new path's directory was removed", opened_directory("empty"), path_remove_directory("empty"),
         path_rename("f", "new", new_fd=4), path_rename("d", "new", new_fd=4), after={"empty": GONE},
         errno=Errno.NOENT),
    case(path_rename, "the two directories are of different file systems", path_rename("f", "new", new_fd=4),
         path_rename("d", "new", new_fd=4), other=True, errno=Errno.XDEV),
]
# fmt: on
