"""Modules that are compiled ahead of time: into folders and into the cache."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import wasihost
from tests.support.guests import GUESTS
from tests.support.wheels import python
from wasihost.cli.click_app import main
from wasihost.config.limits import STACK
from wasihost.engines import default_engine
from wasihost.packaging import ahead
from wasihost.packaging.precompiled import CODE_MODE, LIST, load, read

SPIN = b'(module (memory (export "memory") 1) (func (export "_start") (loop $more (br $more))))'
EXIT = b"""(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1) (func (export "_start") (call $exit (i32.popcnt (i32.const 7)))))"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a module that exits with 3."""
    source = tmp_path_factory.mktemp("source") / "three.wat"
    source.write_bytes(EXIT)
    return Path(wasihost.precompile(source, source.parent / "out", fuel=True, cpu="baseline"))


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / made.name))


def compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("compiled")

    monkeypatch.setattr("wasihost.engines.wasmtime.module.compile_wasm", refuse)


def test_a_precompiled_module_runs_in_each_way_without_compiling(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiles_nothing(monkeypatch)
    module = wasihost.load_precompiled(made)
    again = pickle.loads(pickle.dumps(module))
    assert module.name == again.name == "three.wat"
    assert wasihost.run(module).returncode == 3
    assert wasihost.run(again, timeout=20).returncode == 3
    assert wasihost.run(module, fuel=10_000).returncode == 3


def test_code_for_runs_that_can_be_ended_ends(tmp_path: Path) -> None:
    (tmp_path / "spin.wat").write_bytes(SPIN)
    module = wasihost.load_precompiled(wasihost.precompile(tmp_path / "spin.wat", tmp_path))
    with pytest.raises(wasihost.TimeoutExpired):
        wasihost.run(module, timeout=0.05)
    with pytest.raises(wasihost.ModuleError, match=r"not compiled for runs with fuel: compile .* with --fuel"):
        wasihost.run(module, fuel=10_000)
    with pytest.raises(wasihost.ModuleError, match=r"run with \S*-simd: compile it again with --features"):
        wasihost.run(module, features="-simd")


def test_an_older_folder_is_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    (tmp_path / "a.wat").write_bytes(SPIN)
    first = wasihost.precompile(tmp_path / "a.wat", tmp_path)
    (tmp_path / "a.wat").write_bytes(EXIT)
    assert wasihost.precompile(tmp_path / "a.wat", tmp_path) == first
    assert wasihost.run(wasihost.load_precompiled(first)).returncode == 3
    (Path(first) / LIST).unlink()
    with pytest.raises(wasihost.ConfigError, match="is in the way"):
        wasihost.precompile(tmp_path / "a.wat", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.precompiled", "a.wat"]


def replaced(pattern: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / LIST).read_text()
        assert re.search(pattern, text)
        (folder / LIST).chmod(0o644)
        (folder / LIST).write_text(re.sub(pattern, new, text))

    return change


def damaged(folder: Path) -> None:
    code = folder / "plain.cwasm"
    content = bytearray(code.read_bytes())
    content[len(content) // 2] ^= 1
    code.chmod(0o755)
    code.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replaced(r"wasmtime [\d.]+", "wasmtime 1.2.3"), r"compiled for wasmtime 1\.2\.3 on .*, and this is wasmtime"),
        (replaced("may move|do not move", "dance"), "compiled by another version of wasihost"),
        (replaced("format 1", "format 2"), "written by another version of wasihost"),
        (replaced("cpu: baseline\n", ""), "is damaged: compile the module again"),
        (replaced("plain.cwasm: ", "plain.cwasm: x"), "is damaged: compile the module again"),
        (damaged, r"plain\.cwasm is missing or damaged"),
        (lambda folder: (folder / "plain.cwasm").unlink(), r"plain\.cwasm is missing or damaged"),
        (lambda folder: (folder / "module.wasm").unlink(), r"module\.wasm is missing or damaged"),
        (lambda folder: (folder / "plain.cwasm").chmod(0o444), "plain.cwasm is not executable"),
        (lambda folder: (folder / "plain.cwasm").chmod(0o575), r"other users may write to plain\.cwasm"),
        (lambda folder: folder.chmod(0o777), "other users may write to the folder"),
        (lambda folder: (folder / LIST).unlink(), "not the folder of a precompiled module"),
    ],
)
def test_what_does_not_fit_or_may_be_someone_elses_is_refused(
    copy: Path, change: Callable[[Path], None], message: str
) -> None:
    change(copy)
    mode = default_engine().compile_mode(False, False, STACK, "")
    with pytest.raises(wasihost.ModuleError, match=message) as caught:
        load(read(str(copy)), mode)  # what a plain run of the command does
    assert "\n" not in str(caught.value)
    with pytest.raises(wasihost.ModuleError):
        wasihost.load_precompiled(copy).compiled()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_code_of_another_user_is_refused(copy: Path) -> None:
    os.chown(copy / "plain.cwasm", 12345, 12345)
    with pytest.raises(wasihost.ModuleError, match="belongs to user 12345, whose code this would run"):
        wasihost.load_precompiled(copy)


def test_code_for_a_better_processor_is_refused_by_name(made: Path, copy: Path) -> None:
    """The code says that it needs a feature which this processor does not have."""
    code = (made / "plain.cwasm").read_bytes()
    info = Path("/proc/cpuinfo")
    has = info.read_text().replace("_", "") if info.exists() else ""
    flags = [one for one in ("apx", "avx512vbmi", "avx512bitalg") if f"has_{one}\x02".encode() in code]
    lacking = [one for one in flags if one not in has]
    if not lacking:
        pytest.skip("code for this processor names no feature that it lacks")
    needs = f"has_{lacking[0]}\x02".encode()
    changed = code.replace(needs + b"\x00", needs + b"\x01")
    (copy / "plain.cwasm").chmod(0o755)
    (copy / "plain.cwasm").write_bytes(changed)
    (copy / "plain.cwasm").chmod(CODE_MODE)
    replaced(r"plain.cwasm: \d+ \w+", f"plain.cwasm: {len(changed)} {zlib.crc32(changed):08x}")(copy)
    with pytest.raises(
        wasihost.ModuleError, match=rf"for a processor with other features .*{lacking[0]}.*--cpu baseline"
    ):
        wasihost.load_precompiled(copy)


def test_a_hostile_name_stays_one_line(tmp_path: Path) -> None:
    source = tmp_path / "a\ncpu: b\x1b[1m: c.wat"
    source.write_bytes(EXIT)
    folder = wasihost.precompile(source, tmp_path)
    assert wasihost.load_precompiled(folder).name == "a\\ncpu: b\\x1b[1m: c.wat"
    assert os.listdir(tmp_path / os.path.basename(folder))


def test_filling_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("WASIHOST_CACHE_DIR", str(cache))
    kept = ahead.fill_cache(GUESTS / "empty.wat", cpu="baseline", fuel=True)
    assert len({one.path for one in kept}) == 4
    assert all(one.compiled for one in kept)
    assert not any(one.compiled for one in ahead.fill_cache(GUESTS / "empty.wat", fuel=True))
    cache.chmod(0o500)
    compiles_nothing(monkeypatch)
    assert wasihost.run(GUESTS / "empty.wat").returncode == 0
    assert wasihost.run(GUESTS / "empty.wat", timeout=20).returncode == 0
    assert wasihost.run(GUESTS / "empty.wat", fuel=1000).returncode == 0


def test_a_cache_that_cannot_be_used_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("WASIHOST_CACHE_DIR", str(tmp_path / "file" / "below"))
    done = CliRunner().invoke(main, ["compile", str(GUESTS / "empty.wat")])
    assert done.exit_code == 1
    assert "cannot be kept in" in done.output


def test_the_command_compiles_several_and_stops_at_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "bad.wasm").write_bytes(b"MZ")
    one = [str(GUESTS / "empty.wat"), str(tmp_path / "bad.wasm")]
    done = CliRunner().invoke(main, ["compile", "-o", str(tmp_path / "out"), *one])
    assert done.exit_code == 1
    assert (tmp_path / "out" / "empty.precompiled" / LIST).exists()
    assert "Error: bad.wasm: not WebAssembly" in done.output


def test_two_modules_of_one_name_are_refused_before_anything_is_compiled(tmp_path: Path) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.wat").write_bytes(EXIT)
    both = [str(tmp_path / "a" / "same.wat"), str(tmp_path / "b" / "same.wat")]
    done = CliRunner().invoke(main, ["compile", "-o", str(tmp_path / "out"), *both])
    assert done.exit_code == 2
    assert "two modules would be same.precompiled" in done.output
    assert not (tmp_path / "out").exists()


def test_loading_code_is_an_audit_event(made: Path) -> None:
    code = f"""
import sys
sys.addaudithook(lambda event, args: event == "wasihost.cache" and print(*args))
import wasihost
wasihost.load_precompiled({str(made)!r})
"""
    assert python(code).stdout == f"load {made / 'plain.cwasm'}\n"


def test_run_names_the_option_that_is_missing_or_too_much(made: Path) -> None:
    done = CliRunner().invoke(main, [*("run", str(made))])
    assert done.exit_code == 2
    assert "machine code" in done.output
    assert "--precompiled" in done.output
    done = CliRunner().invoke(main, ["run", "--precompiled", str(GUESTS / "empty.wat")])
    assert done.exit_code == 2
    assert "needs a folder that `wasihost compile -o DIR` has made" in done.output
