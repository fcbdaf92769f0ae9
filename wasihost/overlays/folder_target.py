"""A folder of the host to which the changes of an overlay are made.

Rules of this file: every call gets one single name beneath an open directory, and follows no link. Another process that
puts a link in the way makes `apply` fail, and nothing is written elsewhere.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import secrets
import stat as kinds
from collections.abc import Iterator
from typing import Final

from wasihost.common.cache_folder import SEALED
from wasihost.overlays.applying import unsupported_kind
from wasihost.overlays.copying import copy_into
from wasihost.overlays.files import OverlayFile
from wasihost.sandbox.names import os_error, single_name
from wasihost.sandbox.resolve import DIRECTORY
from wasihost.sandbox.times import set_times
from wasihost.vfs.host_tree import HostTreeNode
from wasihost.vfs.nodes import File, Link, Node

ASIDE: Final = ".wasihost-apply-"
"""How the name of the folder begins in which files are written aside. A process that was killed may leave one, which
can be deleted."""
_READ: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class FolderTarget:
    """An open folder, whose descriptor is closed with it. `own`: it is the one below the overlay, so files can be moved
    within it."""

    def __init__(self, fd: int, *, own: bool) -> None:
        self._own = own
        self._numbers = itertools.count(1)
        self._changed: set[str] = {""}
        with contextlib.ExitStack() as opened:
            self._fd = fd
            opened.callback(os.close, self._fd)
            self._name = ASIDE + secrets.token_hex(6)
            os.mkdir(self._name, 0o700, dir_fd=self._fd)
            opened.callback(os.rmdir, self._name, dir_fd=self._fd)
            self._aside = os.open(self._name, _READ | os.O_NOFOLLOW, dir_fd=self._fd)
            opened.pop_all()

    def close(self) -> None:
        """Remove what is still aside."""
        try:
            for name in os.listdir(self._aside):
                os.unlink(name, dir_fd=self._aside)
            os.rmdir(self._name, dir_fd=self._fd)
        finally:
            os.close(self._aside)
            os.close(self._fd)

    def stage(self, node: Node) -> str:
        """Write a file or a link aside. One that is as below gets a second name instead, where that is possible."""
        name = str(next(self._numbers))
        if self._own and self._stage_unchanged(node, name):
            return name
        if isinstance(node, Link):
            os.symlink(node.target(), name, dir_fd=self._aside)
        elif isinstance(node, File):
            fd = os.open(name, _NEW, 0o666, dir_fd=self._aside)
            try:
                copy_into(fd, node)
                status = node.stat()
                os.utime(fd, ns=(status.atime_ns, status.mtime_ns))
                os.fsync(fd)
            finally:
                os.close(fd)
        else:
            raise unsupported_kind(node)
        return name

    def stage_link(self, staged: str) -> str:
        """Make a second name for what was written aside."""
        name = str(next(self._numbers))
        os.link(staged, name, src_dir_fd=self._aside, dst_dir_fd=self._aside, follow_symlinks=False)
        return name

    def place(self, staged: str, path: str) -> None:
        """rename(2) to a path; the mode and the owner of a file that is replaced are kept."""
        parent, _, name = path.rpartition("/")
        with self._opened(parent) as fd:
            self._keep_mode(staged, fd, name)
            try:
                os.rename(staged, name, src_dir_fd=self._aside, dst_dir_fd=fd)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                self._place_across(staged, fd, name)
        self._changed.add(parent)

    def make_directory(self, path: str, *, replacing: bool) -> None:
        """mkdir(2)."""
        parent, _, name = path.rpartition("/")
        with self._opened(parent) as fd:
            try:
                os.mkdir(name, dir_fd=fd)
            except FileExistsError:
                if kinds.S_ISDIR(os.lstat(name, dir_fd=fd).st_mode):
                    return
                if not replacing:
                    raise os_error(errno.ENOTDIR, path) from None
                os.unlink(name, dir_fd=fd)
                os.mkdir(name, dir_fd=fd)
        self._changed.add(parent)

    def remove(self, path: str) -> None:
        """unlink(2) or rmdir(2)."""
        parent, _, name = path.rpartition("/")
        try:
            with self._opened(parent) as fd:
                if kinds.S_ISDIR(os.lstat(name, dir_fd=fd).st_mode):
                    os.rmdir(name, dir_fd=fd)
                else:
                    os.unlink(name, dir_fd=fd)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST):
                raise
        self._changed.add(parent)

    def set_times(self, path: str, atime_ns: int, mtime_ns: int) -> None:
        """utimensat(2)."""
        parent, _, name = path.rpartition("/")
        with self._opened(parent) as fd:
            set_times(fd, single_name(name), atime_ns, mtime_ns)

    def finish(self) -> None:
        """fsync(2) of all directories that were changed."""
        for path in sorted(self._changed):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError), self._opened(path) as fd:
                again = os.open(".", _READ, dir_fd=fd)
                try:
                    os.fsync(again)
                finally:
                    os.close(again)

    @contextlib.contextmanager
    def _opened(self, path: str) -> Iterator[int]:
        """Open a directory, one name after the other. Raises: ENOTDIR for a link."""
        fd = os.dup(self._fd)
        try:
            for name in path.split("/") if path else ():
                inner = os.open(single_name(name), DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
                os.close(fd)
                fd = inner
            yield fd
        finally:
            os.close(fd)

    def _stage_unchanged(self, node: Node, name: str) -> bool:
        """Make a second name for a file of this folder that is as below. False if it is not, or the system refuses."""
        lower = getattr(node, "lower", None)
        if isinstance(node, OverlayFile) and node.content is not None:
            return False
        if not isinstance(lower, HostTreeNode) or lower.parent is None:
            return False
        try:
            if node.stat().mtime_ns != lower.stat().mtime_ns:
                return False
            with lower.tree.lock:
                fd = lower.tree.handle(lower.parent)
                os.link(lower.name, name, src_dir_fd=fd, dst_dir_fd=self._aside, follow_symlinks=False)
        except OSError:
            return False
        try:
            lower.check(os.lstat(name, dir_fd=self._aside))
        except OSError:
            os.unlink(name, dir_fd=self._aside)
            raise
        return True

    def _keep_mode(self, staged: str, fd: int, name: str) -> None:
        """Give a file the owner and the permissions of the one that it replaces.

        Not the set-user-ID bit and its kin, which the system takes from a file that is written to; nor the permissions
        by which the cache knows the compiled modules that it wrote itself.
        """
        try:
            old = os.lstat(name, dir_fd=fd)
        except FileNotFoundError:
            return
        new = os.lstat(staged, dir_fd=self._aside)
        if not kinds.S_ISREG(old.st_mode) or not kinds.S_ISREG(new.st_mode) or new.st_nlink > 1:
            return
        if kinds.S_IMODE(old.st_mode) == SEALED:
            return
        file = os.open(staged, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._aside)
        try:
            if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
                with contextlib.suppress(PermissionError):
                    os.fchown(file, old.st_uid, old.st_gid)
            os.fchmod(file, old.st_mode & 0o777)
        finally:
            os.close(file)

    def _place_across(self, staged: str, fd: int, name: str) -> None:
        """Copy to another file system that is mounted in the folder: beside the path, and then in one step."""
        beside = f"{ASIDE}{secrets.token_hex(6)}"
        status = os.lstat(staged, dir_fd=self._aside)
        if kinds.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(staged, dir_fd=self._aside), beside, dir_fd=fd)
        elif not kinds.S_ISREG(status.st_mode):
            raise os_error(errno.EXDEV, name)
        else:
            source = os.open(staged, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._aside)
            made = os.open(beside, _NEW, 0o666, dir_fd=fd)
            try:
                copy_into(made, source)
                os.fchmod(made, status.st_mode & 0o7777)
                os.utime(made, ns=(status.st_atime_ns, status.st_mtime_ns))
                os.fsync(made)
            finally:
                os.close(made)
                os.close(source)
        os.rename(beside, name, src_dir_fd=fd, dst_dir_fd=fd)
