"""Run by CPython inside a guest: what Python programs do with files, beneath the current directory.

Each function below that takes a folder is a section; it gets an empty one. Prints one line of JSON for each section:
its name, its seconds, and its traceback or null. Arguments: the folder to work in, and how many small files to make.
"""

from __future__ import annotations

import errno
import filecmp
import glob
import json
import os
import shelve
import shutil
import sqlite3
import stat
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path

SMALL_FILES = 100


def fails(expected: int, call: Callable[..., object], *args: object, **kwargs: object) -> None:
    """The call has to raise an OSError of that errno."""
    found: int | None = None
    try:
        call(*args, **kwargs)
    except OSError as error:
        found = error.errno
    assert found == expected, (call, args, found)


def plant(top: Path) -> None:
    """A tree of three levels, with links."""
    for folder in ("", "a", "a/deep", "b"):
        (top / folder).mkdir(exist_ok=True)
        for number in range(3):
            (top / folder / f"f{number}.txt").write_text(f"{folder} {number}\n" * number)
    (top / "b" / "link").symlink_to("../a/f1.txt")
    (top / "b" / "folder").symlink_to("../a")
    (top / "b" / "dangling").symlink_to("nowhere")


def walk(top: Path) -> None:
    plant(top)
    found = {folder: (sorted(folders), sorted(files)) for folder, folders, files in os.walk(top)}
    texts = ["f0.txt", "f1.txt", "f2.txt"]
    assert found == {
        str(top): (["a", "b"], texts),
        str(top / "a"): (["deep"], texts),
        str(top / "a/deep"): ([], texts),
        str(top / "b"): (["folder"], ["dangling", *texts, "link"]),
    }, found
    order = [folder for folder, _, _ in os.walk(top, topdown=False)]
    assert order.index(str(top / "a/deep")) < order.index(str(top / "a")) < order.index(str(top))
    assert sum(1 for _ in os.walk(top, followlinks=True)) == 6
    for entry in os.scandir(top / "b"):
        assert entry.inode() == entry.stat(follow_symlinks=False).st_ino, entry
        assert entry.is_symlink() == os.path.islink(entry)
        assert entry.is_dir(follow_symlinks=False) is False


def copy_and_remove_trees(top: Path) -> None:
    plant(top / "from")
    os.utime(top / "from/a/f2.txt", ns=(1_000_000_001, 2_000_000_002))
    shutil.copytree(top / "from", top / "to", symlinks=True)
    compared = filecmp.dircmp(top / "from", top / "to")
    assert (compared.left_only, compared.right_only, compared.diff_files) == ([], [], [])
    assert os.readlink(top / "to/b/link") == "../a/f1.txt"
    assert os.stat(top / "to/a/f2.txt").st_mtime_ns == 2_000_000_002
    shutil.copytree(top / "from/a", top / "again", dirs_exist_ok=True)
    shutil.copytree(top / "from/a", top / "again", dirs_exist_ok=True)
    shutil.move(top / "again", top / "to/moved")
    assert sorted(os.listdir(top / "to/moved")) == ["deep", "f0.txt", "f1.txt", "f2.txt"]
    assert filecmp.cmp(top / "from/a/deep/f2.txt", top / "to/moved/deep/f2.txt", shallow=False)
    shutil.rmtree(top / "to")
    assert os.listdir(top) == ["from"]


def temporary_files(top: Path) -> None:
    tempfile.tempdir = str(top)
    with tempfile.TemporaryDirectory() as folder:
        assert os.path.dirname(folder) == str(top)
        Path(folder, "x").write_bytes(b"x")
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(b"temporary")
            file.flush()
            assert Path(file.name).read_bytes() == b"temporary"
        assert not os.path.exists(file.name)
    with tempfile.TemporaryFile() as nameless:
        nameless.write(b"without a name")
        nameless.seek(8)
        assert nameless.read() == b"a name"
    with tempfile.SpooledTemporaryFile(max_size=10) as spooled:
        spooled.write(b"more than ten bytes")
        spooled.seek(0)
        assert spooled.read() == b"more than ten bytes"
    assert os.listdir(top) == []


def paths(top: Path) -> None:
    plant(top)
    assert sorted(path.name for path in top.glob("*.txt")) == ["f0.txt", "f1.txt", "f2.txt"]
    assert len(list(top.rglob("f1.txt"))) == 4
    assert len(glob.glob("**/f?.txt", root_dir=top / "a", recursive=True)) == 6
    page = top / "päge ☃.txt"
    page.write_text("ünï", encoding="utf-8")
    assert (page.read_text(encoding="utf-8"), page.stat().st_size) == ("ünï", 5)
    assert page.name in os.listdir(top)
    moved = page.rename(top / "moved")
    moved.replace(top / "f2.txt")
    assert (top / "f2.txt").read_text(encoding="utf-8") == "ünï"
    (top / "new/deep").mkdir(parents=True)
    (top / "touched").touch()
    fails(errno.EEXIST, (top / "touched").touch, exist_ok=False)
    assert [path.exists() for path in (top / "touched", top / "b/dangling", top / "b/link")] == [True, False, True]
    assert (top / "b/link").resolve() == top / "a/f1.txt"
    assert (top / "b/folder/../f0.txt").samefile(top / "f0.txt")
    (top / "touched").unlink()
    (top / "touched").unlink(missing_ok=True)
    (top / "new/deep").rmdir()


def symbolic_links(top: Path) -> None:
    os.chdir(top)
    Path("f").write_bytes(b"12345")
    os.mkdir("d")
    os.symlink("f", "l")
    os.symlink("../l", "d/ll")
    assert (os.readlink("d/ll"), os.path.islink("d/ll")) == ("../l", True)
    assert (os.stat("d/ll").st_size, os.lstat("d/ll").st_size) == (5, 4)
    assert stat.S_ISLNK(os.lstat("l").st_mode)
    with open("d/ll", "ab") as file:
        file.write(b"6")
    assert Path("f").read_bytes() == b"123456"
    os.symlink("loop", "loop")
    fails(errno.ELOOP, os.stat, "loop")
    fails(errno.ELOOP, open, "loop")
    os.symlink("made", "dangling")
    fails(errno.ENOENT, open, "dangling")
    Path("dangling").write_bytes(b"made")
    assert Path("made").read_bytes() == b"made"
    os.symlink("../" * 30, "up")
    fails(errno.EPERM, os.stat, "up")
    fails(errno.EPERM, os.symlink, "/etc", "rooted")
    os.rename("l", "d/l2")
    assert os.readlink("d/l2") == "f"
    os.unlink("d/l2")
    assert os.path.exists("f")
    fails(errno.ENOENT, os.stat, "d/ll")


def hard_links(top: Path) -> None:
    os.chdir(top)
    Path("f").write_bytes(b"one")
    os.mkdir("d")
    os.link("f", "d/g")
    assert (os.stat("f").st_nlink, os.path.samefile("f", "d/g")) == (2, True)
    with open("d/g", "ab") as file:
        file.write(b" and two")
    assert Path("f").read_bytes() == b"one and two"
    os.unlink("f")
    assert (os.stat("d/g").st_nlink, Path("d/g").read_bytes()) == (1, b"one and two")
    fails(errno.EEXIST, os.link, "d/g", "d/g")
    fails(errno.EPERM, os.link, "d", "e")


def times(top: Path) -> None:
    os.chdir(top)
    Path("f").touch()
    assert abs(os.stat("f").st_mtime - time.time()) < 60
    os.utime("f", ns=(1_000_000_001, 987_654_321_123_456_789))
    found = os.stat("f")
    assert (found.st_atime_ns, found.st_mtime_ns) == (1_000_000_001, 987_654_321_123_456_789)
    os.utime("f")
    assert os.stat("f").st_mtime_ns > 1_600_000_000 * 10**9
    os.symlink("f", "l")
    os.utime("l", ns=(5, 6), follow_symlinks=False)
    assert (os.lstat("l").st_mtime_ns, os.stat("l").st_mtime_ns > 6) == (6, True)
    os.utime("l", ns=(7, 8))
    assert (os.stat("f").st_mtime_ns, os.lstat("l").st_mtime_ns) == (8, 6)
    with open("f", "ab") as file:
        file.write(b"x")
    assert os.stat("f").st_mtime_ns > 8
    os.mkdir("d")
    os.utime("d", ns=(1, 2))
    assert os.stat("d").st_mtime_ns == 2
    Path("d/new").touch()
    assert os.stat("d").st_mtime_ns > 2


def positions_and_sizes(top: Path) -> None:
    os.chdir(top)
    with open("f", "w+b") as file:
        file.seek(1_000_000)
        file.write(b"end")
        file.flush()
        assert file.tell() == os.fstat(file.fileno()).st_size == 1_000_003
        file.seek(-4, os.SEEK_END)
        assert file.read() == b"\0end"
        file.truncate(10)
        file.seek(0)
        assert file.read() == bytes(10)
        os.pwrite(file.fileno(), b"mid", 4)
        assert os.pread(file.fileno(), 5, 3) == b"\0mid\0"
        os.fsync(file.fileno())
        os.remove("f")
        os.pwrite(file.fileno(), b"still", 0)
        assert os.pread(file.fileno(), 5, 0) == b"still"
        assert os.fstat(file.fileno()).st_nlink == 0
    with open("log", "a+") as log, open("log", "a") as other:
        for number in range(100):
            print(number, file=log, flush=True)
            print(-number, file=other, flush=True)
        log.seek(0)
        assert len(log.readlines()) == 200
    os.truncate("log", 3)
    assert os.path.getsize("log") == 3
    big = os.urandom(5 << 20)
    Path("big").write_bytes(big)
    assert Path("big").read_bytes() == big


def errors(top: Path) -> None:
    os.chdir(top)
    Path("f").touch()
    os.makedirs("d/e")
    fails(errno.ENOENT, open, "none")
    fails(errno.ENOENT, os.rename, "none", "x")
    fails(errno.ENOTDIR, os.listdir, "f")
    fails(errno.ENOTDIR, open, "f/x")
    fails(errno.EISDIR, open, "d", "w")
    fails(errno.EISDIR, os.unlink, "d")
    fails(errno.EEXIST, os.mkdir, "d")
    fails(errno.EEXIST, open, "f", "x")
    fails(errno.ENOTEMPTY, os.rmdir, "d")
    fails(errno.ENOTDIR, os.rmdir, "f")
    fails(errno.EINVAL, os.rename, "d", "d/e/g")
    fails(errno.EISDIR, os.rename, "f", "d")
    fails(errno.ENOTDIR, os.rename, "d", "f")
    fails(errno.EINVAL, os.readlink, "f")
    fails(errno.ENAMETOOLONG, open, "n" * 256)


def databases(top: Path) -> None:
    os.chdir(top)
    with sqlite3.connect("file.db") as database:
        database.execute("create table t (number integer primary key, text)")
        database.executemany("insert into t (text) values (?)", ((str(number) * 20,) for number in range(2000)))
    with sqlite3.connect("file.db") as database:
        assert database.execute("select count(*), sum(length(text)) from t").fetchone() == (2000, 137_800)
        database.execute("delete from t where number % 2")
        database.rollback()
        assert database.execute("select count(*) from t").fetchone() == (2000,)
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
    database.close()
    assert os.listdir(".") == ["file.db"], os.listdir(".")
    os.remove("file.db")
    with shelve.open("shelf") as shelf:
        shelf["key"] = {"a": [1, 2, 3]}
    with shelve.open("shelf") as shelf:
        assert shelf["key"] == {"a": [1, 2, 3]}


def archives(top: Path) -> None:
    os.chdir(top)
    plant(top / "tree")
    for kind in ("zip", "tar", "gztar"):
        made = shutil.make_archive(f"made-{kind}", kind, "tree/a")
        shutil.unpack_archive(made, f"back-{kind}", filter=None if kind == "zip" else "data")
        assert sorted(os.listdir(f"back-{kind}")) == ["deep", "f0.txt", "f1.txt", "f2.txt"]
    with zipfile.ZipFile("made-zip.zip", "a") as archive:
        archive.writestr("more", b"more" * 1000)
    assert zipfile.Path("made-zip.zip", "more").read_bytes() == b"more" * 1000


def modules(top: Path) -> None:
    (top / "package").mkdir()
    (top / "package/__init__.py").write_text("from .part import VALUE\n")
    (top / "package/part.py").write_text("VALUE = 42\n")
    sys.path.insert(0, str(top))
    try:
        import package  # type: ignore[import-not-found]  # made just now

        assert package.VALUE == 42
        assert os.listdir(top / "package/__pycache__")
    finally:
        sys.path.remove(str(top))


def small_files(top: Path) -> None:
    """Made, listed, looked at, read, renamed and removed, in folders of 100."""
    os.chdir(top)
    for number in range(SMALL_FILES):
        if number % 100 == 0:
            os.makedirs(f"{number // 100:03}")
        with open(f"{number // 100:03}/{number}", "wb", buffering=0) as file:
            file.write(b"content %d" % number)
    assert len(os.listdir(".")) == -(-SMALL_FILES // 100)
    found = [os.path.join(folder, name) for folder, _, names in os.walk(".") for name in names]
    assert len(found) == SMALL_FILES
    assert sum(os.stat(path).st_size for path in found) == sum(8 + len(str(n)) for n in range(SMALL_FILES))
    for path in found:
        with open(path, "rb", buffering=0) as file:
            assert file.read() == b"content " + os.path.basename(path).encode()
        os.rename(path, path + ".done")
        os.remove(path + ".done")
    for folder in os.listdir("."):
        os.rmdir(folder)


SECTIONS = [walk, copy_and_remove_trees, temporary_files, paths, symbolic_links, hard_links, times,
            positions_and_sizes, errors, databases, archives, modules, small_files]  # fmt: skip


def main() -> None:
    global SMALL_FILES
    base, SMALL_FILES = Path(sys.argv[1]), int(sys.argv[2])
    for section in SECTIONS:
        top = base / section.__name__
        top.mkdir()
        wrong, begun = None, time.perf_counter()
        try:
            section(top)
        except BaseException:
            wrong = traceback.format_exc()
        print(json.dumps([section.__name__, round(time.perf_counter() - begun, 3), wrong]), flush=True)
        os.chdir(base)


if __name__ == "__main__":
    main()
