"""The benchmark still runs: every case in every column that needs nothing but Python. Says nothing about speed."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import report
from tests.support.guests import GUESTS

ROOT = Path(__file__).resolve().parents[2]


def bench(*options: str) -> str:
    command = [sys.executable, "-m", "tests.bench", "--quick", *options]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=120).stdout


def test_every_case_yields_a_number_in_each_column(tmp_path: Path) -> None:
    printed = bench("--json", str(tmp_path / "numbers.json"))
    document = json.loads((tmp_path / "numbers.json").read_text("utf-8"))
    assert set(document["ns"]) == {"ours", "native", "naive"}
    assert document["floor"] > 0
    for column in document["ns"].values():
        assert set(column) == set(report.CASES)
        assert all(0 < time < math.inf for time in column.values())
    for case in report.CASES:
        assert re.search(rf"^  {case}( +[\d,.]+){{3}} +[\d.e+-]+ +-$", printed, re.MULTILINE)


def test_only_some_cases() -> None:
    printed = bench("--only", "fd_read_*", "--columns", "ours,native")
    assert set(re.findall(r"^  (\w+) ", printed, re.MULTILINE)) == {
        "fd_read_1",
        "fd_read_4K",
        "fd_read_64K",
        "fd_read_1M",
        "geometric",
    }


def test_the_guest_and_the_report_know_the_same_cases() -> None:
    in_c = re.findall(r'^ +\{"(\w+)", \w+, [^}]+\},$', (GUESTS / "bench.c").read_text("utf-8"), re.MULTILINE)
    assert sorted(in_c) == sorted(["floor", *report.CASES])


def test_the_targets_are_held_against_the_geometric_mean() -> None:
    times = {
        "ours": {"fd_read_64K": 20.0, "fd_write_64K": 45.0},
        "native": {"fd_read_64K": 100.0, "fd_write_64K": 100.0},
    }
    (verdict,) = report.verdicts(times)
    assert verdict.ratio == pytest.approx(0.3)
    assert verdict.met
    times["ours"]["fd_write_64K"] = 102.0
    assert not report.verdicts(times)[0].met
