"""The documentation as a site: what `make site`, which needs Sphinx, would only say late."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import wasihost

DOCS = Path(__file__).resolve().parents[2] / "docs"
REFERENCES = sorted((DOCS / "site").glob("reference-*.md"))
DIRECTIVE = re.compile(r"^\.\. (?:auto\w+|py:data):: ([\w.]+)", re.MULTILINE)


def test_the_reference_has_every_public_name() -> None:
    described = {name for page in REFERENCES for name in DIRECTIVE.findall(page.read_text())}
    assert {f"wasihost.{name}" for name in wasihost.__all__ if not name.startswith("__")} - described == set()


def test_the_reference_has_every_public_module() -> None:
    """The rows of ARCHITECTURE that say so."""
    table = (DOCS.parent / "ARCHITECTURE.md").read_text()
    rows = [line.split("|") for line in table.splitlines() if line.startswith("|") and "*public.*" in line]
    public = {name.rstrip("/") for row in rows for name in re.findall(r"`([\w/]+)`", row[1])}
    assert len(public) > 5
    text = (DOCS / "site/reference-modules.md").read_text()
    assert {name for name in public if f"wasihost.{name}" not in text} == set()


@pytest.mark.parametrize("page", REFERENCES, ids=lambda page: page.stem)
def test_the_reference_names_what_exists(page: Path) -> None:
    for name in DIRECTIVE.findall(page.read_text()):
        module, _, attribute = name.rpartition(".")
        try:
            found = hasattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError:
            found = False
        if not found:
            importlib.import_module(name)


def test_every_page_has_its_place_in_the_navigation() -> None:
    trees = re.findall(r"```\{toctree\}\n(.*?)```", (DOCS / "index.md").read_text(), re.DOTALL)
    listed = [line for tree in trees for line in tree.splitlines() if line and not line.startswith(":")]
    pages = {str(page.relative_to(DOCS).with_suffix("")) for page in DOCS.rglob("*.md")}
    assert sorted(listed) == sorted(pages - {"index", "README"})
