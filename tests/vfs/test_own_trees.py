"""Mounts of a user's own classes: the little they need, what else they can do, and how they fail."""

from __future__ import annotations

import errno
import os
import traceback
from collections.abc import Iterable
from pathlib import Path

import pytest

import wasihost
from tests.support.guests import build_c
from tests.support.raw import Raw
from wasihost import Errno, FSConfig, ModuleConfig
from wasihost.vfs import Directory, File, Link, MemoryFS, Node, Stat

CREAT, DIRECTORY, EXCL, TRUNC = (1 << bit for bit in range(4))
READ = 1 << 1 | 1 << 2 | 1 << 5 | 1 << 14 | 1 << 21


class Text(File):
    """The least that a file can be."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def read(self, offset: int, size: int) -> bytes:
        return self.content[offset : offset + size]


class Sized(Text):
    """One that says more of itself."""

    def stat(self) -> Stat:
        return Stat(len(self.content), mtime_ns=1_000_000_007)


class Pages(Directory):
    """A directory made from a dict."""

    def __init__(self, nodes: dict[str, Node]) -> None:
        self.nodes = nodes

    def lookup(self, name: str) -> Node | None:
        return self.nodes.get(name)

    def entries(self) -> Iterable[tuple[str, Node]]:
        return self.nodes.items()


class Alias(Link):
    """A symbolic link."""

    def __init__(self, content: str) -> None:
        self.content = content

    def target(self) -> str:
        return self.content


def pages() -> Pages:
    below = Pages({"up": Alias("../a"), "b": Sized(b"bee")})
    return Pages({"a": Text(b"0123456789"), "d": below, "l": Alias("d/b"), "out": Alias("../../x")})


def mounted(root: Directory) -> Raw:
    return Raw(ModuleConfig().with_mount("/", root))


def try_open(raw: Raw, path: str, oflags: int = 0, rights: int = READ) -> int:
    return raw.call("path_open", 3, 1, *raw.text(path), oflags, rights, rights, 0, 0x80)


# -- reading -----------------------------------------------------------------------------------------------------------


def test_lookup_entries_and_read_are_enough() -> None:
    with mounted(pages()) as raw:
        fd = raw.open("a", rights=READ)
        assert raw.read(fd, 4) + raw.read(fd, 99) + raw.read(fd, 99) == b"0123456789"
        assert raw.call("fd_pread", fd, *raw.iovecs((0x100, 2), (0x110, 3)), 6, 0x80) == 0
        assert bytes(raw.memory[0x100:0x102] + raw.memory[0x110:0x114]) == b"6789??"
        names = {name: (inode, kind) for _, inode, kind, name in raw.readdir(3)[0]}
        assert {name: kind for name, (_, kind) in names.items()} == {
            b".": 3, b"..": 3, b"a": 4, b"d": 3, b"l": 7, b"out": 7
        }  # fmt: skip
        assert len({inode for inode, _ in names.values()}) == 5  # `..` of a mount is itself
        stat = raw.filestat("fd_filestat_get", fd)
        assert (stat["ino"], stat["size"], stat["filetype"]) == (names[b"a"][0], 0, 4)


def test_paths_keep_the_rules_of_all_trees() -> None:
    with mounted(pages()) as raw:
        for path in ("d/b", "l", "d/../l", "d/up", "./d//up"):
            assert try_open(raw, path) == 0, path
        for path, code in (("none", Errno.NOENT), ("a/x", Errno.NOTDIR), ("..", Errno.PERM), ("/a", Errno.PERM),
                           ("out", Errno.PERM), ("l/", Errno.NOTDIR)):  # fmt: skip
            assert try_open(raw, path) == code, path
        stat = raw.filestat("path_filestat_get", 3, 1, *raw.text("l"))
        assert (stat["size"], stat["mtim"]) == (3, 1_000_000_007)
        assert raw.call("path_readlink", 3, *raw.text("l"), 0x100, 9, 0x80) == 0
        assert bytes(raw.memory[0x100:0x103]) == b"d/b"


def test_a_real_guest_reads_it() -> None:
    config = ModuleConfig().with_mount("/pages", pages())
    done = wasihost.run(build_c("files"), config, args=["read", "/pages/d/up"], capture_output=True)
    assert (done.stdout, done.stderr) == (b"/pages/d/up: 0123456789\n", b"")


CHANGES: dict[str, tuple[object, ...]] = {
    "path_create_directory": (3, "new"),
    "path_remove_directory": (3, "d"),
    "path_unlink_file": (3, "a"),
    "path_rename": (3, "a", 3, "new"),
    "path_symlink": ("a", 3, "new"),
    "path_link": (3, 0, "a", 3, "new"),
    "path_filestat_set_times": (3, 1, "a", 1, 1, 5),
    "fd_filestat_set_times": (3, 1, 1, 5),
}


def change(raw: Raw, name: str) -> int:
    flat: list[int] = []
    for arg in CHANGES[name]:
        flat += raw.text(arg) if isinstance(arg, str) else [arg] if isinstance(arg, int) else []
    return raw.call(name, *flat)


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_of_what_only_reads_is_not_supported(name: str) -> None:
    with mounted(pages()) as raw:
        assert change(raw, name) == Errno.NOTSUP
    with Raw(ModuleConfig().with_read_only_fs("/", pages())) as raw:
        assert change(raw, name) == Errno.ROFS


def test_writing_to_what_only_reads_is_not_supported() -> None:
    with mounted(pages()) as raw:
        fd = raw.open("a")
        result = raw.new(8)
        assert raw.call("fd_write", fd, *raw.data(b"x"), result) == Errno.NOTSUP
        assert raw.call("fd_pwrite", fd, *raw.data(b"x"), 0, result) == Errno.NOTSUP
        assert raw.call("fd_write", raw.open("a", flags=1), *raw.data(b"x"), result) == Errno.NOTSUP
        assert raw.call("fd_filestat_set_size", fd, 3) == Errno.NOTSUP
        assert raw.call("fd_allocate", fd, 0, 30) == Errno.NOTSUP
        assert raw.call("fd_filestat_set_times", fd, 1, 1, 5) == Errno.NOTSUP
        assert try_open(raw, "new", CREAT) == Errno.NOTSUP
        assert try_open(raw, "a", TRUNC) == Errno.NOTSUP
        assert raw.call("fd_sync", fd) == 0
        assert raw.read(fd, 99) == b"0123456789"


# -- writing -----------------------------------------------------------------------------------------------------------


class Page(Sized):
    """A file that can be written, and counts who has it open."""

    opened = 0

    def open(self, *, writing: bool) -> File:
        self.opened += 1
        return self

    def close(self) -> None:
        self.opened -= 1

    def write(self, offset: int, data: bytes) -> int:
        assert type(data) is bytes  # never a view of a guest's memory
        self.content = self.content[:offset].ljust(offset, b"\0") + data + self.content[offset + len(data) :]
        return len(data)

    def truncate(self, size: int) -> None:
        self.content = self.content[:size].ljust(size, b"\0")


class Book(Pages):
    """A directory that can be changed."""

    def create_file(self, name: str) -> File:
        self.nodes[name] = made = Page(b"")
        return made

    def create_directory(self, name: str) -> None:
        self.nodes[name] = Book({})

    def create_link(self, name: str, target: str) -> None:
        self.nodes[name] = Alias(target)

    def remove(self, name: str) -> None:
        del self.nodes[name]

    def remove_directory(self, name: str) -> None:
        node = self.nodes[name]
        if isinstance(node, Book) and node.nodes:
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
        del self.nodes[name]

    def rename(self, name: str, target: Directory, new_name: str) -> None:
        if not isinstance(target, Book):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        target.nodes[new_name] = self.nodes.pop(name)


def test_a_tree_that_can_be_written() -> None:
    book = Book({})
    with mounted(book) as raw:
        fd = raw.open("page", oflags=CREAT | EXCL)
        assert raw.write(fd, b"one ", b"two") == 7
        assert raw.call("fd_seek", fd, 1, 0, raw.new(8)) == 0
        assert raw.read(fd, 99) == b"ne two"
        assert raw.call("fd_allocate", fd, 0, 9) == 0
        appending = raw.open("page", flags=1)
        assert raw.write(appending, b"th", b"ree") == 5
        page = book.nodes["page"]
        assert isinstance(page, Page)
        assert (page.content, page.opened) == (b"one two\0\0three", 2)
        assert raw.call("fd_close", appending) == 0
        raw.open("page", oflags=TRUNC)
        assert (page.content, page.opened) == (b"", 2)
        assert raw.call("path_create_directory", 3, *raw.text("d/")) == 0
        assert raw.call("path_rename", 3, *raw.text("page"), 3, *raw.text("d/p")) == 0
        assert raw.call("path_symlink", *raw.text("d/p"), 3, *raw.text("l")) == 0
        assert raw.call("path_remove_directory", 3, *raw.text("d")) == Errno.NOTEMPTY
        assert raw.call("path_link", 3, 1, *raw.text("l"), 3, *raw.text("m")) == Errno.NOTSUP
        assert try_open(raw, "l") == 0
        assert raw.call("path_unlink_file", 3, *raw.text("d/p")) == 0
        assert raw.call("path_remove_directory", 3, *raw.text("d")) == 0
        assert raw.call("path_unlink_file", 3, *raw.text("l")) == 0
    assert (book.nodes, page.opened) == ({}, 0)  # the guest's end closes what it left open


def test_a_real_guest_writes_to_it() -> None:
    book = Book({})
    done = wasihost.run(build_c("echo"), ModuleConfig().with_mount("/b", book), args=["files", "/b/f"])
    page = book.nodes["f"]
    assert isinstance(page, Page)
    assert (done.returncode, page.content, page.opened) == (0, b"written", 0)


def test_a_short_write_is_reported() -> None:
    class Narrow(Page):
        def write(self, offset: int, data: bytes) -> int:
            return super().write(offset, data[:3])

    narrow = Narrow(b"")
    with mounted(Book({"n": narrow})) as raw:
        fd = raw.open("n")
        assert raw.write(fd, b"ab", b"cdefg", b"hi") == 5
        assert raw.write(fd, b"xyz") == 3
        assert raw.write(raw.open("n", flags=1), b"end of it") == 3
    assert narrow.content == b"abcdexyzend"


# -- failing -----------------------------------------------------------------------------------------------------------


class Failing(Book):
    """Whatever is asked of it, it raises `error`."""

    error: BaseException

    def lookup(self, name: str) -> Node | None:
        if name == "missing":
            raise self.error
        return super().lookup(name)

    def create_directory(self, name: str) -> None:
        raise self.error


class FailingPage(Page):
    error: BaseException

    def read(self, offset: int, size: int) -> bytes:
        raise self.error

    def write(self, offset: int, data: bytes) -> int:
        if offset:
            raise self.error
        return super().write(offset, data)


def failing(error: BaseException) -> Failing:
    root, page = Failing({}), FailingPage(b"12345678")
    root.error = page.error = error
    root.nodes["page"] = page
    return root


@pytest.mark.parametrize(
    ("error", "code"),
    [(FileNotFoundError(errno.ENOENT, "no"), Errno.NOENT), (OSError(errno.ENOSPC, "full"), Errno.NOSPC),
     (InterruptedError(errno.EINTR, "signal"), Errno.INTR), (TimeoutError(errno.ETIMEDOUT, "slow"), Errno.TIMEDOUT),
     (PermissionError(errno.EACCES, "no"), Errno.ACCES), (OSError("without a number"), Errno.IO)],
)  # fmt: skip
def test_an_os_error_is_the_guest_s_errno(error: OSError, code: Errno) -> None:
    with mounted(failing(error)) as raw:
        assert try_open(raw, "missing") == code
        assert raw.call("path_create_directory", 3, *raw.text("new")) == code
        fd, result = raw.open("page"), raw.new(4)
        assert raw.call("fd_read", fd, *raw.iovecs((0x100, 4)), result) == code
        assert raw.call("fd_pwrite", fd, *raw.data(b"x"), 1, result) == code
        assert raw.write(fd, b"ab", b"cd") == 2  # the first was written; the error is the next call's
        assert raw.call("fd_write", fd, *raw.data(b"cd"), result) == code


def test_any_other_exception_ends_the_run_and_arrives_as_itself() -> None:
    config = ModuleConfig().with_mount("/pages", failing(ZeroDivisionError("of the tree's own")))
    with pytest.raises(ZeroDivisionError, match="of the tree's own") as caught:
        wasihost.run(build_c("files"), config, args=["read", "/pages/page"])
    assert traceback.extract_tb(caught.tb)[-1].name == "read"
    assert Path(traceback.extract_tb(caught.tb)[-1].filename).name == Path(__file__).name


@pytest.mark.parametrize(("answer", "kind"), [(99, ValueError), (-1, ValueError), (None, TypeError)])
def test_a_write_that_cannot_be_true_is_the_tree_s_mistake(answer: int, kind: type[Exception]) -> None:
    class Lying(Page):
        def write(self, offset: int, data: bytes) -> int:
            return answer

    with mounted(Book({"f": Lying(b"")})) as raw, pytest.raises(kind):
        raw.write(raw.open("f"), b"abc")


def test_a_read_that_gives_too_much_is_the_tree_s_mistake() -> None:
    class Lying(Text):
        def read(self, offset: int, size: int) -> bytes:
            return self.content

    with mounted(Pages({"f": Lying(b"12345")})) as raw, pytest.raises(ValueError, match=r"Lying.read gave 5 bytes"):
        raw.read(raw.open("f", rights=READ), 4)


def test_moving_between_trees_of_one_s_own_is_left_to_them() -> None:
    config = FSConfig().with_fs_mount("/a", Book({"f": Page(b"")})).with_fs_mount("/b", Book({}))
    with Raw(ModuleConfig().with_fs(config.with_fs_mount("/c", MemoryFS()))) as raw:
        assert raw.call("path_rename", 3, *raw.text("f"), 4, *raw.text("g")) == 0
        assert raw.call("path_rename", 4, *raw.text("g"), 5, *raw.text("g")) == Errno.XDEV
