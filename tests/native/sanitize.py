"""`make sanitize`: run tests on an extension that is compiled with ASan and UBSan, which end it at the first mistake.

The extension of the tree is replaced for that time and made again at the end. Leaks are not looked for: Python keeps
much until its end. `PYTHONMALLOC=malloc` lets ASan see each object of Python by itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import hatch_build

SANITIZERS = "-fsanitize=address,undefined"
TESTS = ("tests/native", "tests/handlers", "tests/raw", "tests/host")
TOO_QUICK = "tests/handlers/test_poll.py::test_of_several_timers_those_that_are_due_are_reported"
"""Expects a call to take less time than it does with sanitizers."""


def libraries() -> str:
    """The runtimes of the sanitizers, which have to be loaded before Python is."""
    paths = []
    for name in ("libasan.so", "libubsan.so"):
        command = [*hatch_build.compiler(), f"-print-file-name={name}"]
        path = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        if not os.path.isabs(path):
            sys.exit(f"{command[0]} has no {name}: install gcc's sanitizers, or choose a compiler with CC")
        paths.append(os.path.realpath(path))
    return ":".join(paths)


def main(tests: Sequence[str]) -> int:
    """Run the tests; returns pytest's status."""
    preload = libraries()
    os.environ["CFLAGS"] = f"{SANITIZERS} -fno-sanitize-recover=all -fno-omit-frame-pointer -O1"
    os.environ["LDFLAGS"] = SANITIZERS
    target = hatch_build.in_place()
    try:
        hatch_build.build(target, strict=True)
        environment = os.environ | {
            "LD_PRELOAD": preload,
            "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "PYTHONMALLOC": "malloc",
        }
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--deselect", TOO_QUICK]
        command += tests or TESTS
        return subprocess.run(command, env=environment, check=False).returncode
    finally:
        del os.environ["CFLAGS"], os.environ["LDFLAGS"]
        hatch_build.build(target, strict=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
