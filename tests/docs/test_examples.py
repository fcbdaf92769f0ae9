"""Every example of docs/ and of the README runs, page by page and in its order, as a reader types it.

Python is executed. In pages of `TYPED`, a block whose first line is a comment with a file's name is saved as that file,
and what stands below each `$` of a console block is what the command prints.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from tests.support.guests import build_c

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
README = ROOT / "README.md"
TUTORIAL = ROOT / "docs/tutorial.md"
_TYPED = "command", "guests", "abi", "ahead-of-time", "packaging", "policy", "profile", "scale", "trace", "wasi-nn"
TYPED = {README, TUTORIAL, *(ROOT / "docs" / f"{name}.md" for name in _TYPED)}
BLOCK = re.compile(r"^```(\w+(?: \w+)?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"(?://|;;|#) (\w+\.\w+)\n")


def blocks(page: Path) -> Iterator[tuple[int, str, str]]:
    """Line, language and content of each block."""
    text = page.read_text()
    for block in BLOCK.finditer(text):
        yield text[: block.start()].count("\n") + 1, block[1], block[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the examples are typed: the guests lie here."""
    for name in ("tool", "server", "talker"):
        shutil.copy(build_c(name), tmp_path / f"{name}.wasm")
    return tmp_path


def make_words(folder: Path) -> None:
    """What the README takes from the tutorial: the guest that counts words, and a text."""
    source = next(content for _, language, content in blocks(TUTORIAL) if language == "c")
    (folder / "words.c").write_text(source)
    type_in(next(content for _, language, content in blocks(TUTORIAL) if language == "console"), folder)
    (folder / "poem.txt").write_text("tiger tiger burning bright")


def type_in(console: str, folder: Path) -> None:
    """Run what stands after each `$`; what stands below is printed, on standard output or standard error."""
    env = {**os.environ, "PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", "")}
    for line, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", console, re.MULTILINE):
        done = subprocess.run(
            ["bash", "-c", line], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False, timeout=300,
        )  # fmt: skip
        assert done.stdout == expected, line


@pytest.mark.parametrize("page", [README, *(page for page in PAGES if any(blocks(page)))], ids=lambda page: page.stem)
def test_examples_of_a_page(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    if page == README:
        make_words(folder)
    run_examples(page, folder)


def run_examples(page: Path, folder: Path, *more: str) -> None:
    """Run a page's examples in a folder. `more` names what is installed beside what the tests always have."""
    names: dict[str, object] = {"__name__": "example"}
    sys.path_importer_cache.pop(".", None)  # the folder of another page
    with mock.patch.dict(os.environ), mock.patch.object(sys, "path", sys.path.copy()):
        for line, language, content in blocks(page):
            file = FILE.match(content) if page in TYPED else None
            if file:
                (folder / file[1]).write_text(content)
            elif language in ("python", *(f"python {one}" for one in more)):
                exec(compile("\n" * line + content, str(page), "exec"), names)
            elif page in TYPED and language == "console":
                type_in(content, folder)


def test_links_lead_somewhere() -> None:
    """Also those to the repository, which the README has because PyPI shows it too."""
    for page in [*PAGES, *ROOT.glob("*.md")]:
        text = BLOCK.sub("", page.read_text())
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert page != README, f"PyPI cannot follow {target}"
            assert os.path.exists(page.parent / target), f"{page.name} links to {target}"
        for target in re.findall(r"\]\(https://github.com/wasihost/wasihost/blob/main/([^)#]+)(?:#[^)]*)?\)", text):
            assert os.path.exists(ROOT / target), f"{page.name} links to {target}"


def test_every_page_is_listed() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    for page in PAGES:
        assert page.name in ("README.md", "index.md") or f"({page.name})" in index, page.name
