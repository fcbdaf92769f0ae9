"""The process comes to its limit of descriptors in the middle of runs: an errno for the guest or an exception for the
caller, and nothing that stays open, hangs or crashes. With room again, everything works."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import random
import resource
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import wasihost
from tests.process.soak import footprint
from tests.storms.modules import SPIN, status
from tests.support.guests import build_c


def ways(folder: str) -> dict[str, Callable[[], int | None]]:
    """Runs that open descriptors. Each succeeds without the limit: it returns 0 or None."""
    tool, files = build_c("tool"), build_c("files")
    quiet: dict[str, Any] = {"stdout": wasihost.DEVNULL, "stderr": wasihost.DEVNULL}

    def ran(module: Path | bytes | str, *args: str, **options: Any) -> int:
        return int(wasihost.run(module, args=args, **(quiet | options)).returncode)

    def served() -> int:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            config = wasihost.ModuleConfig().with_listener("main", listener)
            return wasihost.run(tool, config, args=["exit", "0"], timeout=20).returncode

    def talked() -> int | None:
        with wasihost.start(tool, args=["cat"]) as process:
            out, _ = process.communicate(b"x")
        return process.returncode if out == b"x" else 1

    def expired() -> int:
        try:
            return ran(SPIN, timeout=0.01)
        except wasihost.TimeoutExpired:
            return 0

    return {
        "folder": lambda: ran(files, "list", "/data", dirs={"/data": folder}),
        "write": lambda: ran(tool, "files", "/data/f", dirs={"/data": folder}),
        "memory": lambda: ran(tool, "files", "/f", files={"g": b"1"}),
        "input": lambda: ran(tool, "cat", input=b"x", stdout=wasihost.PIPE),
        "sleep": lambda: ran(tool, "sleep", "0", timeout=20),
        "new module": lambda: ran(status(100 * random.randrange(10**7), 3)),
        "instance": lambda: wasihost.instantiate(tool, dirs={"/data": folder}).close(),
        "server": served,
        "handle": talked,
        "timeout": expired,
    }


@contextlib.contextmanager
def room_for(more: int) -> Iterator[None]:
    """The process may open that many more descriptors than it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
    held: list[int] = []
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        for fd in held[:more]:
            os.close(fd)
        del held[:more]
        yield
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def taken(chance: random.Random) -> Iterator[None]:
    """Another thread takes all free descriptors and closes them again, all the time."""
    stop = threading.Event()

    def take() -> None:
        held: list[int] = []
        while not stop.is_set():
            try:
                held.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                while held:
                    os.close(held.pop())
            time.sleep(chance.uniform(0, 2e-4))
        for fd in held:
            os.close(fd)

    thread = threading.Thread(target=take)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def attempt(way: Callable[[], int | None]) -> str | None:
    """How it failed, "" if it worked. An errno that the guest met is its status; None for an end that says nothing."""
    try:
        code = way()
        return f"status {code}" if code else ""
    except OSError as error:
        return str(error) if error.errno == errno.EMFILE else None
    except wasihost.WasihostError as error:
        return str(error) or None


def storm(seconds: float, chance: random.Random) -> str:
    """Every way with every limit, then with another thread that opens and closes."""
    with tempfile.TemporaryDirectory() as folder:
        all_ways = ways(folder)
        for name, way in all_ways.items():
            assert not way(), name
        with taken(chance):
            pass
        gc.collect()
        before = footprint()
        until, done, failed = time.monotonic() + seconds, 0, 0
        while not done or time.monotonic() < until:
            for name, way in all_ways.items():
                with taken(chance) if done % 40 >= 20 else contextlib.nullcontext(), room_for(chance.randrange(0, 20)):
                    end = attempt(way)
                assert end is not None, name
                failed += bool(end)
                done += 1
        for name, way in all_ways.items():
            assert not way(), f"{name}, when there was room again"
        gc.collect()
        now = footprint()
        assert now.descriptors <= before.descriptors, f"{before.descriptors} descriptors, then {now.descriptors}"
    assert failed
    return f"{done} runs near the limit, of which {failed} met it"
