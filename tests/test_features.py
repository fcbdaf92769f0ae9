"""`features=` and `--features`: in every way to run a guest, in what is kept compiled, and in other processes."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.guests import build_c
from tests.support.wheels import python
from wasihost import Compilation, ConfigError, Module, ModuleError, instantiate, run, run_async, start
from wasihost.inspection import inspect

SIMD = """(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32))) (memory (export "memory") 1)
    (func (export "_start") (call $exit (i32x4.extract_lane 0 (i32x4.splat (i32.const 7))))))"""
ONE_BYTE = '(module (memory (export "memory") 5 (pagesize 1)) (func (export "_start")))'
OFF = r"needs the WebAssembly feature 'simd', switched off here: give features=\{'simd': True\}, or --features \+simd$"


def started(module: str, **options: str) -> int:
    with start(module, **options) as process:  # type: ignore[call-overload]  # any options
        return int(process.wait())


def awaited(module: str, **options: str) -> int:
    return asyncio.run(run_async(module, **options)).returncode  # type: ignore[call-overload, no-any-return]  # the same


def isolated(module: str, **options: str) -> int:
    return run(module, isolation="process", **options).returncode  # type: ignore[call-overload, no-any-return]  # the same


def apart(module: str, **options: str) -> int:
    return run(module, compile_timeout=60, cache=False, **options).returncode  # type: ignore[call-overload, no-any-return]  # the same


def here(module: str, **options: str) -> int:
    return run(module, timeout=60, fuel=10**6, **options).returncode  # type: ignore[call-overload, no-any-return]  # the same


WAYS = [here, awaited, started, isolated, apart]


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_run(way: Callable[..., int]) -> None:
    assert way(SIMD) == way(SIMD, features="wasm-2.0") == 7
    with pytest.raises(ModuleError, match=OFF):
        way(SIMD, features="-simd")
    with pytest.raises(ConfigError, match="did you mean 'simd'"):
        way(SIMD, features="-smid")


@pytest.mark.parametrize("way", WAYS)
def test_features_off_by_default_can_be_switched_on(way: Callable[..., int]) -> None:
    """Which an engine in another process would not run, if it did not know."""
    assert way(ONE_BYTE, features="+custom-page-sizes") == 0
    with pytest.raises(ModuleError, match="needs the WebAssembly feature 'custom-page-sizes'"):
        way(ONE_BYTE)


def test_an_instance() -> None:
    with instantiate('(module (func (export "f")))', features={"gc": False, "exceptions": False}) as guest:
        assert guest.call("f") is None
    with pytest.raises(ModuleError, match=OFF):
        instantiate(SIMD, features={"simd": False})


def test_modules_compiled_with_a_feature_are_not_run_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WASIHOST_CACHE_DIR", str(tmp_path / "cache"))
    file = tmp_path / "simd.wat"
    file.write_text(SIMD)
    for source in (SIMD, file):
        assert run(source).returncode == 7
        with pytest.raises(ModuleError, match=OFF):
            run(source, features="-simd")
        assert run(source).returncode == 7


def test_modules_compiled_with_features_are_cached_too() -> None:
    events: list[Compilation] = []
    for _ in range(2):
        run(SIMD, features="-gc,-tail-call", on_compile=events.append)
    assert len(events) <= 2
    before = len(events)
    run(SIMD, features="-tail-call,-gc", on_compile=events.append)
    assert len(events) == before


# -- modules -----------------------------------------------------------------------------------------------------------


def test_a_module_has_its_own() -> None:
    with pytest.raises(ModuleError, match=OFF):
        Module(SIMD, features="-simd")
    module = Module(ONE_BYTE, features={"custom-page-sizes": True})
    for one in (module, Module(module), pickle.loads(pickle.dumps(module))):
        assert run(one).returncode == 0
        assert run(one, fuel=1000, isolation="process").returncode == 0
    assert list(module.exports) == ["memory", "_start"]


def test_a_run_may_have_others() -> None:
    module = Module(SIMD)
    with pytest.raises(ModuleError, match=OFF):
        run(module, features="-simd")
    assert run(module).returncode == 7
    narrow = Module(ONE_BYTE, features="+custom-page-sizes")
    with pytest.raises(ModuleError, match="'custom-page-sizes'"):
        run(narrow, features="wasm-3.0")


def test_a_program_in_c_needs_only_the_second_version() -> None:
    done = run(build_c("tool"), args=["exit", "3"], features="wasm-2.0")
    assert done.returncode == 3


def test_a_run_without_them_does_not_import_what_knows_them() -> None:
    done = python(f"import sys, wasihost; wasihost.run({SIMD!r}); print([n for n in sys.modules if 'features' in n])")
    assert (done.stdout, done.stderr) == ("[]\n", "")


# -- the command -------------------------------------------------------------------------------------------------------


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wasihost", *arguments], input=SIMD, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("options", "status", "text"),
    [
        (["--features", "wasm-2.0"], 7, ""),
        (["--features", "-simd"], 2, "wasihost: guest: needs the WebAssembly feature 'simd'"),
        (["--features=-simd"], 2, "wasihost: guest: needs the WebAssembly feature 'simd'"),
        (["--features", "wasm-1.0", "--features", "+simd"], 7, ""),
        (["--stats", "--features", "-simd"], 2, "needs the WebAssembly feature 'simd'"),
        (["--isolate", "--features", "-simd"], 2, "needs the WebAssembly feature 'simd'"),
        (["--features", "-smid"], 2, "wasihost: there is no feature 'smid'; did you mean 'simd'?"),
        (["--features", ""], 2, "'' is not LIST, such as -simd or wasm-2.0,+tail-call"),
    ],
    ids=str,
)
def test_the_command(options: list[str], status: int, text: str) -> None:
    done = command("run", *options, "-")
    assert done.returncode == status
    assert text in done.stderr
    assert bool(text) == bool(done.stderr)


def test_inspect_says_what_a_module_lacks() -> None:
    assert command("inspect", "-").stdout.endswith("_start() -> ()\n")
    said = command("inspect", "--features", "-simd", "-").stdout
    assert "cannot be run here: see below what is in the way" in said
    assert said.splitlines()[-1].startswith("  needs the WebAssembly feature 'simd', switched off here")
    assert (
        "Error: there is no feature 'smid'; did you mean 'simd'?"
        in command("inspect", "--features", "-smid", "-").stderr
    )
    report = inspect(ONE_BYTE.encode(), "one.wat")
    assert report.problems == ["needs the WebAssembly feature 'custom-page-sizes', switched off here: give features="
                               "{'custom-page-sizes': True}, or --features +custom-page-sizes"]  # fmt: skip
