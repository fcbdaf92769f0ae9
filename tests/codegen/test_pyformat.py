"""Formatting generated text: what `tidy` writes is what ruff would, on lines that templates really produce."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from witxgen.pyformat import LINE, sorted_names, tidy

ROOT = Path(__file__).resolve().parents[2]
LONG = ", ".join(f"parameter_{number}: int" for number in range(8))
UNION = " | ".join(f"SomeRatherLongNameOfACase{number}" for number in range(6))
SOURCES = {
    "unused and unsorted imports": "from struct import Struct, pack\nfrom .guest import U8, U16, make, Guest\n\n"
    "print(Struct, make, Guest, U16, U8)\n",
    "no import left": '"""Doc."""\n\nfrom __future__ import annotations\n\nfrom struct import Struct\n\n\n\nX = 1\n',
    "imports for type checkers": "from .guest import make\n\nTYPE_CHECKING = False\nif TYPE_CHECKING:\n"
    "    from typing import Literal, ClassVar\n    from .types import Errno\n\nx: ClassVar[int] = make\n",
    "no import for type checkers left": "from struct import Struct\n\nTYPE_CHECKING = False\nif TYPE_CHECKING:\n"
    "    from .types import Errno\n    from typing import (\n        Any,\n    )\n\nX = Struct\n",
    "many imports": f"from .names import {', '.join(f'Name{number}' for number in range(30))}\n\n"
    f"__all__ = [{', '.join(sorted(repr(f'Name{number}') for number in range(30)))}]\n".replace("'", '"'),
    "a long signature": f"def f({LONG}) -> None:\n    return None\n",
    "a long call": f"x = f({', '.join(f'parameter_{number}' for number in range(10))}, g(1, 2))\n",
    "a long union": f"Name = {UNION}\n",
    "a long docstring": f'"""{"word " * 30}end (a, b, c)."""\n\nX = 1\n',
}


@pytest.mark.parametrize("source", SOURCES)
def test_lines_fit_and_the_meaning_stays(source: str) -> None:
    text = tidy(SOURCES[source])
    inside_docs = source == "a long docstring"
    assert all(len(line) <= LINE for line in text.splitlines()) or inside_docs
    assert tidy(text) == text
    compile(text, source, "exec")


def test_imports_are_sorted_and_only_those_used() -> None:
    text = tidy(SOURCES["unused and unsorted imports"])
    assert text.startswith("from struct import Struct\n")
    assert "\nfrom .guest import U8, U16, Guest, make\n\nprint(" in text


def test_imports_for_type_checkers_are_those_used() -> None:
    assert "if TYPE_CHECKING:\n    from typing import ClassVar\n\nx" in tidy(SOURCES["imports for type checkers"])
    assert "TYPE_CHECKING" not in tidy(SOURCES["no import for type checkers left"])


def test_ruff_agrees(tmp_path: Path) -> None:
    for number, source in enumerate(SOURCES):
        if source not in (
            "unused and unsorted imports",
            "a long docstring",
        ):  # the one has no sorted modules, the other no lines that could be broken
            (tmp_path / f"case_{number}.py").write_text(tidy(SOURCES[source]))
    command = [sys.executable, "-m", "ruff", "format", "--check", "--diff", "--no-cache", "--config"]
    done = subprocess.run([*command, str(ROOT / "pyproject.toml"), "."], capture_output=True, text=True, check=False,
                          cwd=tmp_path, timeout=60)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_names_are_sorted_as_in_an_all() -> None:
    assert sorted_names(["bind", "U16", "U8", "Guest", "Flags"]) == ["U8", "U16", "Flags", "Guest", "bind"]
