"""The directories that sandbox tests work in, and what they compare."""

import errno
import os
import sys
from pathlib import Path
from typing import NamedTuple

from wasihost.sandbox import openat2, resolve

STRATEGIES = {"walk": resolve.by_walk}
if sys.platform == "linux":
    # Not left out where the call is missing: a Linux that cannot run these tests with openat2 has to say so.
    STRATEGIES["openat2"] = resolve.by_openat2
    assert openat2.available(), "openat2 is not available here (Linux < 5.6, or a seccomp filter)"


class Tree(NamedTuple):
    """A base directory as a handle, beside it a directory that nobody may reach from there."""

    base: Path
    outside: Path
    fd: int

    def identity(self, path: str) -> tuple[int, int]:
        """Device and inode of `path` in the base, links not followed."""
        status = os.lstat(self.base / path)
        return status.st_dev, status.st_ino


LINKS = {
    "link": "file",
    "chain": "link",
    "dirlink": "dir",
    "dirlink_slash": "dir/",
    "filelink_slash": "file/",
    "dotlink": "dir/.",
    "dotdotlink": "dir/sub/..",
    "sublink": "dir/sub",
    "loop": "loop",
    "ping": "pong",
    "pong": "ping",
    "self": ".",
    "dangling": "missing",
    "dangling_in_dir": "dir/made",
    "dangling_slash": "missing/",
    "dangling_out": "../outside/made",
    "evil": "../outside",
    "evil_slash": "../outside/",
    "out_and_back": "../base/file",
    "parent": "..",
    "dir/up": "../file",
    "dir/out": "../../outside/secret",
    "dir/sub/top": "../..",
    "dir/sub/over": "../../..",
}


def build(root: Path) -> Tree:
    """Make the tree of the case tables below `root` and open its base."""
    base, outside = root / "base", root / "outside"
    (base / "dir" / "sub").mkdir(parents=True)
    (base / "empty").mkdir()
    (outside / "folder").mkdir(parents=True)
    for file in (base / "file", base / "dir" / "inner", base / "dir" / "sub" / "deep", outside / "secret"):
        file.write_text(file.name)
    for name, target in LINKS.items():
        (base / name).symlink_to(target)
    (base / "rooted").symlink_to(outside / "secret")
    (base / "dir" / "rooted").symlink_to(outside / "secret")
    (base / "rooted_dir").symlink_to(outside)
    (base / "rooted_inside").symlink_to(base / "file")
    (base / "root").symlink_to("/")
    for number in range(41):
        (base / f"hop{number}").symlink_to(f"hop{number - 1}" if number else "file")
    return Tree(base, outside, os.open(base, resolve.DIRECTORY))


def outcome(call: object, *arguments: object) -> object:
    """The result of `call`, or the name of the errno it raised."""
    assert callable(call)
    try:
        return call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def picture(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything below `root` that a write could change: kind, mode, inode, links, size, mtime and content."""
    found: dict[str, tuple[object, ...]] = {}
    for folder, directories, files in os.walk(root):
        for name in [".", *directories, *files]:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            content = Path(path).read_bytes() if os.path.isfile(path) and not os.path.islink(path) else b""
            found[path] = (status.st_mode, status.st_ino, status.st_nlink, status.st_size, status.st_mtime_ns, content)
    return found


def open_descriptors() -> set[str]:
    """What this process has open, by number and target, without the listing itself."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
        except FileNotFoundError:
            continue
    return found
