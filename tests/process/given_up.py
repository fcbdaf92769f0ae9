"""python given_up.py preload|first ROOT TOOL FILES SERVER: a server that drops its privileges, and then runs guests.

It brings in what it needs by `wasihost.preload()`, or only by a first run; as root it moves to ROOT, an almost empty
root, and becomes the user nobody. Then it runs guests in every way, and prints the result of each and a line `imports:`
with every module that was looked for meanwhile. `test_preload` runs it.
"""

from __future__ import annotations

import asyncio
import io
import os
import socket
import sys
import threading
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import wasihost

NOBODY = 65534
SPIN = '(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))'
TRAP = '(module (memory (export "memory") 1) (func (export "_start") unreachable))'
CALLS = '(module (import "mine" "f" (func $f (param i32) (result i32))) (memory (export "memory") 1) (func (export "_start") (drop (call $f (i32.const 7)))))'  # fmt: skip  # noqa: E501
LIBRARY = '(module (func (export "f") (param i32) (result i32) (local.get 0)))'
OLD = """(module (import "wasi_unstable" "proc_exit" (func $exit (param i32))) (memory (export "memory") 1)
  (func (export "_start") (call $exit (i32.const 3))))"""

how, root, *guests = sys.argv[1:]
tool, files, server = (wasihost.Module(Path(guest).read_bytes()) for guest in guests)
spin, trap, calls, library, old = (wasihost.Module(text) for text in (SPIN, TRAP, CALLS, LIBRARY, OLD))
archive = io.BytesIO()
with zipfile.ZipFile(archive, "w") as made:
    made.writestr("a.txt", "in a zip")
zipped = zipfile.Path(archive)
FOLDER = root + "/data" if os.getuid() else "/data"  # beyond the change of root


class Hooked:
    """A stream of one's own that says whether it has something."""

    def read(self, size: int) -> bytes:
        return b""

    def readable(self, timeout: float) -> bool:
        return True


def failing(_data: bytes) -> None:
    raise KeyError("of the embedder")


def pipe(data: bytes) -> Any:
    """The end of a pipe that has something to be read."""
    ours, theirs = os.pipe()
    os.write(theirs, data)
    os.close(theirs)
    return os.fdopen(ours, "rb")


def listening() -> str:
    """A server serves one client."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = wasihost.ModuleConfig().with_listener("main", listener)
        guest = threading.Thread(
            target=wasihost.run, args=(server, config), kwargs={"args": ["echo", "1"], "timeout": 20}
        )
        guest.start()
        with socket.create_connection(listener.getsockname()) as client:
            client.sendall(b"hello")
            client.shutdown(socket.SHUT_WR)
            got = b"".join(iter(lambda: client.recv(99), b""))
        guest.join(30)
    return got.decode()


def doubled(caller: Callable[[], object]) -> str:
    """What it raises, in a word."""
    try:
        caller()
    except Exception as error:
        return f"{type(error).__name__}: {traceback.format_exception_only(error)[0][:5]}"
    return "nothing"


def shown(module: wasihost.Module, *args: str, **options: Any) -> object:
    options.setdefault("capture_output", True)
    done = wasihost.run(module, args=args, **options)
    return done.returncode, done.stdout, done.stderr


def called(number: int) -> int:
    return number + 1


def reactor() -> object:
    with wasihost.instantiate(library, timeout=5) as guest:
        return guest.call("f", 5), shown(calls, imports=guest.as_imports("mine"))[0]  # type: ignore[index]


def in_a_thread() -> object:
    got: list[object] = []
    thread = threading.Thread(target=lambda: got.append(shown(tool, "exit", "6")))
    thread.start()
    thread.join()
    return got


def host_function() -> object:
    mine = wasihost.Imports("mine")
    mine.function(name="f")(called)
    return shown(calls, imports=mine)


WAYS: dict[str, Callable[[], object]] = {
    "bytes": lambda: shown(tool, "cat", input=b"in"),
    "text": lambda: shown(tool, "cat", input="é", text=True),
    "encoding": lambda: shown(tool, "cat", input="é", encoding="latin-1", errors="replace"),
    "objects": lambda: shown(tool, "cat", stdin=io.StringIO("é"), stdout=io.StringIO(), stderr=io.BytesIO(),
                             capture_output=False)[0],  # type: ignore[index]
    "hooked": lambda: shown(server, "chat", stdin=Hooked(), timeout=10),
    "pipe": lambda: shown(server, "chat", stdin=pipe(b"a\n"), timeout=10),
    "memory": lambda: shown(tool, "files", "/a.txt", files={"b": b"1"}),
    "zip": lambda: shown(tool, "show", "/a.txt", fs=zipped),
    "folder": lambda: shown(files, "list", "/data", dirs={"/data": FOLDER}),
    "read-only": lambda: shown(tool, "files", "/data/x", ro_dirs={"/data": FOLDER}),
    "status": lambda: shown(tool, "exit", "3"),
    "check": lambda: doubled(lambda: wasihost.run(tool, args=["exit", "3"], check=True)),
    "sleep": lambda: shown(tool, "sleep", "0.01", stats=True),
    "timeout": lambda: doubled(lambda: wasihost.run(spin, timeout=0.05)),
    "trap": lambda: doubled(lambda: wasihost.run(trap)),
    "own error": lambda: doubled(lambda: wasihost.run(tool, args=["both"], stdout=failing)),
    "misuse": lambda: doubled(lambda: wasihost.run(tool, args="x")),
    "unknown": lambda: doubled(lambda: wasihost.run(calls)),
    "limit": lambda: shown(tool, "cat", input=b"x" * 99, max_output=5),
    "open files": lambda: shown(tool, "both", max_memory=64 << 20),
    "reactor": reactor,
    "host function": host_function,
    "fuel": lambda: shown(tool, "both", fuel=10**9),
    "thread": in_a_thread,
}  # fmt: skip
LATER: dict[str, Callable[[], object]] = {
    "preview0": lambda: shown(old),
    "socket": listening,
    "async": lambda: asyncio.run(wasihost.run_async(tool, args=["exit", "4"])).returncode,
}
"""What only `preload` prepares: another function of the package, and a host name that this file looks up."""


class Watch:
    """First of `sys.meta_path`: notes every module that is not there yet."""

    names: tuple[str, ...] = ()

    @classmethod
    def find_spec(cls, name: str, _path: object = None, _target: object = None) -> None:
        cls.names += (name,)


if __name__ == "__main__":
    traceback.format_exception_only(ValueError())  # `doubled` uses it, and 3.15 imports parts of it at first use
    if how == "preload":
        wasihost.preload()
        WAYS.update(LATER)
    else:
        shown(tool, "both")
    if not os.getuid():
        os.chroot(root)
        os.chdir("/")
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    sys.meta_path.insert(0, Watch)
    for name, way in WAYS.items():
        try:
            print(f"{name}: {way()}")
        except BaseException as error:
            print(f"{name}: RAISED {type(error).__name__}: {error}")
    print("imports:", *Watch.names)
