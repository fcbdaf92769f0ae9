"""`preload`, and the first run: afterwards nothing is imported for a guest, whatever it does."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.guests import build_c
from tests.support.wheels import python
from wasihost import Module, preload, run
from wasihost.engines import wasmtime
from wasihost.guest.preloading import COMMAND

ROOT = Path(__file__).resolve().parents[2]
ENGINE = {"importlib.metadata", "wasmtime"}
"""What loading the engine may import, and what an embedder who has a Linker has imported."""
CHOSEN = "wasihost.engines.pywasm"
"""An engine that is preloaded with modules that are made for it."""
EXPECTED = {"status": "(3, b'', b'')", "memory": "(0, b'', b'')", "timeout": "TimeoutExpired", "trap": "TrapError",
            "own error": "KeyError", "misuse": "ConfigError", "unknown": "LinkError", "limit": "(0, b'xxxxx', b'')",
            "folder": "(0, b'/data: . .. f\\n', b'')", "zip": "(0, b'in a zip', b'')", "reactor": "(5, 0)",
            "hooked": "(0, b'bye\\n', b'')"}  # fmt: skip


@pytest.mark.parametrize("how", ["preload", "first"])
def test_a_server_without_rights_imports_nothing(how: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "f").touch()
    for folder in (tmp_path, tmp_path / "data"):
        folder.chmod(0o755)
    guests = [str(build_c(name)) for name in ("tool", "files", "server")]
    script = Path(__file__).with_name("given_up.py")
    done = subprocess.run(
        [sys.executable, str(script), how, str(tmp_path), *guests],
        capture_output=True, text=True, check=False, timeout=120, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines() if not line.startswith("imports:"))
    assert not [line for line in done.stdout.splitlines() if "RAISED" in line]
    assert {name: said[name][: len(text)] for name, text in EXPECTED.items()} == EXPECTED
    assert done.stdout.splitlines()[-1] == "imports:"
    assert how == "first" or (said["socket"], said["async"], said["preview0"]) == ("hello", "4", "(3, b'', b'')")


def late_imports(source: Path) -> Iterator[str]:
    """Names of modules that are imported within functions of a file."""
    for function in ast.walk(ast.parse(source.read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    yield from (name.name for name in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module:
                    yield from (_either(node.module, name.name) for name in node.names)


def _either(package: str, name: str) -> str:
    """`from package import name`: the module that this imports."""
    inner = ROOT / package.replace(".", "/") / f"{name}.py"
    return f"{package}.{name}" if inner.exists() else package


def test_everything_that_functions_import_is_preloaded() -> None:
    command = {f"wasihost.{name}" for name in COMMAND}
    wanted = {"wasihost.embedding.run", "wasihost.embedding.run_async", "wasihost.guest.instance", "wasihost.vfs"}
    for source in sorted((ROOT / "wasihost").rglob("*.py")):
        name = ".".join(source.relative_to(ROOT).with_suffix("").parts)
        if name not in command and name != "wasihost.__main__" and not name.startswith(CHOSEN):
            wanted.update(late_imports(source))
    wanted.update(f"{wasmtime.__name__}.{place.partition('.')[0]}" for place in wasmtime._WHERE.values())
    assert {"fcntl", "wasihost.vfs.changes", "wasi_preview0"} <= wanted  # it finds something
    code = f"""
import sys
import wasihost
wasihost.preload()
print(*set({sorted(wanted - command - ENGINE)!r}) - sys.modules.keys())
"""
    done = python(code)
    assert (done.stdout, done.stderr) == ("\n", ""), "these belong into a list of wasihost/guest/preloading.py"


def test_modules_are_compiled_for_every_way_of_running() -> None:
    code = f"""
import threading, wasihost
from wasihost.engines import wasmtime as engine
module = wasihost.Module({str(build_c("tool"))!r})
wasihost.preload(module)
engine.load = None
assert wasihost.run(module, timeout=10).returncode == 0
thread = threading.Thread(target=lambda: print(wasihost.run(module).returncode))
thread.start()
thread.join()
"""
    done = python(code)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_preload_may_be_called_again() -> None:
    preload()
    preload(Module(build_c("tool")))
    assert run(build_c("tool")).returncode == 0
