"""The calls about paths that C does with the GIL: what the random scripts of `plain_scripts` do not look at."""

from __future__ import annotations

import os
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from wasihost import FSConfig, ModuleConfig, State, hook, run
from wasihost.descriptors.host_file import SharedFile
from wasihost.descriptors.reserve import reserve
from wasihost.native import extension, why
from wasihost.sandbox import resolve

pytestmark = pytest.mark.skipif(extension is None, reason=f"there are no quick calls without the extension: {why}")
READ, WRITE = 1 << 1, 1 << 6
CREAT, TRUNC = 1, 8


class Guest:
    """A State over a folder with a file in a folder."""

    def __init__(self, folder: Path, *, read_only: bool = False, **limits: Any) -> None:
        (folder / "d").mkdir(exist_ok=True)
        (folder / "d" / "x").write_bytes(b"text")
        self.memory = bytearray(0x1000)
        fs = FSConfig()
        mount = fs.with_read_only_dir_mount if read_only else fs.with_dir_mount
        config = ModuleConfig().with_fs(mount("/", str(folder)))
        self.state = State(lambda: self.memory, config.with_limits(**limits))
        self.table = self.state.handlers.table
        self.state.path_filestat_get(3, 1, *self.path("d/x"), 0x40)  # the first path chooses how paths are resolved

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, *_: object) -> None:
        self.state.close()

    def path(self, text: str, at: int = 0x100) -> tuple[int, int]:
        data = text.encode("utf-8", "surrogateescape")
        self.memory[at : at + len(data)] = data
        return at, len(data)

    def quick(self, name: str, *numbers: int) -> bool:
        """Whether C did it."""
        assert extension is not None
        done: bool = extension.quick_call(self.state.handlers, name, self.memory, *numbers)
        return done

    def open(self, path: str, oflags: int = 0, rights: int = READ) -> int | None:
        """The number of a file that C opened; None if it did nothing."""
        if not self.quick("path_open", 3, 1, *self.path(path), oflags, rights, 0, 0, 8):
            return None
        return int.from_bytes(self.memory[8:12], "little")


def test_a_descriptor_is_used_again_as_new(tmp_path: Path) -> None:
    with Guest(tmp_path) as guest:
        first = guest.open("d/new", CREAT, READ | WRITE)
        assert first == 4
        used = guest.table.open[4]
        assert type(used) is SharedFile
        used.position = 7
        used.keep(READ, 0)
        identity = id(used)
        del used
        assert guest.quick("fd_close", 4)
        assert guest.open("d/x") == 4
        again: Any = guest.table.open[4]
        assert id(again) == identity
        assert (again.position, again.given_up, int(again.flags)) == (0, 0, 0)
        assert again.rights & (READ | WRITE) == READ
        assert os.pread(again.fd, 9, 0) == b"text"


def test_a_descriptor_that_somebody_holds_is_not_used_again(tmp_path: Path) -> None:
    with Guest(tmp_path) as guest:
        guest.open("d/x")
        kept: Any = guest.table.open[4]
        assert guest.quick("fd_close", 4)
        assert kept.fd == -1
        assert guest.open("d/x") == 4
        assert guest.table.open[4] is not kept


def test_closed_files_take_no_more_memory_in_any_order(tmp_path: Path) -> None:
    with Guest(tmp_path) as guest:

        def open_and_close() -> None:
            for number in reversed([guest.open("d/x") for _ in range(17)]):  # one more than are kept
                assert number is not None
                guest.quick("fd_close", number)

        for _ in range(20):
            open_and_close()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            for _ in range(300):
                open_and_close()
            assert tracemalloc.get_traced_memory()[0] - before < 300 * 40
        finally:
            tracemalloc.stop()


def test_numbers_are_the_lowest_free_ones(tmp_path: Path) -> None:
    with Guest(tmp_path) as guest:
        assert [guest.open("d/x") for _ in range(20)] == list(range(4, 24))
        for number in (9, 5, 17):
            assert guest.quick("fd_close", number)
        assert [guest.open("d/x") for _ in range(4)] == [5, 9, 17, 24]
        assert sorted(guest.table.open) == list(range(25))


def test_a_directory_is_opened_and_closed(tmp_path: Path) -> None:
    with Guest(tmp_path) as guest:
        number = guest.open("d")
        assert number is not None
        fd = guest.table.directory(number).fd  # type: ignore[attr-defined]
        assert guest.quick("fd_close", number)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


@pytest.mark.parametrize("path", ["..", "../x", "/d/x", "d/x/", "", "d/../..", "d\0x", "\udcff", "p" * 4096])
def test_what_is_not_plain_is_left_to_python(tmp_path: Path, path: str) -> None:
    with Guest(tmp_path) as guest:
        before = set(os.listdir("/proc/self/fd")) if sys.platform == "linux" else set()
        assert guest.open(path) is None
        for name in ("path_create_directory", "path_remove_directory"):
            assert not guest.quick(name, 3, *guest.path(path))
        assert not guest.quick("path_rename", 3, *guest.path(path), 3, *guest.path("d/y", 0x800))
        assert not guest.quick("path_rename", 3, *guest.path("d/x", 0x800), 3, *guest.path("d/../../y"))
        assert before == (set(os.listdir("/proc/self/fd")) if sys.platform == "linux" else set())
        assert (tmp_path / "d" / "x").exists()


def test_links_are_left_to_python_where_they_are_followed(tmp_path: Path) -> None:
    with Guest(tmp_path) as guest:
        (tmp_path / "l").symlink_to("d/x")
        (tmp_path / "d" / "out").symlink_to("../../x")
        assert guest.open("l") is None
        assert guest.open("d/out") is None
        assert not guest.quick("path_filestat_get", 3, 1, *guest.path("l"), 0x40)
        assert guest.quick("path_unlink_file", 3, *guest.path("d/out"))
        assert not (tmp_path / "d" / "out").is_symlink()


def test_nothing_changes_below_a_read_only_mount(tmp_path: Path) -> None:
    with Guest(tmp_path, read_only=True) as guest:
        assert guest.open("d/new", CREAT) is None
        assert guest.open("d/x", TRUNC) is None
        assert guest.open("d/x", 0, READ | WRITE) is None
        for name in ("path_create_directory", "path_remove_directory", "path_unlink_file"):
            assert not guest.quick(name, 3, *guest.path("d/x" if name == "path_unlink_file" else "d/z"))
        assert not guest.quick("path_rename", 3, *guest.path("d/x"), 3, *guest.path("y", 0x800))
        number = guest.open("d/x")
        assert number is not None
        assert guest.table.open[number].read_only  # type: ignore[attr-defined]
    assert [path.name for path in tmp_path.rglob("*")] == ["d", "x"]


def test_rights_of_the_directory_count(tmp_path: Path) -> None:
    with Guest(tmp_path) as guest:
        directory = guest.table.open[3]
        directory.keep(directory.rights & ~(1 << 26 | 1 << 10), directory.inheriting)
        assert not guest.quick("path_unlink_file", 3, *guest.path("d/x"))
        assert guest.open("d/new", CREAT) is None
        assert guest.open("d/x") == 4
        directory.keep(directory.rights, READ)  # what is opened gets less: Python does that
        assert guest.open("d/x") is None


def test_limits_count(tmp_path: Path) -> None:
    with Guest(tmp_path, open_files=5, path=4) as guest:
        assert guest.open("d/abc") is None
        assert guest.open("d/x") == 4
        assert guest.open("d/x") is None


def test_nothing_is_opened_while_few_fds_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Guest(tmp_path) as guest:
        monkeypatch.setattr(reserve, "tight", True)
        assert guest.open("d/x") is None


def test_the_walk_resolves_paths_of_several_names_if_it_is_in_use(tmp_path: Path) -> None:
    with Guest(tmp_path) as guest, resolve.using(resolve.by_walk):
        assert guest.open("d/x") is None
        assert guest.open("d") is not None


def test_audit_hooks_see_what_they_see_of_the_handlers(tmp_path: Path) -> None:
    seen: list[tuple[str, Any]] = []
    watching = True

    def hook(event: str, args: Any) -> None:
        if watching and event in ("open", "os.mkdir", "os.remove", "os.rmdir", "os.rename"):
            seen.append((event, args[0]))
            if event == "os.remove":
                raise PermissionError(13, "not that")

    with Guest(tmp_path) as guest:
        sys.addaudithook(hook)
        try:
            guest.open("d/x")
            guest.quick("path_create_directory", 3, *guest.path("e"))
            guest.quick("path_rename", 3, *guest.path("e"), 3, *guest.path("d/f", 0x800))
            guest.quick("path_remove_directory", 3, *guest.path("d/f"))
            with pytest.raises(PermissionError, match="not that"):
                guest.quick("path_unlink_file", 3, *guest.path("d/x"))
            assert guest.state.path_unlink_file(3, *guest.path("d/x")) == 2  # ACCES
        finally:
            watching = False
    wanted = [("open", "d/x"), ("os.mkdir", "e"), ("os.rename", "e"), ("os.rmdir", "f"), ("os.remove", "x")]
    assert seen == [*wanted, ("os.remove", "x")]
    assert (tmp_path / "d" / "x").exists()


OPENS = """(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "d/new")
  (func $must (param i32) (if (local.get 0) (then (call $exit (local.get 0)))))
  (func (export "_start") (local $n i32)
    (loop $again
      (call $must (call $open (i32.const 3) (i32.const 1) (i32.const 64) (i32.const 5) (i32.const 1)
        (i64.const 0x42) (i64.const 0) (i32.const 0) (i32.const 8)))
      (call $must (call $close (i32.load (i32.const 8))))
      (call $must (call $unlink (i32.const 3) (i32.const 64) (i32.const 5)))
      (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 300))))
    (call $exit (call $close (i32.const 99)))))"""


def test_a_guest_opens_closes_and_removes(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    assert run(OPENS, dirs={"/": tmp_path}).returncode == 8  # BADF of the last call, from Python
    assert os.listdir(tmp_path / "d") == []


def test_a_hook_sees_each_call_and_the_rest_stays_quick(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    seen: list[str] = []

    def look(call: Any, proceed: Any) -> Any:
        seen.append(call.path)
        return proceed()

    assert run(OPENS, dirs={"/": tmp_path}, hooks=[hook(look, on="path_open")]).returncode == 8
    assert seen == ["d/new"] * 300
