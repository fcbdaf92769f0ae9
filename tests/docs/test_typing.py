"""What README and docs show of typed Python is clean for a strict type checker."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS = """import wasihost
import wasmtime

engine: wasmtime.Engine
linker: wasmtime.Linker
store: wasmtime.Store
module: wasmtime.Module
config: wasihost.ModuleConfig
text: str
"""


def test_the_examples_of_embedding(tmp_path: Path) -> None:
    readme = BLOCK.findall((ROOT / "README.md").read_text())
    linker = [block for block in readme if "define(" in block]
    reactor = [block for block in readme if "instantiate(" in block and "define(" not in block]
    assert (len(linker), len(reactor)) == (1, 1)
    (tmp_path / "readme.py").write_text(NEEDS + linker[0] + reactor[0])
    page = "".join(BLOCK.findall((ROOT / "docs" / "linker.md").read_text()))
    (tmp_path / "linker.py").write_text(page.replace("said = []", "said: list[bytes] = []"))
    files = [str(tmp_path / name) for name in ("readme.py", "linker.py")]
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout
