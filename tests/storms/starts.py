"""Many processes that start at once and want the same module, which is not compiled yet: all get it, and it is
compiled about once."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile

from tests.storms.modules import status

FIRST = """
import sys
import wasihost
compiled = []
sys.stdin.readline()
done = wasihost.run(sys.argv[1], on_compile=compiled.append)
print(len([one for one in compiled if one.seconds is None]), done.returncode)
"""


def storm(seconds: float, chance: random.Random) -> str:
    """Three for each second, 200 at most."""
    count = max(10, min(200, int(3 * seconds)))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "module.wat")
        with open(path, "wb") as file:
            file.write(status(chance.randrange(10**9) * 100 + 42, 300))
        env = {**os.environ, "WASIHOST_CACHE_DIR": os.path.join(folder, "cache")}
        command = [sys.executable, "-c", FIRST, path]
        processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
            for _ in range(count)
        ]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
            process.stdin.flush()
        ends = [process.communicate(timeout=300) for process in processes]
        wrong = [err.decode()[-500:] for out, err in ends if not out.endswith(b" 42\n")]
        assert not wrong, f"{len(wrong)} of {count} failed: {wrong[0]}"
        compilations = sum(int(out.split()[0]) for out, _ in ends)
        assert compilations <= 3, f"{count} processes compiled the module {compilations} times"
    return f"{count} first starts at once, {compilations} compilation{'s' * (compilations != 1)}"
