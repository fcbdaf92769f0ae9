"""What is refused when a guest starts: mounts that would undo one another. And the cache, which guests cannot write."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from wasi_preview1.types import Errno, Rights

from wasihost import ConfigError, MemoryFS, ModuleConfig, Overlay, State, run
from wasihost.engines.wasmtime import file_keys, module

EMPTY = '(module (memory (export "memory") 1) (func (export "_start")))'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("top/data/deep", "beside", "top/other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to("top")
    (tmp_path / "top" / "to_beside").symlink_to("../beside")
    return tmp_path


@pytest.mark.parametrize(("inner", "outer"), [
    ("top/data", "top"), ("top", "top"), ("top/data/deep", "top"), ("link/data", "top"), ("top/data", "link"),
    ("top/../top/data", "."), ("link", "top"), ("top/data/deep", "top/data"),
])  # fmt: skip
def test_a_read_only_mount_in_a_writable_one_is_refused(tree: Path, inner: str, outer: str) -> None:
    writable = ModuleConfig().with_host_directory_preopen("/rw", tree / outer)
    read_only = ModuleConfig().with_read_only_fs("/ro", tree / inner)
    for config in (
        writable.with_read_only_fs("/ro", tree / inner),
        read_only.with_host_directory_preopen("/rw", tree / outer),
    ):
        with pytest.raises(
            ConfigError, match=r"read-only as '/ro': the guest could change it through '.*', .* '/rw' and"
        ):
            State(config=config)


@pytest.mark.parametrize(("inner", "outer"), [
    ("top", "top/data"), ("top", "beside"), ("top/to_beside", "top"), ("top/data", "top/other"), (".", "top"),
])  # fmt: skip
def test_mounts_that_do_not_overlap_are_accepted(tree: Path, inner: str, outer: str) -> None:
    assert run(EMPTY, cache=False, dirs={"/rw": tree / outer}, ro_dirs={"/ro": tree / inner}).returncode == 0


def test_a_read_only_overlay_over_a_writable_folder_is_refused(tree: Path) -> None:
    with Overlay(tree / "top" / "data", tree / "kept") as overlay:
        read_only = ModuleConfig().with_read_only_fs("/ro", overlay)
        for folder in ("top", "top/data/deep/..", "kept", "."):
            with pytest.raises(ConfigError, match="read-only as '/ro'"):
                State(config=read_only.with_host_directory_preopen("/rw", tree / folder))
        for folder in ("beside", "top/data/deep"):
            State(config=read_only.with_host_directory_preopen("/rw", tree / folder)).close()


def test_a_virtual_tree_cannot_be_mounted_both_ways() -> None:
    tree = MemoryFS({"a": b""})
    config = ModuleConfig().with_mount("/rw", tree).with_read_only_fs("/ro", tree)
    with pytest.raises(ConfigError, match="read-only as '/ro'"):
        State(config=config)
    State(config=ModuleConfig().with_mount("/rw", tree).with_read_only_fs("/ro", MemoryFS())).close()
    State(config=ModuleConfig().with_read_only_fs("/a", tree).with_read_only_fs("/b", tree)).close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "outer" / "cache"
    place.mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("WASIHOST_CACHE_DIR", str(place))
    module.clear_memory()
    return place


def opening(name: str) -> str:
    """A guest that opens a file to write in it; its status is the errno."""
    return f"""(module
      (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
      (memory (export "memory") 1) (data (i32.const 64) "{name}")
      (func (export "_start") (call $exit (call $open (i32.const 3) (i32.const 0) (i32.const 64)
        (i32.const {len(name)}) (i32.const 0) (i64.const {int(Rights.FD_WRITE)}) (i64.const 0) (i32.const 0)
        (i32.const 32)))))"""


@pytest.mark.parametrize("above", [False, True])
def test_a_guest_cannot_change_an_entry(cache: Path, above: bool) -> None:
    """Not even as root, which may write to any file; but a folder that contains the cache can be mounted."""
    run(EMPTY)
    (entry,) = cache.glob("*.cwasm")
    (cache / "mine").touch()
    folder, way = (cache.parent, "cache/") if above else (cache, "")
    assert run(opening(way + "mine"), dirs={"/": folder}, cache=False).returncode == 0
    assert run(opening(way + entry.name), dirs={"/": folder}, cache=False).returncode == Errno.ACCES
    done = run(opening(way + entry.name), dirs={"/": folder}, cache=False, isolation="process")
    assert done.returncode == Errno.ACCES


def test_a_note_that_a_guest_could_have_made_is_none(cache: Path, tmp_path: Path) -> None:
    """It says which compiled module is a file's."""
    (tmp_path / "module.wasm").touch()
    os.utime(tmp_path / "module.wasm", (1, 1))
    time.sleep(2.1)  # a file that has changed just now gets none
    about = (tmp_path / "module.wasm").stat()
    file_keys.record(about, "here", "a" * 64)
    assert file_keys.lookup(about, "here") == "a" * 64
    (note,) = cache.glob("*.file")
    content = note.read_bytes()
    note.unlink()
    note.write_bytes(content)
    assert file_keys.lookup(about, "here") is None
