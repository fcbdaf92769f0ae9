"""`make demo`: compile a small C program for WASI and run it with one folder of this machine and nothing else."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import wasihost  # noqa: E402  (found by the line above)
from tests.support.guests import build_c  # noqa: E402


def main() -> int:
    """Run it, and show what it did."""
    print("compiling tests/guests/demo.c ...", flush=True)
    program = build_c("demo")
    with tempfile.TemporaryDirectory() as folder:
        host = Path(folder)
        (host / "greeting.txt").write_text("a line that was on the disk before\n")
        config = wasihost.ModuleConfig().with_name("demo").with_host_directory_preopen("/data", host)
        done = wasihost.run(program, config, args=["one", "two words"], env={"WHO": "world"}, capture_output=True)
        assert done.stdout is not None
        assert done.stderr is not None
        print("--- what the guest wrote to stdout")
        print(done.stdout.decode(), end="")
        print("--- what it wrote to stderr")
        print(done.stderr.decode(), end="")
        print("--- exit status:", done.returncode)
        print("--- answer.txt in the host's folder:", (host / "answer.txt").read_text(), end="")
        good = done.returncode == 42 and (host / "answer.txt").read_text() == "Hello, world!\n"
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
