"""The public wasi-testsuite on this host: `make testsuite SUITE=DIR`, or `python -m tests.testsuite DIR`.

Rules of this folder: nothing of the suite is kept here. Each test runs in a separate process, with a fresh copy of
its folder and a time limit, so that one that hangs or crashes is one failure and no more.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.through import CASSETTE, THROUGH
from tests.testsuite.cases import Case, SuiteError, find
from tests.testsuite.child import BACKENDS, Order
from wasihost.engines import names

ROOT = Path(__file__).resolve().parents[2]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.testsuite", description="Run the public wasi-testsuite.")
    parser.add_argument("suite", type=Path, metavar="SUITE_DIR", help="a checkout of it, or a folder of one")
    parser.add_argument("--backend", choices=BACKENDS, default="host", help="what the guest's / is (default host)")
    parser.add_argument(
        "--through", choices=(*THROUGH, CASSETTE), default="nothing", help="what lies between guest and host"
    )
    parser.add_argument("--engine", choices=names(), help="what runs the guest")
    parser.add_argument("-k", default="", metavar="NAME", help="only the tests with NAME in their name")
    parser.add_argument("--timeout", type=float, default=30, metavar="S", help="time limit for each (default 30)")
    return parser.parse_args()


def failures(
    case: Case, backend: str, timeout: float, through: str = "nothing", engine: str | None = None
) -> list[str]:
    """Run one test: what was expected and what came, a line for each thing that is wrong."""
    if case.unclear:
        return [case.unclear]
    with tempfile.TemporaryDirectory(prefix="wasihost-testsuite-") as folder:
        report, root = Path(folder, "report"), None
        if case.root is not None:
            root = Path(folder, "root")
            # the suite's own runner leaves *.cleanup behind, and removes them before a test
            shutil.copytree(case.root, root, symlinks=True, ignore=shutil.ignore_patterns("*.cleanup"))
        order = Order(
            module=str(case.module.absolute()), args=case.args, env=case.env, root=str(root) if root else None,
            backend=backend, through=through, engine=engine, report=str(report),
        )  # fmt: skip
        command = [sys.executable, "-m", "tests.testsuite.child", json.dumps(order)]
        try:
            done = subprocess.run(  # standard input is an empty pipe, as the suite's own runner has it
                command, cwd=ROOT, input=b"", capture_output=True, timeout=timeout, check=False
            )
            came, stderr = f"process that ended with {done.returncode}", done.stderr
            if report.exists():
                came = report.read_text("utf-8")
        except subprocess.TimeoutExpired as error:
            came, stderr = f"no end within {timeout:g} s", error.stderr or b""
    if came != str(case.exit_code):
        said = f"; stderr {_text(stderr)}" if stderr else ""
        return [f"expected exit status {case.exit_code}, got {came}{said}"]
    outputs = (("stdout", case.stdout, done.stdout), ("stderr", case.stderr, done.stderr))
    return [
        f"expected {name} {expected!r}, got {_text(got)}"
        for name, expected, got in outputs
        if expected is not None and got != expected.encode()
    ]


def _text(output: bytes) -> str:
    return repr(output.decode(errors="backslashreplace"))


def main() -> int:
    """Print the failures and the count; the exit status."""
    options = _arguments()
    try:
        cases = [case for case in find(options.suite) if options.k in case.name]
        if not cases:
            raise SuiteError(f"no test has {options.k!r} in its name")
    except SuiteError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    passed = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(
            lambda case: failures(case, options.backend, options.timeout, options.through, options.engine), cases
        )
        for case, wrong in zip(cases, results, strict=True):
            passed += not wrong
            for line in wrong:
                print(f"FAILED {case.name}: {line}", flush=True)
    print(f"{passed} of {len(cases)} passed")
    return int(passed != len(cases))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
