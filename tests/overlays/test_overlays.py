"""What users do with an overlay: run a guest on it, look at the changes, apply them or forget them."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import wasihost
from tests.conformance.backends import host_tree
from tests.overlays.changing import CHANGED, change_everything, write
from tests.support.guests import build_c
from wasihost import ConfigError, MemoryFS, Overlay, OverlayError
from wasihost.common.cache_folder import SEALED
from wasihost.overlays import contents
from wasihost.vfs import nodes, operations
from wasihost.vfs.resolve import node_at

NOBODY = 65534


def test_a_guest_changes_nothing_below(folder: Path) -> None:
    before = dict(host_tree(str(folder)))
    overlay = Overlay(folder)
    run = wasihost.run(build_c("tool"), args=["files", "/data/a.txt"], dirs={"/data": overlay})
    assert run.returncode == 0
    again = wasihost.run(build_c("tool"), args=["show", "/data/a.txt"], dirs={"/data": overlay}, capture_output=True)
    assert again.stdout == overlay.read_bytes("/a.txt") == b"written"
    assert dict(host_tree(str(folder))) == before
    assert overlay.changes().changed == ("a.txt",)
    assert overlay.apply().changed == ("a.txt",)
    assert (folder / "a.txt").read_bytes() == b"written"
    assert overlay.changes() == ()
    overlay.close()


def test_changes_are_listed(folder: Path) -> None:
    with Overlay(folder) as overlay:
        change_everything(overlay.root)
        changes = overlay.changes()
        assert str(changes) == CHANGED
        assert changes.created == ("link/inner", "made", "new.txt")
        assert changes.changed == ("a.txt", "link", "papers/b.txt", "picture")
        assert changes.removed == ("docs/old/c.txt",)
        assert changes.renamed == (("docs", "papers"),)
        node_at(overlay.root, "papers/old", follow=False).set_times(None, 5)
        assert overlay.changes() == changes, "the times of directories are no changes"
        node_at(overlay.root, "picture", follow=False).set_times(None, 5)
        overlay.drop()
        assert overlay.changes() == ()
        assert sorted(name for name, _ in overlay.root.entries()) == ["a.txt", "docs", "link", "picture"]


def test_only_times(folder: Path) -> None:
    with Overlay(folder) as overlay:
        node_at(overlay.root, "a.txt", follow=False).set_times(1_000_000_000, 2_000_000_000)
        assert overlay.changes().touched == ("a.txt",)
        assert overlay.diff() == ""
        overlay.apply()
        assert (folder / "a.txt").stat().st_mtime_ns == 2_000_000_000


def test_the_diff_is_one_that_git_reads(folder: Path, tmp_path: Path) -> None:
    with Overlay(folder) as overlay:
        change_everything(overlay.root)
        text = overlay.diff()
        assert "\n-two\n+2\n+three\n\\ No newline at end of file\n" in text
        assert "Binary files a/picture and b/picture differ\n" in text
        assert "rename from docs/b.txt\nrename to papers/b.txt\n" in text
        overlay.apply(shutil.copytree(folder, tmp_path / "applied", symlinks=True))
        patched = shutil.copytree(folder, tmp_path / "patched", symlinks=True)
        binary = "diff --git a/picture b/picture\nBinary files a/picture and b/picture differ\n"
        git = shutil.which("git")
        assert git, "the tests need git"
        subprocess.run([git, "apply", "-"], cwd=patched, input=text.replace(binary, ""), text=True, check=True)
        left = dict(host_tree(str(tmp_path / "applied")))
        assert {path: node for path, node in left.items() if path not in ("made", "papers/old", "picture")} == {
            path: node for path, node in host_tree(str(patched)) if path != "picture"
        }


def test_a_diff_of_lines_that_are_hard_to_match_ends_soon(folder: Path, tmp_path: Path) -> None:
    choose = random.Random(1)
    texts = ["".join(f"line {choose.randrange(110)} x\n" for _ in range(30_000)) for _ in range(2)]
    old, new = (f"1\n2\n3\n4\n{text}5\n6\n7\n8\n" for text in texts)
    (folder / "hard").write_text(old)
    with Overlay(folder) as overlay:
        write(overlay.root, "hard", new.encode())
        text = overlay.diff()
    assert text.startswith(
        "diff --git a/hard b/hard\n--- a/hard\n+++ b/hard\n@@ -2,30006 +2,30006 @@\n 2\n 3\n 4\n-line"
    )
    git = shutil.which("git")
    assert git, "the tests need git"
    (tmp_path / "hard").write_text(old)
    subprocess.run([git, "apply", "-"], cwd=tmp_path, input=text, text=True, check=True)
    assert (tmp_path / "hard").read_text() == new


def test_names_that_a_guest_chose_cannot_forge_a_diff(folder: Path) -> None:
    with Overlay(folder) as overlay:
        operations.mkdir(overlay.root, "x\n--- a")
        write(overlay.root, "x\n--- a/forged\x1b[2J", b"")
        assert overlay.diff() == (
            'directory created: "x\\n--- a"\n'
            'diff --git "a/x\\n--- a/forged\\033[2J" "b/x\\n--- a/forged\\033[2J"\nnew file mode 100644\n'
        )


def test_permissions_stay_but_for_those_that_vouch_for_the_content(folder: Path) -> None:
    for name, mode in (("a.txt", 0o750), ("setuid", 0o4755), ("module", SEALED)):
        (folder / name).touch()
        (folder / name).chmod(mode)
    with Overlay(folder) as overlay:
        for name in ("a.txt", "setuid", "module", "new"):
            write(overlay.root, name, b"the guest's")
        overlay.apply()
    umask = os.umask(0)
    os.umask(umask)
    modes = {name: (folder / name).stat().st_mode & 0o7777 for name in ("a.txt", "setuid", "module", "new")}
    usual = 0o666 & ~umask
    assert modes == {"a.txt": 0o750, "setuid": 0o755, "module": usual, "new": usual}


def test_permissions_below_hold_above(folder: Path) -> None:
    (folder / "a.txt").chmod(0o444)
    (folder / "docs").chmod(0o555)
    with contextlib.ExitStack() as stack:
        overlay = stack.enter_context(Overlay(folder))
        root = overlay.root
        if os.geteuid() == 0:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
            os.seteuid(NOBODY)
            stack.callback(os.seteuid, 0)
        calls: list[Callable[[], None]] = [
            lambda: write(root, "a.txt", b"x"),
            lambda: write(root, "docs/new", b"x"),
            lambda: operations.mkdir(root, "docs/made"),
            lambda: operations.unlink(root, "docs/b.txt"),
            lambda: operations.rename(root, "docs/b.txt", root, "b.txt"),
            lambda: operations.rename(root, "picture", root, "docs/b.txt"),
            lambda: node_at(root, "a.txt", follow=False).set_times(1, 1),
        ]
        for call in calls:
            with pytest.raises(PermissionError):
                call()
        assert overlay.changes() == ()
        write(root, "docs/b.txt", b"allowed")
        operations.unlink(root, "a.txt")
        assert str(overlay.changes()) == "D a.txt\nM docs/b.txt"
        assert overlay._state.entries == 2
    (folder / "docs").chmod(0o755)


def test_links_of_the_folder_lead_nowhere(folder: Path) -> None:
    (folder / "out").symlink_to("../..")
    (folder / "rooted").symlink_to("/etc")
    with Overlay(folder) as overlay:
        for path in ("out/base", "rooted/passwd", "docs/../..", "../base"):
            with pytest.raises(PermissionError):
                node_at(overlay.root, path, follow=True)


def test_few_directories_are_open_at_once(folder: Path) -> None:
    for number in range(200):
        (folder / f"d{number}" / "e").mkdir(parents=True)
        (folder / f"d{number}" / "e" / "f").write_text(str(number))
    gc.collect()
    before = len(os.listdir("/dev/fd"))
    with Overlay(folder) as overlay:
        for number in range(200):
            assert overlay.read_bytes(f"d{number}/e/f") == str(number).encode()
            write(overlay.root, f"d{number}/e/f", b"changed")
        assert len(os.listdir("/dev/fd")) - before < 80
        (folder / "d0" / "e").rename(folder / "d0" / "moved")
        (folder / "d0" / "e").mkdir()
        with pytest.raises(FileNotFoundError):
            overlay.read_bytes("d0/e/none")
        assert overlay.read_bytes("d0/e/f") == b"changed"
    assert len(os.listdir("/dev/fd")) <= before


def test_large_files_are_copied_page_by_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = os.urandom(3 << 20)
    for name in ("large", "larger"):
        (folder / name).write_bytes(content)
    monkeypatch.setattr(contents, "MOST_BASES", 1)
    with Overlay(folder, max_bytes=4 << 20) as overlay:
        node = node_at(overlay.root, "large", follow=False)
        assert isinstance(node, nodes.File)
        opened = node.open(writing=True)
        assert opened.write(1_000_000, b"x" * 100) == 100
        assert overlay._state.bytes == 1 << 16
        changed = bytearray(content)
        changed[1_000_000:1_000_100] = b"x" * 100
        assert overlay.read_bytes("large") == changed
        opened.truncate(1_000_050)
        opened.truncate(2 << 20)
        changed[1_000_050:] = bytes((2 << 20) - 1_000_050)
        assert overlay.read_bytes("large") == changed
        assert opened.write(6 << 20, b"y" * 5) == 5, "a hole beyond the old size is charged"
        assert overlay._state.bytes == (1 << 16) + (3 << 20) + 5
        with pytest.raises(OSError, match="No space left"):
            opened.write(8 << 20, b"z")
        other = node_at(overlay.root, "larger", follow=False)
        assert isinstance(other, nodes.File)
        with pytest.raises(OSError, match="No space left"):  # beyond `MOST_BASES` it would be copied as a whole
            other.write(0, b"z")
        opened.close()
        operations.unlink(overlay.root, "large")
        assert overlay._state.bytes == 0
        assert other.write(0, b"z") == 1
        overlay.apply()
    assert (folder / "larger").read_bytes() == b"z" + content[1:]
    assert not (folder / "large").exists()


def test_limits_have_the_names_of_their_arguments(folder: Path) -> None:
    tool = build_c("tool")
    for path, limit, overlay in (
        ("a.txt", "max_bytes", Overlay(folder, max_bytes=3)),
        ("n.txt", "max_file_size", Overlay(folder, max_file_size=3)),
        ("docs/n.txt", "max_entries", Overlay(folder, max_entries=1)),
    ):
        with overlay:
            done = wasihost.run(tool, args=["files", path], fs=overlay, capture_output=True)
            assert (done.returncode, done.stats.limits) == (9, (limit,))


def test_over_anything_that_can_be_mounted(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("d/f", "packed")
    kept = MemoryFS({"d/f": b"packed"})
    for lower in (zipfile.Path(tmp_path / "z.zip"), kept, {"d/f": b"packed"}):
        overlay = Overlay(lower)
        write(overlay.root, "d/f", b"changed")
        write(overlay.root, "d/g", b"new")
        assert str(overlay.changes()) == "M d/f\nA d/g"
        if lower is kept:
            continue
        with pytest.raises(OverlayError, match="cannot be changed: give apply"):
            overlay.apply()
        to = MemoryFS()
        overlay.apply(to)
        assert dict(to) == {"d/f": b"changed", "d/g": b"new"}
    assert dict(kept) == {"d/f": b"packed"}
    over = Overlay(Overlay(kept))
    write(over.root, "top", b"on both")
    over.apply()
    assert dict(kept) == {"d/f": b"packed"}
    assert over.changes() == ()
    assert over.read_bytes("top") == b"on both"


def test_what_cannot_be_laid_under(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"an Overlay cannot be over .*none': No such file"):
        Overlay(tmp_path / "none")
    with pytest.raises(ConfigError, match="an Overlay cannot be over int: give a folder"):
        Overlay(3)  # type: ignore[arg-type]  # as a caller may who has no type checker
    with pytest.raises(ConfigError, match="an Overlay cannot be over '/proc': it is on procfs"):
        Overlay("/proc")


def test_hard_links_below_stay_one_file(folder: Path) -> None:
    os.link(folder / "a.txt", folder / "docs" / "same")
    with Overlay(folder) as overlay:
        node = node_at(overlay.root, "docs/same", follow=False)
        assert node is node_at(overlay.root, "a.txt", follow=False)
        assert node.stat().links == 2
        write(overlay.root, "docs/same", b"both")
        assert overlay.read_bytes("a.txt") == b"both"
        assert overlay.changes().changed == ("a.txt", "docs/same")
        operations.unlink(overlay.root, "docs/same")
        assert node.stat().links == 1
        overlay.apply()
    assert (folder / "a.txt").read_bytes() == b"both"
    assert not (folder / "docs" / "same").exists()


def test_inode_numbers_stay(folder: Path) -> None:
    with Overlay(folder) as overlay:
        before = {name: node.inode for name, node in overlay.root.entries()}
        assert before == {path.name: path.lstat().st_ino for path in folder.iterdir()}
        write(overlay.root, "a.txt", b"changed")
        operations.rename(overlay.root, "docs", overlay.root, "papers")
        write(overlay.root, "new", b"")
        after = {name: node.inode for name, node in overlay.root.entries()}
        assert after.pop("papers") == before.pop("docs")
        assert after.pop("new") >= 1 << 62
        assert after == before
        assert node_at(overlay.root, "a.txt", follow=False).stat().device == folder.stat().st_dev


def test_a_fifo_can_be_moved_but_not_opened(folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    with Overlay(folder) as overlay:
        with pytest.raises(OSError, match="not supported"):
            operations.open_node(overlay.root, "fifo", follow=True)
        operations.rename(overlay.root, "fifo", overlay.root, "moved")
        assert str(overlay.changes()) == "R fifo -> moved"
        overlay.apply()
    assert (folder / "moved").is_fifo()
    assert not (folder / "fifo").exists()


@pytest.mark.parametrize(
    "use", [Overlay.changes, Overlay.diff, Overlay.apply, Overlay.drop, lambda overlay: overlay.read_bytes("a.txt")]
)
def test_a_closed_overlay_is_reported_as_that(folder: Path, use: Callable[[Overlay], object]) -> None:
    with Overlay(folder) as overlay:
        write(overlay.root, "a.txt", b"changed")
    with pytest.raises(OverlayError, match="the overlay is closed"):
        use(overlay)
