"""What is public: the lists of `wasihost/__init__.py` agree, and docs use nothing else."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import wasihost

ROOT = Path(__file__).resolve().parents[2]
INIT = ROOT / "wasihost" / "__init__.py"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MODULES = set(re.findall(r"`(wasihost\.[\w.]+)`", wasihost.__doc__ or ""))
"""The public modules, as the package's docstring lists them."""


def imported(body: list[ast.stmt]) -> dict[str, str]:
    """Name -> module, below wasihost from its dot on, of the imports among these statements."""
    found = {}
    for one in body:
        if isinstance(one, ast.ImportFrom) and (one.module or "").startswith(("wasihost.", "wasi_preview1.")):
            found.update({alias.name: str(one.module).removeprefix("wasihost") for alias in one.names})
    return found


def test_the_three_lists_name_the_same() -> None:
    tree = ast.parse(INIT.read_text())
    (checking,) = (one for one in tree.body if isinstance(one, ast.If) and ast.unparse(one.test) == "TYPE_CHECKING")
    assert imported(checking.body) == wasihost._ON_FIRST_USE
    at_once = imported(tree.body)
    assert {*at_once, *wasihost._ON_FIRST_USE, "__version__"} == set(wasihost.__all__)
    assert len(wasihost.__all__) == len(set(wasihost.__all__))


@pytest.mark.parametrize("name", wasihost.__all__)
def test_a_public_name_is_there(name: str) -> None:
    assert getattr(wasihost, name) is not None
    assert name in dir(wasihost)


def test_the_version_is_that_of_the_package() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", wasihost.__version__)
    code = "from wasihost import *; print(__version__, Options, Memory)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(wasihost.__version__)


def test_public_modules_are_there() -> None:
    assert len(MODULES) > 8
    for name in MODULES:
        importlib.import_module(name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_import_public_names_only(page: Path) -> None:
    for block in BLOCK.findall(page.read_text()):
        try:
            tree = ast.parse(block)
        except SyntaxError:  # a part of a line, shown for its shape
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "wasihost":
                assert {one.name for one in node.names} <= {*wasihost.__all__, *_children()}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("wasihost."):
                assert node.module in MODULES
            elif isinstance(node, ast.Import):
                assert {one.name for one in node.names if one.name.startswith("wasihost.")} <= MODULES
            elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "wasihost":
                assert node.attr in {*wasihost.__all__, *_children()}


def _children() -> set[str]:
    return {name.split(".")[1] for name in MODULES}


def test_former_names_still_work() -> None:
    library = '(module (memory (export "memory") 1) (func (export "malloc") (param i32) (result i32) i32.const 64))'
    with wasihost.instantiate(library) as guest:
        with guest.memory.given(b"abc") as (pointer, size):
            assert guest.memory.read_bytes(pointer, size) == b"abc"
        guest.end(RuntimeError("enough"), for_good=True)
        with pytest.raises(RuntimeError, match="enough"):
            guest.call("malloc", 8)
