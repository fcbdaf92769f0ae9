"""Executables: one file with module, code, host and engine, which unpacks itself once."""

from __future__ import annotations

import ast
import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

import wasihost
from tests.support.guests import build_c
from wasihost.cli.click_app import main
from wasihost.common import cache_folder
from wasihost.packaging import unpacked, unpacking
from wasihost.packaging.archive import Packed, write_archive

ISOLATED = (sys.executable, "-I", "-S")
"""A Python that finds no installed package."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The executable of tests/guests/tool.c, which uses the folder `data`."""
    made = tmp_path_factory.mktemp("program") / "tool"
    done = CliRunner().invoke(main, ["build", str(build_c("tool")), "-o", str(made), "--", "--dir", "data::/data"])
    assert done.exit_code == 0, done.output
    return made


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which the executable is unpacked once."""
    return tmp_path_factory.mktemp("cache") / "made-when-needed"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with `data`."""
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def environment(cache: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "WASIHOST_CACHE_DIR": str(cache)}


def call(program: Path, cache: Path, *args: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [*ISOLATED, str(program), *args],
        env=environment(cache), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_many_first_starts_at_once_unpack_it_once(program: Path, cache: Path, here: Path) -> None:
    assert program.stat().st_mode & 0o111
    command = [*ISOLATED, str(program), "args", "-x", ""]
    started = [
        subprocess.Popen(command, env=environment(cache), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(3)
    ]
    for one in started:
        output, _ = one.communicate(timeout=120)
        assert (one.returncode, output) == (0, "tool\nargs\n-x\n\n")
    (folder,) = (cache / "programs").iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == unpacked.SEALED
    licences = {path.parts[-3].partition("-")[0] for path in (folder / "lib").glob("*.dist-info/licenses/LICENSE*")}
    assert licences == {"click", "demangle", "pyelftools", "wasihost", "wasmtime"}
    before = folder.stat().st_ino
    assert call(program, cache, "files", "/data/x") == (0, "", "")
    assert (here / "data" / "x").read_text() == "written"
    assert call(program, cache, "exit", "7") == (7, "", "")
    assert folder.stat().st_ino == before


def test_a_folder_that_is_missing_is_named(
    program: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, stderr = call(program, cache, "exit", "0")
    assert (status, stderr) == (2, "tool: option --dir: 'data' is not a directory on this machine\n")


@pytest.mark.usefixtures("here")
def test_clearing_the_cache_keeps_what_runs(program: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WASIHOST_CACHE_DIR", str(cache))
    assert call(program, cache, "exit", "0")[0] == 0
    assert "programs 1, unpacked" in CliRunner().invoke(main, ["cache", "info"]).output
    running = subprocess.Popen(
        [*ISOLATED, str(program), "sleep", "60"], env=environment(cache), stdout=subprocess.PIPE, text=True
    )
    try:
        assert running.stdout
        assert running.stdout.readline() == "sleeping\n"
        assert "removed 0 unpacked programs" in CliRunner().invoke(main, ["cache", "clear", "--yes"]).output
    finally:
        running.kill()
        running.communicate()
    assert "removed 1 unpacked program" in CliRunner().invoke(main, ["cache", "clear", "--yes"]).output
    assert not unpacking.programs(str(cache))


def small(path: Path, **files: bytes) -> str:
    """An archive of these files, as `build` lists them. Returns its digest."""
    import hashlib

    listed = "".join(
        f"{hashlib.sha256(content).hexdigest()} 444 {len(content)} {name}\n" for name, content in files.items()
    ).encode()
    packed = {f"program/{name}": Packed(content) for name, content in files.items()}
    write_archive(str(path), {unpacking.FILES: Packed(listed), **packed})
    return hashlib.sha256(listed).hexdigest()


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WASIHOST_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_is_damaged_is_not_unpacked(tmp_path: Path, own_cache: Path) -> None:
    archive = tmp_path / "program"
    digest = small(archive, one=b"1", two=b"2")
    for changed in ({"one": b"x", "two": b"2"}, {"one": b"11", "two": b"2"}, {"two": b"2"}):
        with zipfile.ZipFile(archive) as whole:
            files = {name: Packed(whole.read(name)) for name in whole.namelist()}
        for name in ("one", "two"):
            files.pop(f"program/{name}", None)
        files.update({f"program/{name}": Packed(content) for name, content in changed.items()})
        write_archive(str(tmp_path / "damaged"), files)
        with pytest.raises(unpacked.Unpackable, match="is damaged: "):
            unpacking.start(str(tmp_path / "damaged"), digest)
    with pytest.raises(unpacked.Unpackable, match="its list of files has changed"):
        unpacking.start(str(archive), "0" * 64)
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(unpacked.Unpackable, match="is damaged: "):
        unpacking.start(str(archive), digest)
    assert os.listdir(own_cache / "programs") == []


def test_a_name_that_leads_out_is_refused(tmp_path: Path, own_cache: Path) -> None:
    for name in ("../x", "a/../../x", "/x", "a//x", "."):
        digest = small(tmp_path / "program", **{name: b"1"})
        with pytest.raises(unpacked.Unpackable, match="it has a file named"):
            unpacking.start(str(tmp_path / "program"), digest)
    assert not (tmp_path / "x").exists()
    assert os.listdir(own_cache / "programs") == []


def test_a_folder_that_a_guest_could_have_made_is_refused(tmp_path: Path, own_cache: Path) -> None:
    digest = small(tmp_path / "program", one=b"1")
    folder = own_cache / "programs" / digest
    folder.mkdir(parents=True, mode=0o700)
    own_cache.chmod(0o700)
    with pytest.raises(unpacked.Unpackable, match="is in the way, and was not unpacked by you: remove it"):
        unpacking.start(str(tmp_path / "program"), digest)
    folder.rmdir()
    (own_cache / "programs" / ".unpacking-killed").mkdir()
    assert (Path(unpacking.start(str(tmp_path / "program"), digest)) / "one").read_bytes() == b"1"
    assert os.listdir(own_cache / "programs") == [digest]
    (own_cache / "programs").chmod(0o777)
    with pytest.raises(unpacked.Unpackable, match="no other user may write to"):
        unpacking.start(str(tmp_path / "program"), digest)


def test_a_cache_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = small(tmp_path / "program", one=b"1")
    (tmp_path / "file").touch()
    monkeypatch.setenv("WASIHOST_CACHE_DIR", str(tmp_path / "file" / "below"))
    with pytest.raises(unpacked.Unpackable, match="set WASIHOST_CACHE_DIR to a folder of yours"):
        unpacking.start(str(tmp_path / "program"), digest)


def test_an_old_python_can_read_the_first_lines(program: Path) -> None:
    with zipfile.ZipFile(program) as packed:
        ast.parse(packed.read("__main__.py"), feature_version=(3, 4))
        assert "unpacker/unpacked.py" in packed.namelist()
    assert unpacked.PROGRAMS == cache_folder.PROGRAMS


def test_options_are_checked_when_it_is_built(tmp_path: Path) -> None:
    module = str(build_c("tool"))
    for options, message in (
        (["--dirr", "."], "--dirr: not an option of `wasihost run`"),
        (["--dir"], "--dir: needs a value, HOST[::GUEST]"),
        (["--timeout", "soon"], "'soon' is not SECONDS"),
        (["--stats=1"], "not an option of `wasihost run`"),
    ):
        done = CliRunner().invoke(main, ["build", module, "-o", str(tmp_path / "x"), "--", *options])
        assert done.exit_code == 2
        assert message in done.output
    assert not (tmp_path / "x").exists()


def test_the_same_input_makes_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = build_c("tool")
    one, two = (Path(wasihost.precompile(module, tmp_path / name)) for name in "ab")
    assert {path.name: path.read_bytes() for path in one.iterdir()} == {
        path.name: path.read_bytes() for path in two.iterdir()
    }
    contents = {"b/x": Packed(b"1" * 5000), "a": Packed(b"2", executable=True)}
    for name, files in (("one", contents), ("two", dict(reversed(contents.items())))):
        write_archive(str(tmp_path / name), files)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    write_archive(str(tmp_path / "two"), contents)
    with zipfile.ZipFile(tmp_path / "two") as dated:
        assert {entry.date_time for entry in dated.infolist()} == {(2023, 11, 14, 22, 13, 20)}
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "now")
    with pytest.raises(wasihost.ConfigError, match="is a number of seconds"):
        write_archive(str(tmp_path / "two"), contents)
