"""`python -m tests.fuzz.guided`: the targets by atheris, which looks for inputs that reach new lines of wasihost.

atheris has wheels for some Pythons alone, so it is no dependency: `pip install atheris` first. It ends the process
itself when the time is up; an input that fails is printed before, to be kept in the corpus. Modules are tried in other
processes, of which it sees `inspect` alone.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Any

from hypothesis import given

from tests.fuzz.budget import long


def main() -> int:
    """The exit status where nothing is tried."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided", description=__doc__)
    parser.add_argument("target", nargs="?", default="raw")
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    try:
        atheris: Any = importlib.import_module("atheris")
    except ImportError:
        print("atheris is not installed: pip install atheris, on a Python that it has a wheel for", file=sys.stderr)
        return 2
    with atheris.instrument_imports(include=["wasihost", "wasi_preview1"]):
        targets = importlib.import_module("tests.fuzz.targets").TARGETS
    target = next((one for one in targets if one.name == options.target), None)
    if target is None:
        parser.error(f"there is no target {options.target!r}: there are {', '.join(one.name for one in targets)}")

    @long(100)
    @given(target.inputs)
    def run(one: Any) -> None:
        try:
            target.check(one)
        except BaseException:
            print(f"{target.name} failed on:\n{target.text(one)}", flush=True)
            raise

    atheris.Setup([sys.argv[0], f"-max_total_time={options.seconds}"], run.hypothesis.fuzz_one_input)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
