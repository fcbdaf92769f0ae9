"""Overlays that are kept in a folder: closed and opened again, after a crash, damaged, and used twice."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import wasihost
from tests.conformance.backends import host_tree
from tests.overlays.changing import CHANGED, change_everything, write
from tests.support.guests import build_c
from wasihost import ConfigError, Overlay
from wasihost.overlays import copying
from wasihost.vfs import nodes, operations
from wasihost.vfs.interruption import interrupted_by
from wasihost.vfs.resolve import node_at


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Where changes are kept; it does not exist yet."""
    return tmp_path / "kept"


def test_changes_are_there_again(folder: Path, kept: Path) -> None:
    before = dict(host_tree(str(folder)))
    tool = build_c("tool")
    with Overlay(folder, kept) as overlay:
        assert wasihost.run(tool, args=["files", "/a.txt"], fs=overlay).returncode == 0
        operations.rename(overlay.root, "docs", overlay.root, "papers")
        operations.unlink(overlay.root, "picture")
        operations.symlink("papers/b.txt", overlay.root, "shortcut")
        changes, inode = overlay.changes(), node_at(overlay.root, "a.txt", follow=False).inode
    assert dict(host_tree(str(folder))) == before
    with Overlay(folder, kept) as overlay:
        assert overlay.changes() == changes
        assert overlay.read_bytes("shortcut") == b"bee\n"
        node = node_at(overlay.root, "a.txt", follow=False)
        assert (node.inode, node.stat().device) == (inode, folder.stat().st_dev)
        done = wasihost.run(tool, args=["show", "/a.txt"], fs=overlay, capture_output=True)
        assert done.stdout == b"written"
        assert overlay.apply() == changes
    with Overlay(folder, kept) as overlay:
        assert overlay.changes() == ()
    assert (folder / "papers" / "b.txt").read_text() == "bee\n"
    assert os.listdir(kept / "files") == []


def test_no_name_of_a_guest_becomes_one_of_the_host(folder: Path, kept: Path) -> None:
    with Overlay(folder, kept) as overlay:
        change_everything(overlay.root)
        operations.symlink("../../outside", overlay.root, "journal")
        write(overlay.root, ".wh.a.txt", b"not a whiteout")
        assert str(overlay.changes()) == f"A .wh.a.txt\n{CHANGED}".replace("M link/", "A journal\nM link/")
    assert sorted(path.name for path in kept.iterdir()) == ["files", "journal", "lock"]
    assert all(path.name.isdigit() and path.is_file() and not path.is_symlink() for path in (kept / "files").iterdir())


CRASH = """\
import os, sys
from wasihost import Overlay
from wasihost.vfs import operations
overlay = Overlay(sys.argv[1], sys.argv[2])
for number in range(20):
    node = operations.open_node(overlay.root, f"f{number}", follow=True, create=True, writing=True)
    node.open(writing=True).write(0, b"%d" % number)
operations.unlink(overlay.root, "f0")
os.kill(os.getpid(), 9)
"""


def test_a_process_that_is_killed_loses_no_call(folder: Path, kept: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CRASH, folder, kept], check=False)
    assert done.returncode == -9
    with (kept / "journal").open("ab") as journal:
        journal.write(b'[["name",1,"torn",')
    with Overlay(folder, kept) as overlay:
        assert overlay.changes().created == tuple(sorted(f"f{number}" for number in range(1, 20)))
        assert overlay.read_bytes("f7") == b"7"
        assert len(os.listdir(kept / "files")) == 19, "of a file without a name nothing is left"


def test_what_cannot_be_used(folder: Path, kept: Path, tmp_path: Path) -> None:
    with Overlay(folder, kept), pytest.raises(ConfigError, match="another Overlay uses it"):
        Overlay(folder, kept)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis").touch()
    with pytest.raises(ConfigError, match="something else lies in it"):
        Overlay(folder, tmp_path / "mine")
    for upper in (folder / "inside", tmp_path):
        with pytest.raises(ConfigError, match="lie in each other"):
            Overlay(folder, upper)
    with pytest.raises(ConfigError, match="Not a directory"):
        Overlay(folder, tmp_path / "mine" / "thesis")
    with pytest.raises(ConfigError, match="give its path"):
        Overlay(folder, 3)  # type: ignore[arg-type]  # as a caller may who has no type checker


@pytest.mark.parametrize(
    ("journal", "message"),
    [
        ("not json\n", "its first line is not one of an overlay"),
        ('{"wasihost-overlay": 9}\n', "its version is 9, and this wasihost reads 1"),
        ('{"wasihost-overlay": 1}\n{}\nnonsense\n', "line 3 cannot be read"),
        ('{"wasihost-overlay": 1}\n[["name",1,"../out",null]]\n', "line 2 cannot be read"),
        ('{"wasihost-overlay": 1}\n[["node",2,"file","../../out",null,0,[false,null]]]\n', "line 2 cannot be read"),
        ('{"wasihost-overlay": 1}\n[["name",1,"f",2]]\n', "nothing says what the node 2 is"),
        ('{"wasihost-overlay": 1}\n[["node",2,"file",null,null,1,[true,null]],["name",1,"f",2]]\n', "is missing"),
        ('{"wasihost-overlay": 1}\n[["node",2,"directory",null,null,2,null],["name",1,"d",2],["name",2,"d",2]]\n',
         "is in two places"),
    ],
)  # fmt: skip
def test_a_damaged_journal_is_an_error(folder: Path, kept: Path, journal: str, message: str) -> None:
    kept.mkdir()
    (kept / "journal").write_text(journal)
    with pytest.raises(ConfigError, match=message) as raised:
        Overlay(folder, kept)
    assert "\n" not in str(raised.value)


def test_random_damage(folder: Path, kept: Path, tmp_path: Path) -> None:
    with Overlay(folder, kept) as overlay:
        change_everything(overlay.root)
    text, choose = (kept / "journal").read_bytes(), random.Random(1)
    refused = 0
    for _ in range(50):
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        shutil.copytree(kept, tmp_path / "copy")
        damaged = bytearray(text)
        for _ in range(choose.randrange(1, 4)):
            at = choose.randrange(30, len(damaged))
            damaged[at : at + choose.randrange(3)] = choose.choice([b"", b"9", b"null", b'"', b"[", b"-1", b"2"])
        (tmp_path / "copy" / "journal").write_bytes(damaged)
        try:
            with Overlay(folder, tmp_path / "copy") as overlay:
                overlay.changes()
        except ConfigError:
            refused += 1
    assert 15 < refused < 50


def test_below_something_is_gone(folder: Path, kept: Path) -> None:
    with Overlay(folder, kept) as overlay:
        operations.rename(overlay.root, "a.txt", overlay.root, "moved")
        write(overlay.root, "docs/b.txt", b"the guest's")
        write(overlay.root, "docs/old/new", b"new")
    shutil.rmtree(folder / "docs")
    (folder / "a.txt").unlink()
    with Overlay(folder, kept) as overlay:
        assert overlay.changes().created == ("docs", "docs/b.txt", "docs/old", "docs/old/new")
        assert overlay.read_bytes("docs/b.txt") == b"the guest's"


def test_a_full_disk_damages_no_journal(folder: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Overlay(folder, kept) as overlay:
        real = os.write
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda fd, data: real(fd, data[: len(data) // 2]))
            with pytest.raises(OSError, match="No space left") as raised:
                operations.mkdir(overlay.root, "made")
            assert raised.value.errno == errno.ENOSPC
        operations.mkdir(overlay.root, "later")
        changes = overlay.changes()
    for line in (kept / "journal").read_text().splitlines():
        json.loads(line)
    with Overlay(folder, kept) as overlay:
        assert overlay.changes() == changes
        assert changes.created == ("later", "made")


def test_a_long_copy_ends_with_its_guest(folder: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "large").write_bytes(bytes(1 << 20))
    monkeypatch.setattr(copying, "_KERNEL_PIECE", 1 << 10)
    monkeypatch.setattr(copying, "_clone", lambda _fd, _source: False)
    checks = 0

    def check() -> None:
        nonlocal checks
        checks += 1
        if checks > 100:
            raise TimeoutError

    with Overlay(folder, kept) as overlay:
        node = node_at(overlay.root, "large", follow=False)
        assert isinstance(node, nodes.File)
        assert not node.writes_at_once()
        with interrupted_by(check), pytest.raises(TimeoutError):
            node.write(0, b"x")
        assert overlay._state.bytes == 0
        assert os.listdir(kept / "files") == []
        assert node.write(5, b"x") == 1
        assert node.writes_at_once()
        assert overlay.read_bytes("large") == bytes(5) + b"x" + bytes((1 << 20) - 6)


def test_a_journal_does_not_grow_with_changes_that_replace_each_other(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guest that renames a file to and fro would otherwise fill the disk of the host."""
    monkeypatch.setattr("wasihost.overlays.folder.COMPACT", 4096)
    kept = tmp_path / "kept"
    with Overlay(folder, kept) as overlay:
        operations.mkdir(overlay.root, "made")
        operations.unlink(overlay.root, "docs/b.txt")
        for _ in range(50):
            operations.rename(overlay.root, "a.txt", overlay.root, "b.txt")
            operations.rename(overlay.root, "b.txt", overlay.root, "a.txt")
        operations.rename(overlay.root, "a.txt", overlay.root, "b.txt")
        assert (kept / "journal").stat().st_size < 16_384
        before = overlay.changes()
    with Overlay(folder, kept) as overlay:
        assert overlay.changes() == before
