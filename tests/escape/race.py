"""A real guest that wants out of its folder, and processes that swap what its paths name meanwhile."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tests.support.guests import build_c
from wasihost import PIPE, Errno, Module, Overlay, run
from wasihost.sandbox import resolve

SWAPPER = Path(__file__).with_name("swapper.py")
WAYS = ("folder", "file", "moved")


class Outcome(NamedTuple):
    """What came of it. `escapes` are sentences; there must be none."""

    calls: int
    swaps: int
    results: Counter[str]
    escapes: list[str]


def race(
    root: Path,
    strategy: resolve.Strategy,
    seconds: float,
    seed: int = 1,
    *,
    through_overlay: bool = False,
    engine: str | None = None,
) -> Outcome:
    """Let the guest try for `seconds` seconds with this way of resolving paths, or through an overlay over the base."""
    base, outside = root / "base", root / "outside"
    (base / "dir").mkdir(parents=True)
    (base / "file").write_text("inside")
    (base / "link").symlink_to("../outside")
    (base / "dir" / "up").symlink_to("..")
    (outside / "sub").mkdir(parents=True)
    (outside / "parking").mkdir()
    for path in ("secret", "sub/secret", "only-outside"):
        (outside / path).write_text("SECRET")
    before = _picture(outside)
    inodes = [
        os.stat(path).st_ino for path in (outside, outside / "secret", outside / "sub", outside / "sub" / "secret")
    ]
    swappers = [
        subprocess.Popen(
            [sys.executable, str(SWAPPER), way, str(seconds + 0.3)], cwd=root, stdout=subprocess.PIPE, text=True
        )
        for way in WAYS
    ]
    module = Module(build_c("escape"), engine=engine)
    try:
        with resolve.using(strategy), contextlib.ExitStack() as opened:
            args = [str(seconds), str(seed), *map(str, inodes)]
            source = opened.enter_context(Overlay(base)) if through_overlay else base
            done = run(module, args=args, dirs={"/": source}, stdout=PIPE, text=True, timeout=seconds + 60)
    finally:
        swaps = sum(int(swapper.communicate()[0] or 0) for swapper in swappers)
    escapes = [line for line in done.stdout.splitlines() if line.startswith("ESCAPE")]
    after = _picture(outside)
    escapes += [f"outside/{path} is {after.get(path)} and was {before.get(path)}"
                for path in sorted({*before, *after}) if before.get(path) != after.get(path)]  # fmt: skip
    found = sorted(path.name for path in root.iterdir())
    if found != ["base", "outside"]:
        escapes.append(f"beside the base: {found}")
    results, calls = Counter[str](), 0
    for line in done.stdout.splitlines():
        what, *numbers = line.split()
        if what == "calls":
            calls = int(numbers[0])
        elif what == "errno":
            results[Errno(int(numbers[0])).name] += int(numbers[1])
    return Outcome(calls, swaps, results, escapes)


def _picture(outside: Path) -> dict[str, tuple[object, ...]]:
    """Everything outside that a guest could change, but for the folder where directories are moved to and fro."""
    found: dict[str, tuple[object, ...]] = {}
    for folder, directories, files in os.walk(outside):
        if os.path.basename(folder) == "parking":
            directories.clear()
            continue
        for name in [*directories, *files]:
            path = Path(folder) / name
            st = path.lstat()
            times = () if path.is_dir() else (st.st_mtime_ns,)
            content = path.read_bytes() if path.is_file() else b""
            found[str(path.relative_to(outside))] = (st.st_mode, st.st_ino, st.st_nlink, st.st_size, content, *times)
    return found
