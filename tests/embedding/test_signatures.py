"""What `run`, `run_async`, `start` and `instantiate` can be called with: in `help()`, and for type checkers."""

from __future__ import annotations

import ast
import inspect
import pydoc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import wasihost
from tests.support.typecheck import mypy
from wasihost.embedding import signatures
from wasihost.guest.options import Options

FUNCTIONS: list[Callable[..., Any]] = [wasihost.run, wasihost.run_async, wasihost.start, wasihost.instantiate]
OPTIONS: dict[str, str] = {
    name: str(getattr(one, "__forward_arg__", one)) for name, one in Options.__annotations__.items()
}
OWN = {"run": {"check"}, "run_async": {"check"}, "start": {"bufsize"}, "instantiate": set[str]()}
EMPTY = b'(module (memory (export "memory") 1) (func (export "_start")))'


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda one: one.__name__)
def test_a_signature_names_each_option(function: Callable[..., Any]) -> None:
    found = inspect.signature(function).parameters
    assert set(found) == {"module", "config", *OWN[function.__name__], *OPTIONS}
    assert {name: found[name].annotation for name in OPTIONS} == OPTIONS
    assert {found[name].kind for name in OPTIONS} == {inspect.Parameter.KEYWORD_ONLY}
    text = pydoc.plain(pydoc.render_doc(function))
    assert all(name in text for name in OPTIONS)
    assert f"{function.__name__}(" in text
    assert "Raises:" in text


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda one: one.__name__)
def test_the_source_of_the_function_is_found_behind_the_signature(function: Callable[..., Any]) -> None:
    assert f"def {function.__name__}(" in inspect.getsource(function)
    assert inspect.iscoroutinefunction(function) is (function is wasihost.run_async)


def test_the_defaults_that_are_shown_are_those_that_hold() -> None:
    shown = inspect.signature(wasihost.run).bind(EMPTY)
    shown.apply_defaults()
    assert wasihost.run(**shown.arguments).returncode == 0


def test_options_without_a_default_in_the_list_have_none() -> None:
    assert {name for name, one in OPTIONS.items() if "None" not in one} == set(signatures.DEFAULTS)


def test_a_start_costs_no_signature() -> None:
    code = "import sys, wasihost; wasihost.run; wasihost.start; assert 'inspect' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_list_for_type_checkers_is_that_of_the_options() -> None:
    tree = ast.parse(Path(signatures.__file__).read_text())
    (shape,) = (one for one in ast.walk(tree) if isinstance(one, ast.ClassDef) and one.name == "EveryOption")
    (call,) = (one for one in shape.body if isinstance(one, ast.FunctionDef))
    listed = {one.arg: ast.unparse(one.annotation) for one in call.args.kwonlyargs if one.annotation}
    assert listed.pop("check") == "Check"
    assert listed.pop("bufsize") == "Bufsize"
    assert listed == {name: ast.unparse(ast.parse(one)) for name, one in OPTIONS.items()}


WRONG = {
    'wasihost.run("a", timout=1)': '"timout" to "run"',
    'wasihost.run("a", capture_output=True, text=True, timout=[])': '"timout" to "run"',
    'wasihost.run("a", bufsize=1)': '"bufsize" to "run"',
    'wasihost.start("a", timout=1)': '"timout" to "start"',
    'wasihost.start("a", bufsize=0, check=True)': '"check" to "start"',
    'wasihost.instantiate("a", timout=1)': '"timout" for "instantiate"; did you mean "timeout"?',
    'wasihost.run_async("a", timout=1)': '"timout" to "run_async"',
}


def test_a_wrong_keyword_costs_a_reader_of_mypy_a_line(tmp_path: Path) -> None:
    lines = ["import wasihost", "async def main() -> None:"]
    lines += [f"    {'await ' * ('_async' in call)}{call}" for call in WRONG]
    (tmp_path / "wrong.py").write_text("\n".join(lines))
    done = mypy(tmp_path / "wrong.py")
    said = done.stdout.splitlines()
    for number, (call, message) in enumerate(WRONG.items(), 3):
        about = [line for line in said if f"wrong.py:{number}:" in line]
        assert 1 <= len(about) <= 2, (call, about)
        assert message in about[0]
    assert f"Found {len(WRONG)} errors" in said[-1]
