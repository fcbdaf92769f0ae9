"""`inspect` and its report take at most ten times the size of the file in memory, and some megabytes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pytest

from tests.support.binary import HEADER, leb
from wasihost.inspection import inspect

COMPONENT = b"\0asm\x0d\0\1\0"
COUNT = 40_000
CONSTANT = 6 << 20
"""Bytes that a file of any size may take: the engine's validation takes one or two MiB of them."""

CHILD = """
import sys
from wasihost.inspection import inspect

def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM"))

code = open(sys.argv[1], "rb").read()
first = inspect(b"(module)", "first")
first.text(), first.json()
before = peak()
report = inspect(code, "dense")
report.text(), report.json()
print(peak() - before)
"""


def section(number: int, content: bytes) -> bytes:
    return bytes((number,)) + leb(len(content)) + content


def vector(items: Iterable[bytes]) -> bytes:
    items = list(items)
    return leb(len(items)) + b"".join(items)


def name(number: int) -> bytes:
    """A name of three bytes."""
    return b"\3" + bytes(48 + (number >> shift) % 64 for shift in (0, 6, 12))


def each(one: Callable[[int], bytes]) -> bytes:
    return vector(map(one, range(COUNT)))


TYPE = section(1, vector([b"\x60\0\0"]))
ONE, BODY = section(3, b"\1\0"), section(10, b"\1\2\0\x0b")


@cache
def dense(kind: str) -> bytes:
    """A module with very many of a kind."""
    return HEADER + KINDS[kind]()


def long_types() -> bytes:
    types = section(1, vector([b"\x60" + vector([b"\x7b"] * 1000) + b"\0"] * 200))
    return types + section(2, each(lambda at: b"\0\0\0" + leb(at % 200)))


def types() -> bytes:
    kinds = bytes(0x7C + byte % 4 for byte in range(256))
    return section(1, each(lambda at: b"\x60" + name(at).translate(kinds)))


def component() -> bytes:
    inner = section(1, HEADER + TYPE + section(2, vector([b"\0\0\0\0"] * 1000)))
    return inner * 64 + section(10, each(lambda at: b"\0" + name(at) + b"\1\0"))


KINDS: dict[str, Callable[[], bytes]] = {
    "imports": lambda: TYPE + section(2, each(lambda _: b"\0\0\0\0")),
    "import names": lambda: TYPE + section(2, each(lambda at: b"\1m" + name(at) + b"\0\0")),
    "import modules": lambda: TYPE + section(2, each(lambda at: name(at) + b"\0\0\0")),
    "imported globals": lambda: section(2, each(lambda _: b"\0\0\3\x7f\0")),
    "imports of long types": long_types,
    "exports": lambda: TYPE + ONE + section(7, each(lambda at: name(at) + b"\0\0")) + BODY,
    "functions": lambda: TYPE + section(3, each(lambda _: b"\0")) + section(10, each(lambda _: b"\2\0\x0b")),
    "globals": lambda: section(6, each(lambda _: b"\x7f\0\x41\0\x0b")),
    "types": types,
    "structs": lambda: section(1, each(lambda _: b"\x5f\0")),
    "features": lambda: section(0, b"\x0ftarget_features" + each(lambda at: b"+" + name(at))),
    "producers": lambda: section(0, b"\x09producers" + each(lambda at: name(at) + b"\1\0\0")),
    "versions": lambda: section(0, b"\x09producers\1\1a" + each(lambda at: name(at) + b"\0")),
    "custom sections": lambda: section(0, b"\0") * COUNT,
    "names": lambda: section(0, b"\4name" + section(1, each(lambda at: leb(at) + name(at)))),
    "a long name": lambda: TYPE + section(2, b"\1" + leb(1_000_000) + b"\0" * 1_000_000 + b"\0\0\0"),
    "component": component,
}


@pytest.mark.parametrize("kind", KINDS)
def test_memory(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "dense.wasm"
    code = COMPONENT + component() if kind == "component" else dense(kind)
    file.write_bytes(code)
    done = subprocess.run([sys.executable, "-c", CHILD, str(file)], capture_output=True, text=True, check=False)
    assert not done.stderr
    assert int(done.stdout) < 10 * len(code) + CONSTANT


def test_what_is_not_listed_is_counted() -> None:
    report = inspect(dense("imports"), "dense")
    assert report.import_count == COUNT
    assert report.import_counts == {"": COUNT}
    assert 1_000 < len(report.imports) < 3_000
    assert f"and {COUNT - len(report.imports):,} more" in report.text()
    assert f": {COUNT}\n" in report.text()
    assert json.loads(report.json())["import_count"] == COUNT
    assert report.problems[-1] == f"and {COUNT - 2_000:,} more imports"
    report = inspect(dense("exports"), "dense")
    assert report.export_count == COUNT
    assert f"and {COUNT - len(report.exports):,} more" in report.text()
    assert report.how.startswith("cannot be run here before it is validated")


def test_what_is_not_listed_is_looked_at() -> None:
    """An import at the end prevents running the module; a function at the end can be called."""
    served = b"\x16wasi_snapshot_preview1\x0bsched_yield\0\0"
    code = HEADER + section(1, vector([b"\x60\0\1\x7f"])) + section(2, vector([served] * 5_000 + [b"\1m\1g\3\x7f\0"]))
    report = inspect(code, "m")
    assert len(report.imports) < 5_001
    assert report.problems[0] == "m.g: an imported global"
    two_types = section(1, vector([b"\x60\1\x70\0", b"\x60\0\0"]))
    exports = [name(at) + b"\0\0" for at in range(2_000)]
    code = HEADER + two_types + section(3, b"\2\0\1") + section(7, vector([*exports, b"\1f\0\1", b"\6_start\0\0"]))
    report = inspect(code + section(10, b"\2\2\0\x0b\2\0\x0b"), "m")
    assert "f" not in report.exports
    assert report.exports["_start"] == "(funcref) -> ()"
    assert report.export_count == 2_002


def test_all_imports_and_exports_of_a_usual_module_are_listed() -> None:
    imports = "".join(f'(import "env" "function_{number}" (func))' for number in range(900))
    exports = "".join(f'(export "function_{number}" (func {number}))' for number in range(900))
    report = inspect(f"(module {imports} {exports})".encode(), "m")
    assert (len(report.imports), len(report.exports)) == (report.import_count, report.export_count) == (900, 900)
    assert "more" not in report.text()
