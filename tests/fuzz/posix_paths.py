"""The functions on paths of the plain model of POSIX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wasi_preview1.types import Errno, Oflags, Rights

from tests.conformance.steps import Room
from tests.fuzz.posix_tree import (
    RECENT,
    Failed,
    File,
    Folder,
    Link,
    Node,
    Open,
    Place,
    Tree,
    check_times,
    set_times,
    stat,
)  # fmt: skip


class Paths(Tree):
    """Each method has the arguments of the spec's function, texts as texts."""

    def path_open(
        self, fd: int, follow: int, path: str, oflags: int, rights: int, _inheriting: int, flags: int
    ) -> None:
        self._folder(fd)
        create, exclusive = bool(oflags & Oflags.CREAT), oflags & Oflags.CREAT and oflags & Oflags.EXCL
        if create and oflags & Oflags.DIRECTORY:
            raise Failed(Errno.INVAL)
        write = bool(rights & Rights.FD_WRITE)
        place = self._walk(fd, path, follow=bool(follow) and not exclusive, slash_follows=not create)
        node = place.node
        if create and place.slash and place.name:
            raise Failed(Errno.ISDIR)
        if node is None:
            if not create:
                raise Failed(Errno.NOENT)
            node = place.folder.names[place.name] = File()
            place.folder.mtim = RECENT
        elif exclusive:
            raise Failed(Errno.EXIST)
        elif isinstance(node, Link):
            raise Failed(Errno.NOTDIR if oflags & Oflags.DIRECTORY else Errno.LOOP)
        elif isinstance(node, Folder):
            if create or write or oflags & Oflags.TRUNC:
                raise Failed(Errno.ISDIR)
        elif oflags & Oflags.DIRECTORY or place.slash:
            raise Failed(Errno.NOTDIR)
        if isinstance(node, File) and oflags & Oflags.TRUNC:
            node.data.clear()
            node.mtim = RECENT
        number = next(number for number in range(3, 1000) if number not in self.open)
        read = bool(rights & Rights.FD_READ) or not write
        self.open[number] = Open(
            node, read or isinstance(node, Folder), write, int(flags) if isinstance(node, File) else 0
        )
        self.slots.append(number)

    def path_filestat_get(self, fd: int, follow: int, path: str) -> Any:
        return stat(self._existing(fd, path, follow=bool(follow)))

    def path_filestat_set_times(self, fd: int, follow: int, path: str, _atim: int, mtim: int, which: int) -> bytes:
        self._folder(fd)
        check_times(which)
        set_times(self._existing(fd, path, follow=bool(follow)), mtim, which)
        return b""

    def path_create_directory(self, fd: int, path: str) -> bytes:
        place = self._walk(fd, path, follow=False, slash_follows=False)
        if place.node is not None:
            raise Failed(Errno.EXIST)
        place.folder.names[place.name] = Folder(place.folder)
        place.folder.mtim = RECENT
        return b""

    def path_readlink(self, fd: int, path: str, room: Room) -> Any:
        node = self._existing(fd, path, follow=False)
        if not isinstance(node, Link):
            raise Failed(Errno.INVAL)
        if node.target.startswith("/"):
            raise Failed(Errno.PERM)
        content = node.target.encode()[: room.size]
        return len(content), content

    def path_remove_directory(self, fd: int, path: str) -> bytes:
        place = self._walk(fd, path, follow=False, last=True, slash_follows=False)
        if place.name in ("", "."):
            raise Failed(Errno.INVAL)
        if place.name == "..":
            raise Failed(Errno.NOTEMPTY)
        if place.node is None:
            raise Failed(Errno.NOENT)
        if not isinstance(place.node, Folder):
            raise Failed(Errno.NOTDIR)
        if place.node.names:
            raise Failed(Errno.NOTEMPTY)
        self._gone(place.node)
        del place.folder.names[place.name]
        place.folder.mtim = RECENT
        return b""

    @staticmethod
    def _gone(folder: Folder) -> None:
        folder.gone, folder.parent = True, None

    def path_unlink_file(self, fd: int, path: str) -> bytes:
        place = self._walk(fd, path, follow=False, last=True, slash_follows=False)
        if place.name in ("", ".", "..") or isinstance(place.node, Folder):
            raise Failed(Errno.ISDIR)
        if place.node is None:
            raise Failed(Errno.NOENT)
        if place.slash:
            raise Failed(Errno.NOTDIR)
        place.node.links -= 1
        del place.folder.names[place.name]
        place.folder.mtim = RECENT
        return b""

    def path_symlink(self, content: str, fd: int, path: str) -> bytes:
        self._folder(fd)
        self._all(lambda: _target(content), lambda: self._new(fd, path))
        place = self._new(fd, path)
        place.folder.names[place.name] = Link(content)
        place.folder.mtim = RECENT
        return b""

    @staticmethod
    def _all(*checks: Callable[[], object]) -> None:
        """Every one has to hold; where several do not, any of their errnos may be returned."""
        errnos: set[Errno] = set()
        for check in checks:
            try:
                check()
            except Failed as failed:
                errnos |= failed.errnos
        if errnos:
            raise Failed(*errnos)

    def _new(self, fd: int, path: str) -> Place:
        """The place for something else than a directory: nothing may be there, and no slash at the end."""
        place = self._walk(fd, path, follow=False, slash_follows=False)
        if place.slash:
            self._all(lambda: self._existing(fd, path, follow=True), lambda: _refuse(place.node))
        _refuse(place.node)
        return place

    def path_link(self, fd: int, follow: int, old: str, new_fd: int, new: str) -> bytes:
        self._folder(fd)
        self._folder(new_fd)
        self._all(lambda: self._linked(fd, old, follow), lambda: self._new(new_fd, new))
        node, place = self._linked(fd, old, follow), self._new(new_fd, new)
        node.links += 1
        place.folder.names[place.name] = node
        place.folder.mtim = RECENT
        return b""

    def _linked(self, fd: int, path: str, follow: int) -> File | Link:
        node = self._existing(fd, path, follow=bool(follow))
        if isinstance(node, Folder):
            raise Failed(Errno.PERM)
        return node

    def _renamed_there(self, fd: int, path: str) -> None:
        if self._renamed(fd, path).node is None:
            raise Failed(Errno.NOENT)

    def path_rename(self, fd: int, old: str, new_fd: int, new: str) -> bytes:
        self._folder(fd)
        self._folder(new_fd)
        self._all(lambda: self._renamed_there(fd, old), lambda: self._renamed(new_fd, new))
        source, target = self._renamed(fd, old), self._renamed(new_fd, new)
        moved, there = source.node, target.node
        assert moved is not None
        if not isinstance(moved, Folder) and (source.slash or target.slash):
            raise Failed(Errno.NOTDIR)
        if isinstance(moved, Folder) and _holds(moved, target.folder):
            raise Failed(Errno.INVAL)
        if isinstance(there, Folder) and _holds(there, source.folder):
            raise Failed(Errno.NOTEMPTY)
        if moved is there:
            return b""
        if isinstance(there, Folder):
            if not isinstance(moved, Folder):
                raise Failed(Errno.ISDIR)
            if there.names:
                raise Failed(Errno.NOTEMPTY)
            self._gone(there)
        elif there is not None:
            if isinstance(moved, Folder):
                raise Failed(Errno.NOTDIR)
            there.links -= 1
        del source.folder.names[source.name]
        target.folder.names[target.name] = moved
        if isinstance(moved, Folder):
            moved.parent = target.folder
        source.folder.mtim = target.folder.mtim = RECENT
        return b""

    def _renamed(self, fd: int, path: str) -> Place:
        place = self._walk(fd, path, follow=False, last=True, slash_follows=False)
        if place.name in ("", ".", ".."):
            raise Failed(Errno.INVAL)
        return place


def _refuse(node: Node | None) -> None:
    """What a name that is taken, or one with a slash behind it, is good for."""
    if node is not None:
        raise Failed(Errno.EXIST)


def _target(content: str) -> None:
    if content.startswith("/"):
        raise Failed(Errno.PERM)
    if not content:
        raise Failed(Errno.NOENT)


def _holds(folder: Folder, inner: Folder) -> bool:
    """Whether `inner` is `folder` or lies below it."""
    above: Folder | None = inner
    while above is not None:
        if above is folder:
            return True
        above = above.parent
    return False
