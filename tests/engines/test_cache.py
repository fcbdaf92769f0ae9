"""Compiled modules on disk: found again, never trusted blindly, never in the way."""

import os
import sys
import time
import zlib
from io import BufferedReader
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import Host, wat
from wasihost.common import cache_folder
from wasihost.engines.wasmtime import cache, file_keys, module
from wasihost.engines.wasmtime.run import execute


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "deep" / "cache"
    monkeypatch.setenv("WASIHOST_CACHE_DIR", str(place))
    module.clear_memory()
    return place


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by one with every compilation."""
    labels: list[str] = []
    compile_wasm = module.compile_wasm

    def counted(code: bytes, label: str = "guest", *others: Any) -> module.WasmtimeModule:
        labels.append(label)
        return compile_wasm(code, label, *others)

    monkeypatch.setattr(module, "compile_wasm", counted)
    return labels


def again(name: str = "empty") -> None:
    """Load and run as a new process would, with nothing in memory."""
    module.clear_memory()
    execute(module.load(wat(name)), Host())


def only_entry(folder: Path) -> Path:
    (entry,) = folder.glob("*.cwasm")
    return entry


def test_a_second_process_finds_the_first_ones_work(folder: Path, compiled: list[str]) -> None:
    again()
    assert compiled == ["empty.wat"]
    entry = only_entry(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert entry.stat().st_mode & 0o7777 == cache_folder.SEALED
    os.utime(entry, (1, 1))
    again()
    assert compiled == ["empty.wat"]
    assert entry.stat().st_mtime > time.time() - 60  # the mark of its last use


def test_damage_is_found_and_mended(folder: Path, compiled: list[str]) -> None:
    again()
    good = only_entry(folder).read_bytes()
    places = [0, 7, 64, len(good) // 3, len(good) // 2, len(good) - 100, len(good) - 14, len(good) - 1]
    damaged = [good[:place] + bytes([good[place] ^ 0x40]) + good[place + 1 :] for place in places]
    damaged += [b"", good[:1], good[:16], good[: len(good) // 2], good[:-1], good + b"x", b"#" * len(good)]
    for number, content in enumerate(damaged, 2):
        entry = only_entry(folder)
        entry.unlink()  # never in place: the engine has the old one mapped
        cache_folder.write(str(entry), content, mode=cache_folder.SEALED)
        again()
        assert len(compiled) == number
        assert only_entry(folder).read_bytes() == good
    again()
    assert len(compiled) == len(damaged) + 1


def test_an_artifact_of_another_engine_is_replaced(folder: Path, compiled: list[str]) -> None:
    """A sound file that this engine cannot load."""
    again()
    entry = only_entry(folder)
    entry.unlink()
    content = b"from another version" * 500
    trailer = cache._TRAILER.pack(cache._MARK, bytes.fromhex(entry.stem), zlib.crc32(content))
    cache_folder.write(str(entry), content, trailer, mode=cache_folder.SEALED)
    again()
    assert len(compiled) == 2
    again()
    assert len(compiled) == 2


def test_the_key_holds_content_and_engine() -> None:
    keys = {cache.key(b"a", "wasmtime 50"), cache.key(b"b", "wasmtime 50"), cache.key(b"a", "wasmtime 51")}
    assert len(keys) == 3
    assert cache.key(b"a", "wasmtime 50") in keys


@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702])
def test_a_folder_that_others_can_write_to_is_not_used(folder: Path, compiled: list[str], mode: int) -> None:
    again()
    folder.chmod(mode)
    again()
    again()
    assert len(compiled) == 3
    assert len(list(folder.glob("*.cwasm"))) == 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to give a folder away")
def test_a_folder_of_somebody_else_is_not_used(folder: Path, compiled: list[str]) -> None:
    again()
    os.chown(folder, 12345, 12345)
    again()
    assert len(compiled) == 2


def test_an_entry_that_others_can_write_to_is_replaced(folder: Path, compiled: list[str]) -> None:
    again()
    only_entry(folder).chmod(0o666)
    again()
    assert len(compiled) == 2
    assert only_entry(folder).stat().st_mode & 0o7777 == cache_folder.SEALED


def test_no_place_for_a_cache_is_not_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "under", "/proc/nowhere", "n" * 5000):
        monkeypatch.setenv("WASIHOST_CACHE_DIR", str(place))
        again()


def test_the_least_recently_used_goes_first(folder: Path, compiled: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    guests = ["empty", "exit", "grow"]
    for age, name in enumerate(guests):
        again_without_run(name)
        for entry in folder.glob("*.cwasm"):
            if entry.stat().st_mtime > 1e9:
                os.utime(entry, (1000 + age, 1000 + age))
    by_age = sorted(folder.glob("*.cwasm"), key=lambda entry: entry.stat().st_mtime)
    monkeypatch.setattr(cache, "LIMIT", sum(entry.stat().st_size for entry in by_age) + 1000)
    stale, fresh = (folder / f"{'a' * 64}.cwasm.1.{number:012x}.tmp" for number in (1, 2))
    stale.write_text("")
    fresh.write_text("")
    os.utime(stale, (1, 1))
    again_without_run("trap")
    left = {entry for entry in folder.iterdir() if entry.suffix != ".file"}
    assert by_age[0] not in left
    assert by_age[2] in left
    assert stale not in left
    assert fresh in left
    monkeypatch.setattr(cache, "LIMIT", 100)
    again_without_run("numbers")
    assert len(compiled) == 5
    assert {entry for entry in folder.iterdir() if entry.suffix != ".file"} == left


def again_without_run(name: str) -> None:
    module.clear_memory()
    module.load(wat(name))


def test_cache_can_be_refused(folder: Path, compiled: list[str]) -> None:
    for _ in range(2):
        module.load(wat("empty"), cache=False)
    assert len(compiled) == 2
    assert not folder.exists()


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the XDG rules are those of other systems")
def test_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WASIHOST_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder.folder() == "/xdg/wasihost"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder.folder() is None
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_folder.folder() == "/home/me/.cache/wasihost"


def test_a_file_is_not_hashed_twice(
    folder: Path, tmp_path: Path, compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    guest = tmp_path / "guest.wat"
    guest.write_bytes(Path(wat("empty")).read_bytes())
    hashed: list[int] = []
    key = cache.key

    def counted(content: bytes | BufferedReader, identity: str) -> str:
        hashed.append(1)
        return key(content, identity)

    monkeypatch.setattr(cache, "key", counted)

    def load() -> None:
        module.clear_memory()
        hashed.clear()
        module.load(guest)

    load()  # compiled, and changed just now: not noted
    load()
    assert hashed
    assert list(folder.glob("*.file")) == []
    monkeypatch.setattr(file_keys, "_SETTLE_NS", 0)
    load()  # noted
    load()
    assert not hashed
    assert compiled == ["guest.wat"]

    (noted,) = folder.glob("*.file")
    for content in (b"", b"\xff" * 80, b"0" * 64 + b"\nanother engine", noted.read_bytes()[1:]):
        noted.chmod(0o600)
        noted.write_bytes(content)
        noted.chmod(cache_folder.SEALED)
        load()
        assert hashed
        assert noted.stat().st_mode & 0o7777 == cache_folder.SEALED
        noted = next(folder.glob("*.file"))
    load()
    assert not hashed

    guest.write_bytes(Path(wat("exit")).read_bytes())
    load()
    assert hashed
    assert compiled == ["guest.wat", "guest.wat"]
    for entry in folder.glob("*.cwasm"):
        entry.unlink()
    load()
    assert len(compiled) == 3
