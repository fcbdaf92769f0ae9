"""A folder to lay overlays over."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder to lay overlays over."""
    base = tmp_path / "base"
    (base / "docs" / "old").mkdir(parents=True)
    (base / "a.txt").write_text("one\ntwo\n")
    (base / "docs" / "b.txt").write_text("bee\n")
    (base / "docs" / "old" / "c.txt").write_text("sea")
    (base / "picture").write_bytes(b"\0\1\2")
    (base / "link").symlink_to("a.txt")
    return base
