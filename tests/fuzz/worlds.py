"""A guest with a few of everything, on one back end, and a script of raw calls run in it and judged.

What must hold of each call, whatever its numbers: it ends with an errno or a trap, it wrote nothing that the spec does
not let it write (nothing at all if it failed), it took no more time and memory than what it moved accounts for; and
afterwards this process has open what the guest has open, and nothing more.
"""

from __future__ import annotations

import contextlib
import io
import os
import resource
import socket
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path

from wasi_preview1.types import Errno, Oflags, Rights

from tests.fuzz import spec
from tests.fuzz.raw_script import SIZE, Call, Line
from tests.sandbox.trees import STRATEGIES
from tests.support.scratch import scratch
from wasihost import GuestFault, MemoryFS, ModuleConfig, State
from wasihost.errors import ExitError
from wasihost.sandbox import resolve

BACK_ENDS = (*STRATEGIES, "memory")
LARGEST = 1 << 20
"""Of a file, in bytes: the host's limit and that of the `MemoryFS`."""
SECONDS = 0.5
"""Of the processor, for one call that moves next to nothing: what a busy machine may need, not what is usual."""
BYTES = 1 << 20
"""Of memory, for one call: the most that a file may hold here, which is moved in one piece at most."""
ARGS, ENVIRONMENT = ("prog", "x y"), {"A": "1", "LONG": "v" * 40}


class Broken(AssertionError):
    """Something that must hold does not."""


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A host folder with files, and files beside it that no call may change."""
    with scratch() as made:
        (made / "base" / "folder").mkdir(parents=True)
        (made / "base" / "file").write_bytes(b"content")
        (made / "base" / "folder" / "inner").write_bytes(b"inner")
        (made / "outside").write_bytes(b"secret")
        for name, target in _LINKS.items():
            (made / "base" / name).symlink_to(target)
        yield made / "base"
        if (made / "outside").read_bytes() != b"secret" or sorted(os.listdir(made)) != ["base", "outside"]:
            raise Broken("the guest has changed what lies outside of its folder")


def _memory() -> MemoryFS:
    fs = MemoryFS({"file": b"content", "folder/inner": b"inner"}, max_file_size=LARGEST)
    for name, target in _LINKS.items():
        fs.root.create_link(name, target)
    return fs


_LINKS = {"link": "file", "out": "../outside", "loop": "loop"}


@contextlib.contextmanager
def _small_files() -> Iterator[None]:
    """No file of this process may grow beyond `LARGEST`."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def run(script: Sequence[Line], back_end: str, *, measured: bool = False) -> list[str]:
    """What each call of a script ended with on a back end. `measured` counts memory too, which is slow.

    Raises `Broken` where something does not hold.
    """
    if back_end == "memory":
        return _judged(script, ModuleConfig().with_mount("/data", _memory()), measured)
    with folder() as made, resolve.using(STRATEGIES[back_end]), _small_files():
        return _judged(script, ModuleConfig().with_host_directory_preopen("/data", made), measured)


def _judged(script: Sequence[Line], config: ModuleConfig, measured: bool) -> list[str]:
    ours, theirs = socket.socketpair()
    theirs.sendall(b"from the peer")
    theirs.close()  # so that nothing waits: it has data, then an end
    memory = bytearray(b"?" * SIZE)
    config = (
        config.with_args(*ARGS)
        .with_env_raw(next(f"{key}={value}" for key, value in ENVIRONMENT.items()))
        .with_stdin(b"some input")
        .with_stdout(lambda _data: None)
        .with_walltime(lambda: 1_700_000_000_123_456_789, 1000)
        .with_nanotime(lambda: 42, 7)
        .with_nanosleep(lambda _duration: None)
        .with_rand_source(io.BytesIO(bytes(range(256)) * (2 * SIZE // 256)))
        .with_socket("peer", ours)
    )
    before = _open()
    with ours:
        state = State(lambda: memory, config)
        with state:
            counts = {name: _sizes(state, memory, name) for name, _ in spec.ARRAYS.values()}
            _opened(state, memory, b"file", 0)
            _opened(state, memory, b"folder", int(Oflags.DIRECTORY))
            memory[:] = b"?" * SIZE
            endings = [_step(state, memory, line, counts, measured) for line in script]
            _same_descriptors(state, before)
        if left := _open() - before:
            raise Broken(f"left open: {sorted(left)}")
    return endings


def _sizes(state: State, memory: bytearray, name: str) -> tuple[int, int]:
    assert getattr(state, name)(0, 4) == 0
    return int.from_bytes(memory[:4], "little"), int.from_bytes(memory[4:8], "little")


def _opened(state: State, memory: bytearray, path: bytes, oflags: int) -> None:
    """Something is open before the script begins: a file as 5 and a folder as 6, after the mount and the socket."""
    memory[: len(path)] = path
    rights = int(Rights.MASK & ~Rights.FD_WRITE if oflags else Rights.MASK)
    assert state.path_open(3, 0, 0, len(path), oflags, rights, rights, 0, 16) == 0


def _step(state: State, memory: bytearray, line: Line, counts: dict[str, tuple[int, int]], measured: bool) -> str:
    if not isinstance(line, Call):
        memory[line.address : line.address + len(line.data)] = line.data
        return "put"
    before = bytes(memory)
    name, numbers = line
    if measured:
        tracemalloc.start()
    started = time.thread_time()
    try:
        ending = Errno(getattr(state, name)(*numbers)).name
    except GuestFault:
        ending = "trap"
    except ExitError:
        ending = "exit"
    except Exception as error:
        raise Broken(f"{name} raised {error!r}") from error
    finally:
        took = time.thread_time() - started
        peak = tracemalloc.get_traced_memory()[1] if measured else 0
        tracemalloc.stop()
    if took > SECONDS or peak > BYTES:
        raise Broken(f"{name} took {took:.3f} s and {peak} bytes")
    if len(memory) != SIZE:
        raise Broken(f"{name} resized the memory")
    success = ending == "SUCCESS"
    may = spec.writable(name, numbers, before, counts)
    if not success and ending != "trap":
        may = spec.Writable([], [], 1, False)  # a call that failed has written nothing
    if wrong := spec.outside(before, bytes(memory), may, success=success):
        raise Broken(f"{name} ended with {ending} and wrote {len(wrong)} bytes from {wrong[0]:#x} on")
    return ending


def _open() -> set[str]:
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            found.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
    return found


def _same_descriptors(state: State, before: set[str]) -> None:
    """Each descriptor that this process has open since is one of the guest's, and the other way round."""
    opened = {int(one.split()[0]) for one in _open() - before}
    table = state.handlers.table.open.values()
    held = {fd for one in table if (fd := getattr(one, "fd", None)) is not None}
    if opened != held:
        raise Broken(f"this process has {sorted(opened)} open, the guest {sorted(held)}")
