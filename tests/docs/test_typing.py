"""What README and docs show of typed Python is clean for a strict type checker."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.typecheck import mypy

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_examples_of_embedding(tmp_path: Path) -> None:
    readme = "".join(BLOCK.findall((ROOT / "README.md").read_text()))
    assert readme.count("wasihost.") > 2
    (tmp_path / "readme.py").write_text(readme)
    page = "".join(BLOCK.findall((ROOT / "docs" / "linker.md").read_text()))
    (tmp_path / "linker.py").write_text(page.replace("said = []", "said: list[bytes] = []"))
    for name in ("handlers", "hooks"):
        (tmp_path / f"{name}.py").write_text("".join(BLOCK.findall((ROOT / "docs" / f"{name}.md").read_text())))
    files = [tmp_path / f"{name}.py" for name in ("readme", "linker", "handlers", "hooks")]
    done = mypy(*files)  # strict; with other options it would read all of the project again, and so would the next run
    assert done.returncode == 0, done.stdout
