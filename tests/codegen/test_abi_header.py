"""The numbers that `abi.h` has for code in C: those of the dump, and names that C can tell apart."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from witxgen import c_numbers
from witxgen.dump import dump
from witxgen.render import render
from witxgen.resolve import load

WITX = Path(__file__).resolve().parents[2] / "witx"
SPECS = {
    "wasi_preview1": WITX / "preview1" / "wasi_snapshot_preview1.witx",
    "wasi_preview0": WITX / "preview0" / "wasi_unstable.witx",
}


def header(document_file: Path, package: str) -> dict[str, int]:
    """The macros of the header and their numbers."""
    text = render(load([document_file]), package)["abi.h"]
    found: dict[str, int] = {}
    for name, value in re.findall(r"^#define (\w+) (.+)$", text, re.MULTILINE):
        assert name not in found
        match = re.fullmatch(r"(\d+)u|\(UINT64_C\(1\) << (\d+)\)", value)
        assert match, value
        found[name] = int(match[1]) if match[1] else 1 << int(match[2])
    return found


@pytest.mark.parametrize("package", SPECS)
def test_the_numbers_are_those_of_the_dump(package: str) -> None:
    expected: dict[str, int] = {}
    dumped: Any = dump(load([SPECS[package]]))
    for name, about in dumped["types"].items():
        prefix = f"{package}_{name}".upper()
        if about["kind"] == "enum":
            expected |= {f"{prefix}_{case}".upper(): value for value, case in enumerate(about["cases"])}
        elif about["kind"] == "flags":
            expected |= {f"{prefix}_{flag}".upper(): 1 << bit for bit, flag in enumerate(about["flags"])}
        elif about["kind"] == "record":
            expected |= {f"{prefix}_SIZEOF": about["size"], f"{prefix}_ALIGNOF": about["align"]}
            expected |= {f"{prefix}_{field}_AT".upper(): offset for field, offset in about["fields"].items()}
    assert header(SPECS[package], package) == expected


def test_a_name_that_two_types_would_have_is_that_of_the_first(tmp_path: Path) -> None:
    spec = tmp_path / "spec.witx"
    spec.write_text("(typename $a (enum (@witx tag u8) $x $b_c)) (typename $a_b (enum (@witx tag u8) $c $y))")
    groups = c_numbers.groups(load([spec]), "p")
    assert [[tuple(macro) for macro in group.macros] for group in groups] == [
        [("P_A_X", "0u"), ("P_A_B_C", "1u")],
        [("P_A_B_Y", "1u")],
    ]
