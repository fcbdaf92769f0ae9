"""What the optional extension holds. It is written in C: wasihost/native/*.c; `wasihost.native` imports it."""

from collections.abc import Callable, Container, Iterable
from typing import Any, Final, final

from typing_extensions import Buffer

# -- plain*.c ----------------------------------------------------------------------------------------------------------

class PlainFile:
    """An open file or stream, as C knows it. Made by `PlainCalls.share`."""

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
    def share(
        self, number: int, fd: int, filetype: int, rights: int, flags: int, position: int, /
    ) -> PlainFile | None: ...
    def put(self, number: int, file: PlainFile, /) -> None: ...
    def remove(self, number: int, /) -> None: ...
    def enable(self, names: Iterable[str], /) -> None: ...
    def set_clocks(
        self, functions: tuple[Callable[[], int], ...], resolutions: tuple[int, int, int, int], /
    ) -> None: ...
    def set_strings(
        self, arguments: tuple[bytes, ...], environment: tuple[bytes, ...], subscriptions: int, /
    ) -> None: ...
    def call(self, name: str, memory: Buffer, /, *numbers: int) -> bool: ...

# -- quick*.c ----------------------------------------------------------------------------------------------------------

def set_quick(
    directories: tuple[type, type],
    file: type,
    resolving: dict[str, Any],
    by_openat2: Callable[..., int],
    reserve: object,
    adopt: Callable[..., int],
    pop: Callable[[list[int]], int],
    push: Callable[[list[int], int], None],
    no_flags: int,
    rights: tuple[int, ...],
    sealed: int,
    all_rights: int,
    /,
) -> None:
    """Say what quick calls work with: see `Quick` in quick.h."""

def quick_call(host: object, name: str, memory: Buffer, /, *numbers: int) -> bool:
    """Make a call over a buffer, for tests; True if it was plain, and is done."""

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

def codecs(package: str, /) -> list[tuple[Any, ...]]:
    """The readers and writers that the stubs of a package use: of each record and variant of numbers one in C."""

class Guest:
    """A guest as the stubs in C of a package see it, over the `Guest` of that package.

    Called from Python, a stub uses the memory that `guest.view` shows, and `guest.refresh()` where it is too short.
    """

    def __new__(cls, package: str, guest: object) -> Guest: ...
    def stub(self, handlers: object, module: str, name: str) -> Stub:
        """The stub of a function, bound to the handlers' method of its name. KeyError if there is no such function."""

def functions(package: str) -> list[tuple[str, str]]:
    """The import module and the name of each function of a package. LookupError if it has no stubs in C."""

# -- the engine's door ----------------------------------------------------------------------------------------------

ENDED: Final[object]
"""What a call of an `Export` returns if the guest has ended instead: `Door.take_end` has the reason."""

@final
class Store:
    """A store of the engine, deleted with the last reference: the door has one, and every view of the memory."""

    @property
    def context(self) -> int: ...
    @property
    def ptr(self) -> int: ...

@final
class Export:
    """An exported function. Takes numbers; returns what `EngineInstance.call` returns, or `ENDED`."""

    def __call__(self, *numbers: float) -> Any: ...

@final
class Door:
    """One instance: who is inside, its functions, its memory, how it ended. Called, it returns a view of the memory."""

    def __call__(self) -> memoryview: ...
    def __enter__(self) -> None:
        """Hold it for this thread. RuntimeError if another thread does."""
    def __exit__(self, *_: object) -> None: ...
    @property
    def store(self) -> Store | None: ...
    @property
    def depth(self) -> int: ...
    @property
    def instance(self) -> int:
        """The address of its `wasmtime_instance_t`."""
    @property
    def has_memory(self) -> bool: ...
    def is_mine(self) -> bool:
        """Whether this thread holds it."""
    def open(
        self,
        engine: int,
        guest: object,
        wanted: list[Any],
        owner: object,
        scope: object,
        ticks: int,
        memory: int,
        elements: int,
        looks: bool,
        plain: PlainCalls | None,
        /,
    ) -> None:
        """Make the store and take all that the guest gets.

        `wanted` has (item, signature, stub) of each import, in the order of the callbacks; `owner` and `scope` are what
        `watch` takes, see `connect`. `ticks` of the engine's epoch are the first deadline, 0 where it has none;
        `memory` in bytes and `elements` of a table are the limits, -1 for none. `looks`: the memory may have to be
        found in the first callback. `plain` are the calls that need no Python.
        """
    def bind(self, extern: int, /) -> None:
        """Show the memory of the extern at this address to the stubs."""
    def instantiate(self, pre: int, linker: int, module: int, exports_memory: bool, /) -> bool:
        """Make the instance, from `pre` or from a linker and a module; False if the guest has ended.

        `exports_memory`: it may export its memory by that name.
        """
    def export(self, name: str, params: str, results: str, refuse: Callable[..., bytes], /) -> Export | None:
        """An exported function, None if there is none that can be called.

        `params` and `results` have a `struct` character per number. `refuse` is called with numbers that are not plain:
        it raises, or returns the bytes of their slots.
        """
    def take_end(self) -> tuple[list[BaseException], int, int]:
        """Why the guest ended: what was raised, and the engine's error and trap, which the caller frees."""
    def close(self) -> None:
        """Release everything; views of the memory stay valid. RuntimeError while the guest runs."""

def engine_functions() -> tuple[str, ...]:
    """The names of the engine's functions that `connect` needs."""

def connect(addresses: tuple[int, ...], parts: tuple[Any, ...], /) -> None:
    """Set their addresses, and what the door needs of the adapter (`Adapter` in door.h)."""

def callback() -> int:
    """The address of the callback of every import; its environment is the import's index."""

def get_nested() -> int:
    """How many stores this thread has entered."""

def set_nested(count: int, /) -> None: ...
def get_running() -> int:
    """How many stores are entered, in all threads."""

def handlers(others: bool, displaced: bool, /) -> None:
    """Whether others put signal handlers before the engine's, and whether some of them wait until no guest runs."""

def signal_functions() -> bytes:
    """The addresses of the system's functions for the signals by which guests trap: SEGV, BUS, ILL, FPE."""

def handlers_changed() -> None:
    """A handler of a signal was set."""

def forked() -> None:
    """Called in a forked child, where only this thread is."""
