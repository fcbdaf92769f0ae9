"""What is refused when a guest starts: mounts that would undo one another, or give it the cache of compiled modules."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.guests import wat
from wasihost import ConfigError, FSConfig, MemoryFS, ModuleConfig, State, cachefolder, instantiate, run
from wasihost.engines.wasmtime import module

EMPTY = '(module (memory (export "memory") 1) (func (export "_start")))'
ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="what guests of other users can make is no entry of the cache")


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
def test_others_are_taken(tree: Path, inner: str, outer: str) -> None:
    assert run(EMPTY, cache=False, dirs={"/rw": tree / outer}, ro_dirs={"/ro": tree / inner}).returncode == 0


def test_one_tree_of_python_s_is_read_only_or_not() -> None:
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


def ways(cache: Path) -> dict[str, Path]:
    """Folders in which the cache, or the way to it, can be replaced."""
    return {
        "itself": cache,
        "above": cache.parent,
        "far above": cache.parents[1],
        "by a link": cache.parents[1] / "link",
    }


@as_root
@pytest.mark.parametrize(("way", "made"), [
    ("itself", True), ("above", True), ("far above", True), ("by a link", True), ("above", False), ("by a link", False),
])  # fmt: skip
def test_root_s_guest_does_not_get_the_cache(cache: Path, way: str, made: bool) -> None:
    (cache.parents[1] / "link").symlink_to("outer")
    if made:
        run(EMPTY)
    else:
        cache.rmdir()
    folder = ways(cache)[way]
    for give in (
        lambda: run(EMPTY, dirs={"/": folder}),
        lambda: run(EMPTY, dirs={"/": folder}, cache=False),
        lambda: instantiate(EMPTY, dirs={"/": folder}),
        lambda: State(config=ModuleConfig().with_host_directory_preopen("/", folder)),
        lambda: State(config=ModuleConfig().with_fs(FSConfig().with_dir_mount("/", folder))),
    ):
        with pytest.raises(ConfigError, match=r"the cache of compiled modules is in it \(.*WASIHOST_CACHE_DIR\)$"):
            give()
    assert run(EMPTY, ro_dirs={"/": folder}).returncode == 0
    command = [sys.executable, "-m", "wasihost", "--dir", f"{folder}::/", str(wat("empty"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "the cache of compiled modules is in it" in done.stderr


@as_root
def test_a_link_to_the_cache_is_the_guest_s_to_replace(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "link").symlink_to(cache)
    monkeypatch.setenv("WASIHOST_CACHE_DIR", str(tmp_path / "mine" / "link"))
    with pytest.raises(ConfigError):
        run(EMPTY, dirs={"/": tmp_path / "mine"})
    monkeypatch.setenv("WASIHOST_CACHE_DIR", str(cache))
    assert run(EMPTY, dirs={"/": tmp_path / "mine"}).returncode == 0


@as_root
@pytest.mark.usefixtures("cache")
def test_the_usual_place_is_not_given_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process, without this variable, has its compiled modules there."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    (tmp_path / "home").mkdir()
    assert run(EMPTY, dirs={"/": tmp_path / "home"}).returncode == 0  # nothing is there, and guests cannot make entries
    (tmp_path / "home" / ".cache" / "wasihost").mkdir(parents=True)
    monkeypatch.setattr(cachefolder, "_ways", None)  # which is looked up once a second
    with pytest.raises(ConfigError, match=r"or remove that$"):
        run(EMPTY, dirs={"/": tmp_path / "home"})


@as_root
@pytest.mark.usefixtures("cache")
def test_a_cache_that_is_chosen_later_is_not_used_while_a_guest_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "given").mkdir()
    with instantiate(EMPTY, dirs={"/": tmp_path / "given"}, cache=False):
        monkeypatch.setenv("WASIHOST_CACHE_DIR", str(tmp_path / "given" / "cache"))
        run(EMPTY)
        assert not list((tmp_path / "given").glob("cache/*.cwasm"))
        assert "are not used while a guest may write there" in caplog.text
    module.clear_memory()
    run(EMPTY)
    assert list((tmp_path / "given").glob("cache/*.cwasm"))


def test_the_way_is_looked_up_again(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lies_in(folder: Path) -> str | None:
        about = folder.stat()
        return cachefolder.lies_in((about.st_dev, about.st_ino))

    assert lies_in(cache.parent) == str(cache)
    assert lies_in(Path("/")) == str(cache)
    (tmp_path / "later").mkdir()
    assert lies_in(tmp_path / "later") is None
    monkeypatch.setenv("WASIHOST_CACHE_DIR", str(tmp_path / "later" / "x"))
    assert lies_in(tmp_path / "later") == str(tmp_path / "later" / "x")
    monkeypatch.setenv("WASIHOST_CACHE_DIR", str(cache))
    cache.rmdir()
    cache.symlink_to(tmp_path / "later")
    clock: Callable[[], float] = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 1.5)
    assert lies_in(tmp_path / "later") == str(cache)
    assert lies_in(cache.parent) == str(cache)
    for odd in ("relative/x", "loop", "n" * 5000):
        (tmp_path / "loop").unlink(missing_ok=True)
        (tmp_path / "loop").symlink_to("loop")
        monkeypatch.setenv("WASIHOST_CACHE_DIR", odd if odd != "loop" else str(tmp_path / "loop"))
        assert lies_in(tmp_path / "later") is None
