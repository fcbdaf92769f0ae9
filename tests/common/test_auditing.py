"""The events that audit hooks get: in a process of their own, because a hook stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.guests import build_c

CODE = """
import sys, wasihost
seen = []
refused = set()
def hook(event, args):
    if event.startswith("wasihost."):
        seen.append((event[9:], *args))
        if event[9:] in refused:
            raise ZeroDivisionError(event)
sys.addaudithook(hook)
tool, folder, isolation = sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None
def run(*args, **options):
    del seen[:]
    try:
        return wasihost.run(tool, args=args, isolation=isolation, **options).returncode
    except Exception as error:
        return type(error).__name__
    finally:
        print([event for event in seen if event[0] != "cache"], flush=True)
run("exit", "3", ro_dirs={"/in": folder})
assert {"store"} <= {event[1] for event in seen if event[0] == "cache"}, seen
print(run("spin", timeout=0.2))
print(run("args", capture_output=True, max_output=1))
print(run("nothing", dirs={"/": "/does/not/exist"}))
for one in ("run", "mount", "end"):
    refused.add(one)
    print(run("exit", "0", ro_dirs={"/in": folder}))
    refused.clear()
print(run("exit", "0"))
"""


@pytest.mark.parametrize("isolation", [None, "process"])
def test_events(isolation: str | None, tmp_path: Path) -> None:
    tool = tmp_path / "tool.wasm"
    tool.write_bytes(build_c("tool").read_bytes())
    folder = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tool), folder, *([isolation] if isolation else [])],
        capture_output=True, text=True, check=False, timeout=60, env={"WASIHOST_CACHE_DIR": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.stderr == ""

    def begins(*args: str) -> tuple[object, ...]:
        return "run", "tool.wasm", (b"tool.wasm", *(one.encode() for one in args)), isolation

    mount = ("mount", "/in", folder, True)
    missing = ("mount", "/", "/does/not/exist", False)
    assert done.stdout.splitlines() == [str(line) for line in (
        [begins("exit", "3"), mount, ("end", "tool.wasm", 3)],
        [begins("spin"), ("limit", "tool.wasm", "timeout"), ("end", "tool.wasm", "TimeoutExpired")], "TimeoutExpired",
        [begins("args"), ("limit", "tool.wasm", "output"), ("end", "tool.wasm", 0)], "0",
        [begins("nothing"), missing], "ConfigError",
        [begins("exit", "0")], "ZeroDivisionError",
        [begins("exit", "0"), mount], "ZeroDivisionError",
        [begins("exit", "0"), mount, ("end", "tool.wasm", 0)], "ZeroDivisionError",
        [begins("exit", "0"), ("end", "tool.wasm", 0)], "0",
    )]  # fmt: skip
