"""The results of the calls on Linux, on a tmpfs that is mounted read-only.

`python -m tests.read_only.linux` writes the table. A mount needs a separate namespace, so the module starts itself
again in one: as root, or as root of a user namespace.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.read_only.calls import (
    ACCESS,
    CREAT,
    DIRECTORY,
    EXCL,
    NEW,
    OLD,
    ON_ONE_PATH,
    ON_TWO_PATHS,
    PATHS,
    TRUNC,
    fill,
    openings,
)  # fmt: skip

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).with_name("linux.txt")
_HOST = {CREAT: os.O_CREAT, DIRECTORY: os.O_DIRECTORY, EXCL: os.O_EXCL, TRUNC: os.O_TRUNC}


def said_by(call: Callable[..., object], *args: object) -> str:
    """The name of the errno, or `ok`."""
    try:
        result = call(*args)
    except OSError as error:
        return errno.errorcode[error.errno or 0][1:]
    if isinstance(result, int):
        os.close(result)
    return "ok"


def _open(fd: int, flags: int, path: str) -> int:
    return os.open(path, flags, dir_fd=fd)


def _on_one_path(fd: int, name: str, path: str) -> object:
    match name:
        case "mkdir":
            os.mkdir(path, dir_fd=fd)
        case "rmdir":
            os.rmdir(path, dir_fd=fd)
        case "unlink":
            os.unlink(path, dir_fd=fd)
        case "symlink":
            os.symlink("content", path, dir_fd=fd)
        case "readlink":
            os.readlink(path, dir_fd=fd)
        case "stat" | "lstat":
            os.stat(path, dir_fd=fd, follow_symlinks=name == "stat")
        case _:
            os.utime(path, ns=(1, 1), dir_fd=fd, follow_symlinks=name == "utimes")
    return None


def _on_two_paths(fd: int, name: str, old: str, new: str) -> object:
    if name == "rename":
        os.rename(old, new, src_dir_fd=fd, dst_dir_fd=fd)
    else:
        os.link(old, new, src_dir_fd=fd, dst_dir_fd=fd, follow_symlinks=name == "link follow")
    return None


def lines(folder: Path) -> list[str]:
    """The table: one line for each call, with what is said for each path."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    out = []
    for opening in openings():
        flags = ACCESS[opening.access] | (0 if opening.follow else os.O_NOFOLLOW)
        flags |= sum(host for flag, host in _HOST.items() if opening.oflags & flag)
        said = [said_by(_open, fd, flags, path) for path in PATHS]
        out.append(f"{opening}: {' '.join(said)}")
    for name in ON_ONE_PATH:
        said = [said_by(_on_one_path, fd, name, path) for path in PATHS]
        out.append(f"{name}: {' '.join(said)}")
    for name in ON_TWO_PATHS:
        for old in OLD:
            said = [said_by(_on_two_paths, fd, name, old, new) for new in NEW]
            out.append(f"{name} {old!r}: {' '.join(said)}")
    os.close(fd)
    return out


def live() -> list[str] | None:
    """The table as this kernel has it; None where no file system can be mounted."""
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    command = [*unshare, sys.executable, "-m", "tests.read_only.linux", "--mount"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60, check=False
        )
    except FileNotFoundError:
        return None
    return done.stdout.splitlines() if done.returncode == 0 else None


def main() -> int:
    """The exit status."""
    if "--mount" not in sys.argv:
        table = live()
        if table is None:
            print("no file system can be mounted here", file=sys.stderr)
            return 1
        TABLE.write_text("".join(f"{line}\n" for line in table))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=True)
        try:
            fill(Path(folder))
            subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
            print("\n".join(lines(Path(folder))))
        finally:
            subprocess.run(["umount", "-l", folder], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
