"""Every Python example of docs/ and of the README runs, page by page, as a reader would type it."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.support.guests import build_c

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the examples are typed: the guests lie here."""
    for name in ("tool", "server", "talker"):
        shutil.copy(build_c(name), tmp_path / f"{name}.wasm")
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if BLOCK.search(page.read_text())], ids=lambda page: page.stem)
def test_a_page(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    names: dict[str, object] = {"__name__": "example"}
    text = page.read_text()
    for block in BLOCK.finditer(text):
        line = text[: block.start()].count("\n") + 1
        code = "\n" * line + block[1]
        exec(compile(code, str(page), "exec"), names)


def test_links_lead_somewhere() -> None:
    for page in [*PAGES, *ROOT.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert os.path.exists(page.parent / target), f"{page.name} links to {target}"


def test_every_page_is_listed() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    for page in PAGES:
        assert page.name == "README.md" or f"({page.name})" in index, page.name
