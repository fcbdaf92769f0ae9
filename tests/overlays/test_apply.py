"""Applying an overlay: all or nothing, and nothing of another process is lost."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance.backends import host_tree
from tests.overlays.changing import change_everything, write
from wasihost import Overlay, OverlayError
from wasihost.vfs import nodes, operations
from wasihost.vfs.resolve import node_at


def test_directories_are_replaced(folder: Path) -> None:
    (folder / "empty").mkdir()
    with Overlay(folder) as overlay:
        operations.rmdir(overlay.root, "empty")
        operations.symlink("a.txt", overlay.root, "empty")
        operations.rename(overlay.root, "docs", overlay.root, "papers")
        write(overlay.root, "docs", b"a file now")
        assert str(overlay.apply()) == "A docs\nM empty\nR docs -> papers/"
    assert (folder / "empty").is_symlink()
    assert (folder / "docs").read_bytes() == b"a file now"
    assert (folder / "papers" / "old" / "c.txt").read_bytes() == b"sea"


def test_nothing_is_changed_if_something_cannot_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(host_tree(str(folder)))
    with Overlay(folder) as overlay:
        change_everything(overlay.root)
        changes, count = overlay.changes(), 0

        def full(_fd: int) -> None:
            nonlocal count
            count += 1
            if count == 3:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(OSError, match="No space left"):
                overlay.apply()
        assert dict(host_tree(str(folder))) == before
        assert overlay.changes() == changes
        overlay.apply()
        assert overlay.changes() == ()


def test_a_file_that_another_process_changed_is_not_overwritten(folder: Path) -> None:
    with Overlay(folder) as overlay:
        write(overlay.root, "a.txt", b"the guest's")
        write(overlay.root, "docs/b.txt", b"the guest's too")
        (folder / "a.txt").write_text("a person's")
        with pytest.raises(OverlayError, match=r"changed meanwhile by another process: a\.txt;"):
            overlay.apply()
        assert (folder / "docs" / "b.txt").read_text() == "bee\n"
        overlay.apply(overwrite=True)
    assert (folder / "a.txt").read_text() == "the guest's"


def test_open_files_keep_from_applying(folder: Path) -> None:
    with Overlay(folder) as overlay:
        node = node_at(overlay.root, "a.txt", follow=False)
        assert isinstance(node, nodes.File)
        opened = node.open(writing=True)
        opened.write(0, b"ONE")
        for call in (overlay.apply, overlay.drop):
            with pytest.raises(OverlayError, match="guests have 1 files open"):
                call()
        opened.close()
        overlay.drop()
        assert overlay.read_bytes("a.txt") == b"one\ntwo\n"


def test_a_link_in_the_way_of_apply_is_not_followed(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "old").mkdir(parents=True)
    with Overlay(folder) as overlay:
        write(overlay.root, "docs/old/c.txt", b"changed")
        shutil.rmtree(folder / "docs")
        (folder / "docs").symlink_to(outside)
        with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
            overlay.apply(overwrite=True)
    assert list(outside.rglob("*")) == [outside / "old"]
    assert not list(folder.glob(".wasihost*"))


LOST: dict[str, tuple[Callable[[nodes.Directory], object], str]] = {
    "removed": (lambda root: operations.unlink(root, "a.txt"), "a.txt"),
    "created": (lambda root: write(root, "new.txt", b"guest"), "new.txt"),
    "moved onto": (lambda root: operations.rename(root, "a.txt", root, "new.txt"), "new.txt"),
    "moved": (lambda root: operations.rename(root, "a.txt", root, "new.txt"), "a.txt"),
    "a directory made": (lambda root: operations.mkdir(root, "new.txt"), "new.txt"),
    "a directory moved": (lambda root: operations.rename(root, "docs", root, "old"), "old"),
}


@pytest.mark.parametrize("upper", [None, "kept"])
@pytest.mark.parametrize("what", LOST)
def test_apply_loses_nothing_that_another_process_wrote_meanwhile(
    folder: Path, tmp_path: Path, what: str, upper: str | None
) -> None:
    """Also where the guest removed, created or moved the file, so the overlay has no copy of what was there."""
    change, path = LOST[what]
    kept = None if upper is None else tmp_path / upper
    overlay = Overlay(folder, kept)
    change(overlay.root)
    time.sleep(0.02)  # what the system takes for the time of a file may be a hundredth of a second late
    if upper is not None:
        overlay.close()
        overlay = Overlay(folder, kept)
    (folder / path).write_text("precious")
    before = dict(host_tree(str(folder)))
    with overlay:
        with pytest.raises(OverlayError, match=f"changed meanwhile by another process: {path}"):
            overlay.apply()
        assert dict(host_tree(str(folder))) == before
        overlay.apply(overwrite=True)
        assert overlay.changes() == ()


def test_apply_leaves_no_file_behind_in_a_directory_that_a_guest_removed(folder: Path) -> None:
    with Overlay(folder) as overlay:
        operations.unlink(overlay.root, "docs/old/c.txt")
        operations.rmdir(overlay.root, "docs/old")
        time.sleep(0.02)
        (folder / "docs" / "old" / "mine").write_text("precious")
        with pytest.raises(OverlayError, match="docs/old/mine"):
            overlay.apply()
        assert (folder / "docs" / "old" / "mine").read_text() == "precious"


def test_a_file_that_was_moved_and_dated_is_applied(folder: Path) -> None:
    with Overlay(folder) as overlay:
        operations.rename(overlay.root, "a.txt", overlay.root, "b.txt")
        node_at(overlay.root, "b.txt", follow=False).set_times(1, 2)
        overlay.apply()
        assert overlay.changes() == ()
    assert ((folder / "b.txt").stat().st_mtime_ns, (folder / "a.txt").exists()) == (2, False)


def test_what_failed_to_be_applied_can_be_applied_later(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first attempt links the file that was moved, which is not a change by another process."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Overlay(folder) as overlay:
        operations.rename(overlay.root, "a.txt", overlay.root, "b.txt")
        time.sleep(0.02)
        with monkeypatch.context() as failing:
            failing.setattr("wasihost.overlays.folder_target.FolderTarget.place", full)
            with pytest.raises(OSError, match="No space left"):
                overlay.apply()
        assert overlay.apply().renamed
    assert (folder / "b.txt").read_text() == "one\ntwo\n"
