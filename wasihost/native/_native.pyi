"""What the optional extension holds. It is written in C: wasihost/native/*.c; `wasihost.native` imports it."""

from collections.abc import Callable, Container, Iterable
from typing import Any, Final, final

from typing_extensions import Buffer

# -- plain*.c ----------------------------------------------------------------------------------------------------------

class PlainFile:
    """An open regular file, as C knows it. Made by `PlainCalls.share`."""

    position: int
    @property
    def fd(self) -> int: ...
    @property
    def flags(self) -> int: ...
    @property
    def rights(self) -> int: ...
    def close(self) -> None: ...
    def update(self, rights: int, flags: int | None, /) -> None: ...

class PlainCalls:
    """The calls of one guest that C does without the GIL."""

    @property
    def enabled(self) -> list[str]: ...
    def share(self, number: int, fd: int, rights: int, flags: int, position: int, /) -> PlainFile | None: ...
    def put(self, number: int, file: PlainFile, /) -> None: ...
    def remove(self, number: int, /) -> None: ...
    def enable(self, names: Iterable[str], /) -> None: ...
    def set_clocks(
        self, functions: tuple[Callable[[], int], ...], resolutions: tuple[int, int, int, int], /
    ) -> None: ...
    def call(self, name: str, memory: Buffer, /, *numbers: int) -> bool: ...

# -- buffers.c, filestat.c, listing.c, opening.c ----------------------------------------------------------------------

DIRENT_LAYOUT: Final[str]

def filestat(fd: int, /) -> Any: ...
def filestat_plain(dirfd: int, path: str, follow: bool, known: Container[int], resolve: int, /) -> Any: ...
def open_plain(
    dirfd: int,
    path: str,
    follow: bool,
    known: Container[int],
    resolve: int,
    flags: int,
    mode: int,
    held: list[int],
    /,
) -> int | None: ...
def pack_entries(
    entries: list[Any], check: Callable[[], object], /
) -> tuple[memoryview[int], memoryview[int]] | None: ...
def preadv(fd: int, buffers: list[memoryview], offset: int, /) -> int: ...
def pwritev(fd: int, buffers: list[memoryview], offset: int, /) -> int: ...
def read_directory(
    fd: int, inode: int, parent: int, kinds: bytes, check: Callable[[], object], /
) -> tuple[memoryview[int], memoryview[int]]: ...
def set_filestat(record: type[tuple[Any, ...]], kinds: tuple[Any, ...], exact: Callable[[int], Any], /) -> None: ...

# -- stubs.c, and the runtime witx_*.c of the generated packages ---------------------------------------------------

@final
class Stub:
    """A function of a spec, bound to a handler and a guest: numbers in, the errno out."""

    __name__: str
    def __call__(self, *numbers: float) -> int | float | None: ...

class Guest:
    """A guest as the stubs in C of a package see it, over the `Guest` of that package.

    Called from Python, a stub uses the memory that `guest.view` shows, and `guest.refresh()` where it is too short.
    """

    def __new__(cls, package: str, guest: object) -> Guest: ...
    def stub(self, handlers: object, module: str, name: str) -> Stub:
        """The stub of a function, bound to the handlers' method of its name. KeyError if there is no such function."""

def functions(package: str) -> list[tuple[str, str]]:
    """The import module and the name of each function of a package. LookupError if it has no stubs in C."""
