"""The table of errnos, run or written down.

    python -m tests.conformance            run it on every back end and print what is not as it says
    python -m tests.conformance --engine pywasm   the same on another engine
    python -m tests.conformance docs       write docs/errnos.md
    python -m tests.conformance --through  run it through hooks, or record and replay it
    python -m tests.conformance --native   run it on wasmtime's own WASI and print where that differs

from the root of the repository.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.conformance.backends import comparable, problems
from tests.conformance.table import CASES, PAGE, page
from tests.support.through import CASSETTE, THROUGH
from wasihost.engines import names

_FEW = ("openat2", "memory")


def _run(native: bool, prefix: str, through: str, engine: str | None) -> int:
    """Print the problems by case; how many cases have some."""
    wrong = ran = 0
    with tempfile.TemporaryDirectory(prefix="wasihost-conformance-") as folder:
        for case in CASES:
            if not case.function.startswith(prefix):
                continue
            found: dict[str, list[str]] = {}
            for back_end in (("native",) if comparable(case) else ()) if native else case.only:
                if engine is not None and back_end not in _FEW:  # an interpreter takes seconds for a case
                    continue
                for problem in problems(case, back_end, Path(folder), through, engine):
                    found.setdefault(problem, []).append(back_end)
            ran += 1
            wrong += bool(found)
            for index, (problem, where) in enumerate(found.items()):
                print(f"{'' if index else f'{case}{chr(10)}'}    {', '.join(where)}: {problem}")
    print(f"{ran} cases, {wrong} not as the table says")
    return wrong


def main() -> int:
    """The exit status: 1 where a back end of ours does something else than the table says."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description="The table of errnos.")
    parser.add_argument("what", nargs="?", choices=["run", "docs"], default="run", help="run it (default) or write it")
    parser.add_argument("--native", action="store_true", help="compare with wasmtime's own WASI instead")
    parser.add_argument("--only", default="", metavar="PREFIX", help="functions whose name begins so")
    between = (*THROUGH, CASSETTE)
    parser.add_argument("--through", choices=between, default="nothing", help="what lies between guest and host")
    parser.add_argument("--engine", choices=names(), help="what runs the guest")
    options = parser.parse_args()
    if options.what == "docs":
        PAGE.write_text(page(), "utf-8")
        return 0
    wrong = _run(options.native, options.only, options.through, options.engine)
    return int(bool(wrong) and not options.native)


if __name__ == "__main__":
    sys.exit(main())
