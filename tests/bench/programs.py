"""Whole programs in C: a tree of 20,000 files, a copy, a search in texts, a digest. The guest times each of them.

Rules: one process per column and round, the columns interleaved; the median of the rounds counts.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from tests.bench import cases
from tests.bench.cases import Samples
from tests.bench.plan import Plan
from tests.bench.processes import guest_numbers
from tests.support.guests import build_c

FILES: Final = 20_000
ROUNDS: Final = 3
MIB: Final = 1 << 20
TEXT: Final = "".join(f"line {number} of a text, with a {'needle' if number % 97 == 0 else 'straw'} in it\n"
                      for number in range(400))  # fmt: skip


def program(*, quick: bool = False) -> Path:
    """The guest, optimised as programs are; `quick` with the C library that other guests of the tests have, too."""
    return build_c("programs", *([] if quick else ["-O2"]))


def measure(plan: Plan) -> Samples:
    """Each program of the plan in each column."""
    samples: Samples = {case: {} for case in cases.PROGRAMS if plan.has(case)}
    if not samples:
        return {}
    _make_files(plan.folder, plan.quick)
    guest = program(quick=plan.quick)
    files, names = str(200 if plan.quick else FILES), ",".join(case.removeprefix("program_") for case in samples)
    for _ in range(min(plan.rounds, ROUNDS)):
        for column, host in plan.hosts.by_column.items():
            for name, took in guest_numbers(host, guest, plan.folder, [files, names]) if column != "floor" else ():
                samples[f"program_{name}"].setdefault(column, []).extend(took)
    return samples


def _make_files(folder: Path, quick: bool) -> None:
    """64 MiB to copy and to hash, and 1,000 texts of 17 KiB."""
    big = bytes(range(256)) * (MIB // 256) * (1 if quick else 64)
    (folder / "big").write_bytes(big)
    (folder / "digest").write_text(hashlib.sha256(big).hexdigest()[:8])
    for number in range(10 if quick else 1000):
        text = folder / "texts" / f"d{number % 10}" / f"t{number}.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text(TEXT)
