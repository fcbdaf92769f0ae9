"""The worlds of `plain_scripts`: a guest with a folder, pipes, arguments and an environment.

Standard input is a pipe: with some bytes and an end, or, in a silent world, with nothing. Standard output is a pipe,
standard error is /dev/null. The host's ends are non-blocking, so that no call of a script waits without an end.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Final

from wasi_preview1.guest import GuestFault

from wasihost import ModuleConfig, State
from wasihost.config.inherit import Inherit
from wasihost.descriptors.host_directory import HostDirectory
from wasihost.descriptors.host_file import HostFile
from wasihost.descriptors.host_stream import HostStream
from wasihost.host.plain import PLAIN
from wasihost.native import extension

SIZE: Final = 0x10000
"""Of a guest's memory at first, in bytes."""
NAMES: Final = (
    "a", "b", "empty", "new", "d", "d/x", "d/new", "d/e", "d//x", "l", "d/../b", "..", "../a", "/a", "d/", ".",
    "none/x", "d/l", "l/x", "\xe4", "d/\xff", "a/x", "d/.", "dl/x",
)  # fmt: skip
NAMES_AT: Final = 0x20


class World:
    """One guest with a folder and pipes of its own."""

    def __init__(self, folder: Path, plain: bool, silent: bool) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "a").write_bytes(bytes(range(256)) * 20)
        (folder / "b").write_bytes(b"text " * 100)
        (folder / "empty").touch()
        (folder / "d").mkdir()
        (folder / "d" / "x").write_bytes(b"x" * 50)
        (folder / "l").symlink_to("a")
        (folder / "d" / "l").symlink_to("../b")
        (folder / "dl").symlink_to("d")
        self.memory = bytearray(b"?") * SIZE
        for number, name in enumerate(NAMES):
            self.memory[NAMES_AT + 8 * number : NAMES_AT + 8 * number + len(name)] = name.encode("latin-1")
        self.known = SIZE  # bytes of the memory that the door knows of
        stdin, writing = os.pipe()
        self.output, stdout = os.pipe()
        stderr = os.open(os.devnull, os.O_WRONLY)
        self.held = [stdin, writing, self.output, stdout, stderr]
        for fd in (stdin, self.output, stdout):
            os.set_blocking(fd, False)
        if not silent:
            os.write(writing, bytes(range(256)) * 8)
            self.held.remove(writing)
            os.close(writing)
        config = ModuleConfig().with_host_directory_preopen("/", str(folder)).with_args("name", "", "x" * 300)
        config = config.with_env("HOME", "/").with_env("EMPTY", "").with_stdin(Inherit(stdin))
        config = config.with_stdout(Inherit(stdout)).with_stderr(Inherit(stderr))
        self.state = State(lambda: self.memory, config)
        self.table = self.state.handlers.table
        self.plain = self.state.plain if plain else None
        self.quick = partial(extension.quick_call, self.state.handlers) if extension is not None else lambda *_: False
        if not plain:
            self.table.plain = None

    def call(self, name: str, numbers: tuple[int, ...], done: Counter[str]) -> object:
        """Make a call as the door does. Returns the errno, or the text of a fault."""
        if self.plain is not None and name in PLAIN:
            with memoryview(self.memory) as memory, memory[: self.known] as part:
                if self.plain.call(name, part, *numbers) or self.quick(name, part, *numbers):
                    done[name] += 1
                    return 0
        self.known = len(self.memory)  # a stub sees all of it
        return self.stub(name, numbers)

    def stub(self, name: str, numbers: tuple[int, ...]) -> object:
        """Make a call by its stub."""
        try:
            return int(getattr(self.state, name)(*numbers))
        except GuestFault as fault:
            return str(fault)

    def descriptors(self) -> dict[int, object]:
        """What is known of each open file."""
        return {
            number: (
                one.filetype(),
                _position(one),
                one.rights,
                one.inheriting,
                int(one.flags),
                one.given_up,
                one.fd >= 0,
            )
            for number, one in self.table.open.items()
            if isinstance(one, HostFile | HostStream | HostDirectory)
        }

    def written(self) -> bytes:
        """What came out since it was last asked for."""
        try:
            return os.read(self.output, 1 << 20)
        except BlockingIOError:
            return b""

    def files(self) -> dict[str, object]:
        """The size and the content of each file, without its holes; where each link leads; None for a directory."""
        return {str(path.relative_to(self.folder)): _content(path) for path in sorted(self.folder.rglob("*"))}

    def close(self) -> None:
        """Close the guest and its pipes, and remove its folder."""
        self.state.close()
        for fd in self.held:
            os.close(fd)
        shutil.rmtree(self.folder)


def _position(one: HostFile | HostStream | HostDirectory) -> int:
    return one.position if isinstance(one, HostFile) else 0


def _content(path: Path) -> str | tuple[int, list[tuple[int, bytes]]] | None:
    if path.is_symlink():
        return str(path.readlink())
    if path.is_dir():
        return None
    size, at = path.stat().st_size, 0
    parts: list[tuple[int, bytes]] = []
    with path.open("rb", buffering=0) as file:
        while at < size:
            try:
                start = os.lseek(file.fileno(), at, os.SEEK_DATA)
                end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            except OSError:  # no more data, or so near to the largest size that the system cannot say
                break
            at = min(end, start + (4 << 20))
            parts.append((start, os.pread(file.fileno(), at - start, start)))
    return size, parts
