"""A process that swaps what a guest's paths name as fast as it can; it prints how often.

Run as a script by `tests.escape`, in the folder that holds `base` and `outside`, for some seconds: one of the ways
to swap per process. What the guest has destroyed in between is made anew.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import time

_EXCHANGE = 2
_AT_FDCWD = -100


def folder(path: str) -> None:
    """A directory with what a guest looks for; never through a link, which this process has just put there."""
    with contextlib.suppress(OSError):
        os.mkdir(path)
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            file = os.open("secret", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, dir_fd=fd)
            os.write(file, b"harmless")
            os.close(file)
            os.mkdir("sub", dir_fd=fd)
        finally:
            os.close(fd)


def exchange(libc: ctypes.CDLL, first: str, second: str) -> bool:
    """renameat2 with RENAME_EXCHANGE."""
    answer: int = libc.renameat2(_AT_FDCWD, first.encode(), _AT_FDCWD, second.encode(), _EXCHANGE)
    return answer == 0


def link(content: str, path: str) -> None:
    """A link, if nothing is there."""
    with contextlib.suppress(OSError):
        os.symlink(content, path)


def main(way: str, seconds: float) -> int:
    """How often it was swapped."""
    libc = ctypes.CDLL(None, use_errno=True)
    end, swaps = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        if way == "folder":
            folder("base/here")
            link("../outside", "base/spare")
            swaps += sum(exchange(libc, "base/here", "base/spare") for _ in range(200))
        elif way == "file":
            with contextlib.suppress(OSError), open("base/flip", "x") as file:
                file.write("harmless")
            link("../outside/secret", "base/flop")
            swaps += sum(exchange(libc, "base/flip", "base/flop") for _ in range(200))
        else:  # a directory that a guest walks through leaves the base and comes back
            with contextlib.suppress(OSError):
                os.makedirs("base/moved/inner", exist_ok=True)
            for _ in range(200):
                with contextlib.suppress(OSError):
                    os.rename("base/moved/inner", "outside/parking/inner")
                    os.rename("outside/parking/inner", "base/moved/inner")
                    swaps += 1
    return swaps


if __name__ == "__main__":
    print(main(sys.argv[1], float(sys.argv[2])))
