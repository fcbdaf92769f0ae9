"""How results look in notebooks and in rich: everything is there, and nothing of what a guest chose is markup."""

from __future__ import annotations

import io
from html.parser import HTMLParser
from typing import Any

import pytest
from rich.console import Console  # import-linter brings it

import wasihost
from tests.support.guests import build_c
from wasihost.outcomes import outcome
from wasihost.representation import output, size, table

TOOL = build_c("tool")
HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m&amp;"


class Parsed(HTMLParser):
    """The elements of a piece of HTML, and its text; every element has to be closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert [name for name, _ in attrs] in ([], ["scope"])
        self.tags.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + "|"


def rich(value: Any) -> str:
    made = io.StringIO()
    Console(file=made, width=200).print(value)
    return made.getvalue()


@pytest.fixture(scope="module")
def done() -> Any:
    return wasihost.run(TOOL, args=["files", "made.txt"], files={"a": b""}, capture_output=True, text=True, stats=True)


def test_a_result(done: Any) -> None:
    page = Parsed(done._repr_html_())
    for text in ("exit status", "'files'", "made.txt|created", "7 bytes", "wall time", "path_open"):
        assert text in page.text
    assert done._repr_html_().count("<table>") == 5  # the result, files, use, calls, paths
    assert "returncode=0" in rich(done)
    assert "created=('made.txt',)" in rich(done)
    assert "calls=" in rich(done.stats)
    assert "fuel" not in rich(done.stats)


def test_an_outcome() -> None:
    with pytest.raises(wasihost.TimeoutExpired) as ended:
        wasihost.run(TOOL, args=["sleep", "60"], timeout=0.1, capture_output=True)
    left = outcome(ended.value)
    assert left is not None
    assert "limits met|timeout" in Parsed(left._repr_html_()).text
    assert "args=" in rich(left)


def test_what_a_guest_chose_is_escaped() -> None:
    shown = output("stdout", HOSTILE) + table(HOSTILE, [(HOSTILE, 1)], (HOSTILE, "b")) + table("", [(HOSTILE, HOSTILE)])
    page = Parsed(shown)
    assert "img" not in page.tags
    assert "\x1b" not in shown
    assert page.text.count("onerror=alert(1)") == 6
    made = wasihost.CompletedProcess([HOSTILE], 1, HOSTILE.encode(), None)
    assert "img" not in Parsed(made._repr_html_()).tags


def test_an_overlay() -> None:
    overlay = wasihost.Overlay(wasihost.MemoryFS({"a": b"1", "b": b"2"}))
    wasihost.run(TOOL, args=["files", "made.txt"], fs=overlay)
    changes = overlay.changes()
    assert "made.txt|created|file" in Parsed(changes._repr_html_()).text
    assert "created=('made.txt',)" in rich(changes)


def test_long_values_are_cut() -> None:
    page = Parsed(table("rows", ((number, "x" * 1000) for number in range(250)), ("a", "b")))
    assert page.tags.count("tr") == 101
    assert "rows (and 150 more)" in page.text
    assert len(page.text) < 50_000
    text = output("stdout", b"\xff" * 10_000)
    assert "10,000 bytes, the last 4,000 shown" in text
    assert text.count(r"\xff") == 4_000


def test_sizes() -> None:
    assert [size(number) for number in (0, 1023, 1024, 1536, 5 << 20, 3 << 50)] == [
        "0 bytes",
        "1023 bytes",
        "1.0 KiB",
        "1.5 KiB",
        "5.0 MiB",
        "3072.0 TiB",
    ]
