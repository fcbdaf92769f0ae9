"""A disk that is full: as a guest's folder, and as the folder of the cache. The guest gets ENOSPC, a run goes on
without a cache, and nothing half-written is left or used.

The disk is a tmpfs of 4 MiB in a mount namespace of this storm's own, which goes away with it.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

SIZE = 4 << 20
INSIDE = """
import random, sys
from tests.storms.disk import full
print(full(sys.argv[1], float(sys.argv[2]), random.Random(int(sys.argv[3]))))
"""
MOUNT = f'mount -t tmpfs -o size={SIZE} tmpfs "$1" && shift && exec "$@"'


def possible() -> bool:
    """Whether this system lets us mount one."""
    return subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode == 0


def storm(seconds: float, chance: random.Random) -> str:
    """In a separate mount namespace."""
    with tempfile.TemporaryDirectory() as folder:
        inner = [sys.executable, "-c", INSIDE, folder, str(seconds), str(chance.randrange(1 << 30))]
        env = {**os.environ, "WASIHOST_CACHE_DIR": os.path.join(folder, "cache")}
        command = ["unshare", "-rm", "sh", "-c", MOUNT, "sh", folder, *inner]
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
        assert not done.returncode, done.stderr[-3000:]
        assert not os.listdir(folder), "it was not a disk of its own"
    return done.stdout.strip()


def full(folder: str, seconds: float, chance: random.Random) -> str:
    """On the mounted disk: by turns fill it to a random degree, run guests that write, and compile."""
    import wasihost
    from tests.storms.modules import status
    from tests.support.guests import build_c

    tool = build_c("tool")
    work, cache, ballast = Path(folder, "work"), Path(folder, "cache"), Path(folder, "ballast")
    work.mkdir()
    until, done, refused, kept = time.monotonic() + seconds, 0, 0, 0
    while done < 4 or time.monotonic() < until:
        free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
        with suppress(OSError), ballast.open("wb") as file:
            file.write(bytes(max(0, free - chance.choice([0, 0, 4096, 100_000, 1_000_000]))))
        run = wasihost.run(tool, args=["files", "/w/f"], dirs={"/w": work}, capture_output=True, timeout=60)
        if run.returncode:
            assert run.returncode == 9, run
            assert b"No space left on device" in run.stderr, run
            refused += 1
        else:
            assert (work / "f").read_bytes() == b"written"
        number = chance.randrange(10**9)
        for _ in range(2):
            assert wasihost.run(status(number, 20)).returncode == number % 100
        fresh = [sys.executable, "-m", "wasihost", "run", "-"]  # by what is on the disk alone
        again = subprocess.run(fresh, input=status(number, 20), check=False).returncode
        assert again == number % 100, again
        entries = list(cache.iterdir()) if cache.is_dir() else []
        assert not [one.name for one in entries if one.suffix == ".tmp"], entries
        kept += sum(one.suffix == ".cwasm" for one in entries)
        for one in (*entries, ballast, work / "f"):
            one.unlink(missing_ok=True)
        done += 1
    assert refused
    number = chance.randrange(10**9)
    assert wasihost.run(status(number)).returncode == number % 100
    assert any(one.suffix == ".cwasm" for one in cache.iterdir()), "nothing is kept when there is room again"
    return f"{done} times a full disk: {refused} writes refused, {kept} modules kept where there was room"
