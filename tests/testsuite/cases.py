"""What the suite says of its tests: which modules there are, what each is given and what it must return.

Every folder with a `manifest.json` holds tests for one version of WASI, each a module and perhaps a `.json` of its own
beside it, in one of two styles: an object of fields, or a list of operations.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VERSION = "wasm32-wasip1"
HOW_TO_GET_IT = (
    "the built modules are on the branch prod/testsuite-base: "
    "git clone --depth 1 --branch prod/testsuite-base https://github.com/WebAssembly/wasi-testsuite"
)
_FIELDS = {"args", "env", "root", "exit_code", "stdout", "stderr"}
_OPERATIONS = {"run": {"args", "env", "root"}, "wait": {"exit_code"}, "read": {"stdout", "stderr"}}


class SuiteError(Exception):
    """A folder without tests, or a test whose description this runner does not understand."""


@dataclass
class Case:
    """One test. What the suite says nothing of is None: any output, no folder. `unclear` is why it cannot be run."""

    name: str
    module: Path
    args: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    root: Path | None = None
    exit_code: int = 0
    stdout: str | None = None
    stderr: str | None = None
    unclear: str | None = None


def find(suite: Path) -> list[Case]:
    """All tests below `suite`, which may be the root of the checkout. SuiteError if there are none."""
    folders = [path.parent for path in sorted(suite.rglob("manifest.json")) if _version(path) == VERSION]
    cases = [_case(suite, module) for folder in folders for module in sorted(folder.glob("*.wasm"))]
    if not cases:
        raise SuiteError(f"no {VERSION} test is below {suite}; {HOW_TO_GET_IT}")
    return cases


def _version(manifest: Path) -> Any:
    folder = manifest.parent.name
    return _object(manifest).get("version", folder if folder.startswith("wasm32-") else VERSION)


def _case(suite: Path, module: Path) -> Case:
    case = Case(module.relative_to(suite).with_suffix("").as_posix(), module)
    path = module.with_suffix(".json")
    if path.exists():
        try:
            _describe(case, _object(path))
        except SuiteError as error:
            case.unclear = str(error)
    return case


def _describe(case: Case, described: dict[str, Any]) -> None:
    if "operations" not in described:
        _take(case, described, _FIELDS)
        return
    _take(case, {name: value for name, value in described.items() if name != "operations"}, set())
    for operation in described["operations"]:
        kind = operation.pop("type", None)
        if kind == "read":
            operation = {operation.pop("id", "stdout"): operation.pop("payload", ""), **operation}
        if kind not in _OPERATIONS:
            raise SuiteError(f"operation {kind!r} is not known to this runner")
        _take(case, operation, _OPERATIONS[kind])


def _take(case: Case, described: dict[str, Any], known: set[str]) -> None:
    for name, value in described.items():
        if name not in known:
            raise SuiteError(f"field {name!r} is not known to this runner")
        if name == "root" and value is not None:
            value = case.module.parent / value
        setattr(case, name, value)


def _object(path: Path) -> dict[str, Any]:
    loaded = json.loads(path.read_text("utf-8"))
    if not isinstance(loaded, dict):
        raise SuiteError(f"{path}: not an object")
    return loaded
