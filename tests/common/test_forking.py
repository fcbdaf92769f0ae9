"""Hooks at a fork: registered in one place, and called in the order that is promised there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import wasihost

ORDER = """
import os
from wasihost.common.forking import Locked, before_fork, in_forked_child

class Shared(Locked):
    def renew_locks(self):
        print("locks", flush=True)

shared = Shared()

@in_forked_child
def first():
    print("first", flush=True)

in_forked_child(lambda: print("second", flush=True))
before_fork(lambda: print("before", flush=True))
before_fork(lambda: print("earlier", flush=True))
if pid := os.fork():
    os.waitpid(pid, 0)
else:
    os._exit(0)
"""


def test_hooks_run_in_the_order_of_registration_and_after_shared_locks_are_renewed() -> None:
    done = subprocess.run([sys.executable, "-c", ORDER], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == [
        "locks",
        "earlier",
        "before",
        "locks",
        "first",
        "second",
    ]  # one for `Shared()` itself


def test_no_module_registers_hooks_by_itself() -> None:
    root = Path(wasihost.__file__).parent
    files = {file.relative_to(root).as_posix() for file in root.rglob("*.py") if "register_at_fork" in file.read_text()}
    assert files == {"common/forking.py"}
