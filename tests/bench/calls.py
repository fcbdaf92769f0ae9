"""What calls cost: the guest `bench` makes each of them over and over, and times itself.

Rules: one process per column and round, the columns interleaved; a process reports the best batch of each case, and the
median of the rounds counts. A case that a host cannot do is left out for it by name.
"""

from __future__ import annotations

from typing import Final

from tests.bench import cases
from tests.bench.cases import Samples
from tests.bench.plan import Plan
from tests.bench.processes import endless, guest_numbers, silent
from tests.support.guests import build_c

CASES: Final = (*cases.NO_FILE, *cases.SMALL, *cases.LARGE, *cases.READDIR, *cases.POLLS)

SHORTEST: Final = "sleep_1ms_shortest"
"""The least of all sleeps of `sleep_1ms`: made of its numbers."""

REFUSED: Final = {"node": ("poll_stdin", "poll_file", "poll_64")}
"""Column -> what it cannot do: epoll(7), by which Node.js waits, takes neither /dev/zero nor a file, and takes each
descriptor once."""


def measure(plan: Plan) -> Samples:
    """Each case of the plan in each column."""
    guest = build_c("bench")
    samples: Samples = {case: {} for case in (*CASES, *cases.SILENT) if plan.has(case)}
    for _ in range(plan.rounds if samples else 0):
        for column, host in plan.hosts.by_column.items():
            able = [case for case in samples if case not in REFUSED.get(column, ())]
            for group, stream in ((CASES, endless), (cases.SILENT, silent)):
                wanted = [case for case in able if case in group] if column != "floor" else ["floor"]
                with stream() as stdin:
                    args = [str(plan.budget), ",".join(wanted)]
                    for case, found in guest_numbers(host, guest, plan.folder, args, stdin) if wanted else ():
                        samples.setdefault(case, {}).setdefault(column, []).extend(found)
    if "sleep_1ms" in samples:
        samples[SHORTEST] = {column: [min(slept)] for column, slept in samples["sleep_1ms"].items()}
    return samples
