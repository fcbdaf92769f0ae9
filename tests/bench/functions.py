"""What each function of the ABI costs: the guest `functions` calls each of them as programs usually do, and times it.

Rules: as for `calls`. A function that a host does not have has no number there. `proc_exit` ends a guest: `embedded`
measures it.
"""

from __future__ import annotations

from tests.bench import cases
from tests.bench.cases import Samples
from tests.bench.plan import Plan
from tests.bench.processes import endless, guest_numbers
from tests.support.guests import build_c

ROUNDS = 3
LEFT = ("link", "moved-a", "moved-b")
"""What the guest leaves in its folder."""


def measure(plan: Plan) -> Samples:
    """Each function of the plan in each column."""
    guest = build_c("functions")
    samples: Samples = {case: {} for case in cases.FUNCTIONS if plan.has(case) and case != cases.PROC_EXIT}
    names = ",".join(case.removesuffix("()") for case in samples)
    for _ in range(min(plan.rounds, ROUNDS) if samples else 0):
        for column, host in plan.hosts.by_column.items():
            if column == "floor":
                continue
            for name in LEFT:
                (plan.folder / name).unlink(missing_ok=True)
            with endless() as stdin:
                for name, took in guest_numbers(host, guest, plan.folder, [str(plan.budget // 2), names], stdin):
                    samples[f"{name}()"].setdefault(column, []).extend(took)
    return samples
