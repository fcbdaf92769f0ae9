"""How long a process takes that runs an empty guest, from its start to its end; and the import alone.

Rules: everything that can be kept from an earlier run is: bytecode, and compiled modules where a host keeps them. The
columns are interleaved, and the median of all rounds counts.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.bench.cases import Samples
from tests.bench.hosts import HERE, OURS, ROOT, environment
from tests.bench.plan import Plan
from tests.bench.processes import numbers_of
from tests.support.guests import wat

ROUNDS: Final = 15
START: Final = "start_exit"
IMPORT: Final = "import"


def measure(plan: Plan) -> Samples:
    """Both cases, if they are of the plan, in each column."""
    samples: Samples = {case: {} for case in (START, IMPORT) if plan.has(case)}
    if not samples:
        return {}
    subprocess.run(
        [plan.hosts.python, "-m", "compileall", "-q", "wasihost", "generated"],
        cwd=ROOT,
        env=environment(""),
        check=True,
    )
    guest = _binary(plan.folder)
    for turn in range(1 if plan.quick else ROUNDS + 1):
        for case in samples:
            for column, command in _commands(plan, guest).items() if case == START else ():
                took = _took(command, environment(column))
                if turn or plan.quick:  # the first one only fills caches
                    samples[case].setdefault(column, []).append(took)
            for column in (*OURS, "wasmtime-py") if case == IMPORT else ():
                command = [plan.hosts.python, "-m", "tests.bench.imported", column]
                if column in plan.hosts.by_column:
                    for _, found in numbers_of(command, environment(column)):
                        samples[case].setdefault(column, []).extend(found)
    return samples


def _commands(plan: Plan, guest: Path) -> dict[str, list[str]]:
    """Column -> what a user types."""
    python = plan.hosts.python
    script = Path(python).with_name("wasihost")
    ours = [str(script)] if script.exists() else [python, "-m", "wasihost"]
    commands = {column: [*ours, str(guest)] for column in OURS if column in plan.hosts.by_column}
    if "wasmtime-py" in plan.hosts.by_column:
        commands["wasmtime-py"] = [python, str(HERE / "minimal.py"), str(guest)]
    for column in ("node", "wasmtime"):
        if host := plan.hosts.by_column.get(column):
            commands[column] = host.command(str(guest), str(plan.folder))
    return commands | {"python": [python, "-c", "pass"]}


def _took(command: list[str], env: Mapping[str, str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - begin) * 1e9


def _binary(folder: Path) -> Path:
    import wasmtime

    guest = folder / "empty.wasm"
    guest.write_bytes(wasmtime.wat2wasm(wat("empty").read_text()))
    return guest
