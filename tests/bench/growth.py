"""What must not grow: a call's time with the length of a file in memory, the entries of a folder, the open descriptors.

Rules: the guest `growth` measures each N and ends early if one takes too long, so a column may have fewer of them; the
median of the rounds counts. The slope is the exponent of N in the time: 0 is flat, 1 is a time that doubles with N.
"""

from __future__ import annotations

import contextlib
import math
import resource
import statistics
from collections.abc import Mapping
from pathlib import Path

from tests.bench import cases
from tests.bench.cases import Numbers, Samples
from tests.bench.columns import MEMORY
from tests.bench.hosts import OURS
from tests.bench.plan import Plan
from tests.bench.processes import guest_numbers
from tests.support.guests import build_c

ROUNDS = 3


def measure(plan: Plan) -> Samples:
    """Each kind of growth that the plan has a case of, in each column that can have it."""
    kinds = [kind for kind in cases.GROWTH if any(plan.has(case) for case in cases.growth_cases(kind))]
    sizes = cases.SIZES[:1] if plan.quick else cases.SIZES
    if any(kind in ("readdir", "open") for kind in kinds):
        _make_folders(plan.folder, sizes)
    room = _descriptors()
    samples: Samples = {}
    for _ in range(min(plan.rounds, ROUNDS) if kinds else 0):
        for kind in kinds:
            where = Path(MEMORY) if kind.startswith("memory_") else plan.folder
            for column, host in plan.hosts.by_column.items():
                if (kind.startswith("memory_") and column not in OURS) or column == "floor":
                    continue
                possible = [size for size in sizes if kind != "fds" or size < room]
                args = [kind.removeprefix("memory_"), ",".join(map(str, possible))]
                for name, took in guest_numbers(host, build_c("growth"), where, args):
                    case = f"memory_{name}" if kind.startswith("memory_") else name
                    samples.setdefault(case, {}).setdefault(column, []).extend(took)
    return samples


def slopes(numbers: Numbers) -> Numbers:
    """The slope of each kind, in each column that has more than one N."""
    found: Numbers = {}
    for kind in cases.GROWTH:
        columns = {column for case in cases.growth_cases(kind) for column in numbers.get(case, {})}
        for column in columns:
            times = {size: numbers[f"{kind}_{size}"][column] for size in cases.SIZES
                     if column in numbers.get(f"{kind}_{size}", {})}  # fmt: skip
            if len(times) > 1:
                found.setdefault(f"{kind}_slope", {})[column] = slope(times)
    return found


def slope(times: Mapping[int, float]) -> float:
    """The exponent that fits best: of a line through the logarithms."""
    fit = statistics.linear_regression(list(map(math.log, times)), list(map(math.log, times.values())))
    return fit.slope


def _descriptors() -> int:
    """As many as a process may open, beside those that a host needs for itself. Its limit is raised for that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS takes less than its limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return 1 << 30 if soft == resource.RLIM_INFINITY else soft - 100


def _make_folders(folder: Path, sizes: tuple[int, ...]) -> None:
    for size in sizes:
        below = folder / f"n{size}"
        below.mkdir(exist_ok=True)
        for number in range(size):
            (below / f"e{number}").touch()
