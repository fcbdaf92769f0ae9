"""Listings of the extension are those of Python, entry by entry."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from wasi_preview1.codecs import DIRENT_LAYOUT
from wasi_preview1.types import Filetype

from wasihost.descriptors import reported
from wasihost.descriptors.host_directory import HostDirectory, open_host_directory
from wasihost.descriptors.hoststat import KINDS
from wasihost.native import extension, why

pytestmark = pytest.mark.skipif(extension is None, reason=f"this is the pure path: {why}")
calls: Any = extension


def opened(folder: Path) -> HostDirectory:
    return open_host_directory(str(folder), "/", False)


def in_python(directory: HostDirectory, monkeypatch: pytest.MonkeyPatch) -> reported.Listing:
    with monkeypatch.context() as patched:
        patched.setattr(reported, "extension", None)
        return reported.packed(directory.entries(), lambda: None)


def test_the_layout_of_an_entry_is_that_of_the_spec() -> None:
    assert DIRENT_LAYOUT.format == calls.DIRENT_LAYOUT


def test_a_listing_is_that_of_python(tree: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del tree
    for number in range(5000):
        (tmp_path / f"entry-{number}").touch()
    (tmp_path / os.fsdecode(b"\xff\xfe name")).touch()
    directory = opened(tmp_path)
    for _ in range(2):
        found, starts = directory.listed(lambda: None)
        expected, expected_starts = in_python(directory, monkeypatch)
        assert found == expected
        assert list(starts) == list(expected_starts)
        assert found.readonly
        assert bytes(found[24:25]) == b"."
    packed, _ = reported.packed(directory.entries(), lambda: None)
    assert packed == expected
    directory.close()


def test_a_listing_asks_whether_the_guest_has_to_end(tmp_path: Path) -> None:
    for number in range(4100):
        (tmp_path / f"{number}").touch()
    directory = opened(tmp_path)
    asked: list[int] = []

    def check() -> None:
        asked.append(1)
        raise KeyError("the end")

    before = os.listdir("/proc/self/fd")
    with pytest.raises(KeyError, match="the end"):
        directory.listed(check)
    with pytest.raises(KeyError, match="the end"):
        reported.packed(directory.entries(), check)
    assert len(asked) == 2
    assert os.listdir("/proc/self/fd") == before
    directory.close()


def test_a_listing_raises_as_python_does(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for fd in (-1, os.open(tmp_path / "file", os.O_RDONLY)):
        with pytest.raises(OSError) as caught:  # noqa: PT011 - its number is what is compared
            calls.read_directory(fd, 1, 2, bytes(KINDS), int)
        assert caught.value.errno == (errno.EBADF if fd < 0 else errno.ENOTDIR)
    os.close(fd)


@pytest.mark.parametrize("inode", [0, 1, 2**64 - 1, 2**64, 2**70 + 5, -1, -(2**80)])
def test_any_inode_number_is_packed_as_in_python(inode: int, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [(b"a", 1, Filetype.REGULAR_FILE), (b"name" * 100, inode, Filetype.DIRECTORY), (b"", 3, Filetype.UNKNOWN)]
    found, starts = reported.packed(entries, lambda: None)
    monkeypatch.setattr(reported, "extension", None)
    expected, expected_starts = reported.packed(entries, lambda: None)
    assert found == expected
    assert list(starts) == list(expected_starts)


def test_an_inode_that_is_no_int_is_left_to_python() -> None:
    class Number:
        def __index__(self) -> int:
            return 77

    for odd in (Number(), True):
        assert calls.pack_entries([(b"a", odd, 3)], int) is None
    found, _ = reported.packed([(b"a", Number(), Filetype.DIRECTORY)], lambda: None)  # type: ignore[list-item]  # see the name
    assert found[8] == 77
    with pytest.raises(TypeError, match="inode of b'a' is 'x'"):
        reported.packed([(b"a", "x", Filetype.DIRECTORY)], lambda: None)  # type: ignore[list-item]  # see the name


def test_an_empty_listing_can_be_packed() -> None:
    packed, starts = calls.pack_entries([], int)
    assert (bytes(packed), list(starts)) == (b"", [])
