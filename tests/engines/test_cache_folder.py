"""The folder of compiled modules: nothing of anybody else's is removed, made or trusted there."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.engine import wat
from tests.support.terminals import terminal
from wasihost.common import cache_folder
from wasihost.engines.wasmtime import cache, module

LONG_AGO = time.time() - 90 * 86400
KEY = "0123456789abcdef" * 4
USERS = [
    "Makefile", "Dockerfile", "profile", "notes.tmp", "mine.cwasm", "a-b-c.file", "CACHEDIR.TAG.tmp",
    f"{KEY}.cwasm.bak", f"x{KEY}.cwasm", f"{KEY.upper()}.cwasm", f"{KEY}.cwasm.1.tmp",
    f"{KEY}.lock.old", f"{KEY}.cwasm\n",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "cache"
    monkeypatch.setenv("WASIHOST_CACHE_DIR", str(place))
    module.clear_memory()
    return place


def use(*names: str) -> None:
    for name in names:
        module.clear_memory()
        module.load(wat(name))


def age(path: Path) -> None:
    os.utime(path, (LONG_AGO, LONG_AGO), follow_symlinks=False)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("linked", [False, True])
def test_files_of_the_user_stay(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, linked: bool
) -> None:
    if linked:
        (tmp_path / "real").mkdir(0o700)
        folder.symlink_to(tmp_path / "real")
    else:
        folder.mkdir(0o700)
    if when == "after":
        use("empty")
    for name in USERS:
        (folder / name).write_text(name)
        age(folder / name)
    monkeypatch.setattr(cache, "LIMIT", 100_000)
    use("grow", "trap", "grow")
    cache.clear()
    assert {name: (folder / name).read_text() for name in USERS} == {name: name for name in USERS}


def test_a_folder_of_somebody_is_left_as_it_is(folder: Path) -> None:
    """A tag would keep backup programs from it, so there is a folder inside."""
    folder.mkdir(0o700)
    (folder / "thesis.txt").write_text("")
    use("empty")
    assert sorted(path.name for path in folder.iterdir()) == ["thesis.txt", "wasihost"]
    assert list((folder / "wasihost").glob("*.cwasm"))
    before = sorted((folder / "wasihost").iterdir())
    use("empty")
    assert sorted((folder / "wasihost").iterdir()) == before
    assert cache.clear()[0] == 1


def test_the_cache_of_another_program_is_not_ours(folder: Path) -> None:
    folder.mkdir(0o700)
    tag = b"Signature: 8a477f597d28d172789f06886806bc55\n# of another program"
    (folder / "CACHEDIR.TAG").write_bytes(tag)
    use("empty")
    assert (folder / "CACHEDIR.TAG").read_bytes() == tag
    assert (folder / "wasihost" / "CACHEDIR.TAG").read_bytes() == cache_folder.CONTENT


def test_a_cache_folder_without_a_tag_is_still_used(folder: Path) -> None:
    use("empty")
    (folder / "CACHEDIR.TAG").unlink()
    use("exit")
    assert len(list(folder.glob("*.cwasm"))) == 2
    assert cache.clear()[0] == 2


def test_without_a_tag_nothing_is_removed(folder: Path) -> None:
    use("empty")
    (folder / "CACHEDIR.TAG").write_bytes(b"x" * len(cache_folder.CONTENT))
    assert cache.clear() == (0, 0)
    assert list(folder.glob("*.cwasm"))


def test_odd_things_do_not_stop_the_trimming(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use("empty")
    (old,) = folder.glob("*.cwasm")
    age(old)
    kept = tmp_path / "kept"
    kept.write_text("kept")
    (folder / "x.tmp").mkdir()
    (folder / f"{KEY}.cwasm").mkdir()
    (folder / f"{KEY[::-1]}.cwasm").symlink_to(kept)
    (folder / f"{KEY}.cwasm.1.{1:012x}.tmp").symlink_to("nowhere")
    for path in folder.iterdir():
        age(path)
    monkeypatch.setattr(cache, "LIMIT", old.stat().st_size + 1000)
    use("exit")
    assert not old.exists()
    assert kept.read_text() == "kept"
    assert (folder / f"{KEY[::-1]}.cwasm").is_symlink()
    assert (folder / f"{KEY}.cwasm").is_dir()


def test_an_entry_that_is_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    use("empty")
    (entry,) = folder.glob("*.cwasm")
    elsewhere = entry.rename(tmp_path / "elsewhere")
    entry.symlink_to(elsewhere)
    use("empty")
    assert elsewhere.exists()
    assert not entry.is_symlink()


def test_files_that_a_guest_can_make_are_not_cache_entries(folder: Path, tmp_path: Path) -> None:
    """No call of WASI's makes an executable file, and a renamed or linked entry says another key."""
    use("empty", "exit")
    one, two = folder.glob("*.cwasm")
    content = {path: path.read_bytes() for path in (one, two)}
    for forge in ("written", "renamed", "linked", "also linked"):
        if forge == "written":
            one.unlink()
            one.write_bytes(content[one])
        elif forge == "renamed":
            two.replace(one)
        elif forge == "linked":
            one.unlink()
            os.link(two, one)
        else:
            os.link(one, tmp_path / "second name")
        use("empty", "exit")
        assert one.stat().st_nlink == 1
        assert one.stat().st_mode & 0o7777 == cache_folder.SEALED
        assert {path: path.read_bytes() for path in (one, two)} == content


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to have another user's home")
def test_root_leaves_nothing_in_a_home_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WASIHOST_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    os.chown(tmp_path, 12345, 12345)
    use("empty")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("WASIHOST_CACHE_DIR", str(tmp_path / "a" / "b"))
    use("empty")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("typed", "left"), [(b"n\n", 1), (b"y\n", 0), (b"\n", 1)])
def test_clearing_asks_at_a_terminal(folder: Path, typed: bytes, left: int) -> None:
    use("empty")
    ours, theirs = terminal()
    try:
        os.write(ours, typed)
        done = subprocess.run([sys.executable, "-m", "wasihost", "cache", "clear"], stdin=theirs, capture_output=True,
                              timeout=60)  # fmt: skip
    finally:
        os.close(ours)
        os.close(theirs)
    assert f"1 compiled module, 0.0 MiB, in {folder}\nRemove them? [y/N]: ".encode() in done.stdout
    assert len(list(folder.glob("*.cwasm"))) == left
    subprocess.run([sys.executable, "-m", "wasihost", "cache", "clear", "--yes"], timeout=60, check=True)
    assert not list(folder.glob("*.cwasm"))
