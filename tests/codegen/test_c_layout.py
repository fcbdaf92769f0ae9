"""Our layouts against those of a C compiler: a guest prints what <wasi/api.h> of wasi-libc comes to.

The header was generated from the same spec by another program, and clang lays the structs out. The guest runs on our
own host, which makes this also a test of a whole program.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from witxgen.dump import dump
from witxgen.resolve import load

import wasihost
from tests.support.guests import GUESTS, build_c

WITX = Path(__file__).resolve().parents[2] / "witx"
TYPES = re.findall(r"^    TYPE\((\w+)\);$", (GUESTS / "layout.c").read_text("utf-8"), re.MULTILINE)
NOT_IN_C = {"iovec_array", "ciovec_array", "signal"}
"""C has no lists, and wasi-libc leaves signals out."""


@cache
def our_types() -> dict[str, Any]:
    ours = json.loads(json.dumps(dump(load([WITX / "preview1" / "wasi_snapshot_preview1.witx"]))))
    types: dict[str, Any] = ours["types"]
    return types


@pytest.fixture(scope="module")
def printed() -> dict[str, list[str]]:
    """What the guest printed, by type."""
    done = wasihost.run(build_c("layout"), capture_output=True)
    assert done.returncode == 0
    assert done.stdout is not None
    lines: dict[str, list[str]] = {name: [] for name in TYPES}
    for line in done.stdout.decode().splitlines():
        lines[re.split(r"[. ]", line)[0]].append(line)
    return lines


def test_the_guest_knows_every_type() -> None:
    assert len(TYPES) == len(set(TYPES))
    assert set(TYPES) == set(our_types()) - NOT_IN_C


@pytest.mark.parametrize("name", TYPES)
def test_type(name: str, printed: dict[str, list[str]]) -> None:
    ours = our_types()[name]
    fields = dict(ours.get("fields", {}))
    if "payload_offset" in ours:
        fields |= {"tag": 0, "u": ours["payload_offset"]}
    expected = [f"{name} size {ours['size']} align {ours['align']}"]
    expected += [f"{name}.{field} offset {offset}" for field, offset in fields.items()]
    if not fields:
        expected += [f"{name}.{case} value {value}" for value, case in enumerate(ours.get("cases", ()))]
    expected += [f"{name}.{flag} value {1 << bit}" for bit, flag in enumerate(ours.get("flags", ()))]
    assert printed[name] == expected
