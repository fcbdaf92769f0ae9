"""One column of the benchmark, in a process of its own.

    python -m tests.bench.columns COLUMN GUEST FOLDER ARGUMENTS...

Rules: only what a column needs is imported, so that none is measured with another's library in the process. The folder
is descriptor 3 of the guest; its standard input and output are ours, and its standard error goes nowhere. The exit
status is 0 if the guest's is. The environment decides whether our extension is used. Ctrl-C ends the process, as
it does in every other column and in `wasihost run`: with Python's own handler, guests check a counter in each loop.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import wasmtime

    from wasihost import ModuleConfig

MEMORY: Final = "memory:"
"""As the folder: an empty file system in memory, which only our columns have."""

CLIENTS: Final = 64
"""As many as `functions` accepts."""


def with_streams(folder: str, args: list[str]) -> ModuleConfig:
    """The config of our columns."""
    from wasihost import INHERIT, ModuleConfig

    config = ModuleConfig().with_args("bench", *args)
    config = config.with_stdin(INHERIT).with_stdout(INHERIT).with_stderr(INHERIT)
    config = config.with_env("NAME", "value").with_limits(open_files=None)
    if folder == MEMORY:
        from wasihost import MemoryFS

        return config.with_mount("/bench", MemoryFS())
    return config.with_host_directory_preopen("/bench", folder)


def ours(guest: str, folder: str, args: list[str]) -> None:
    """wasihost as users run it; with sockets if the guest's name says that it has a use for them."""
    from wasihost import run

    config = with_streams(folder, args)
    with contextlib.ExitStack() as stack:
        if "functions" in guest:
            config = _with_sockets(config, stack)
        run(guest, config, check=True)


def _with_sockets(config: ModuleConfig, stack: contextlib.ExitStack) -> ModuleConfig:
    """A listener with clients that wait, and a connected pair: what `functions` finds after its folder."""
    import socket

    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=CLIENTS))
    for _ in range(CLIENTS):
        stack.enter_context(socket.create_connection(listener.getsockname()))
    one, other = map(stack.enter_context, socket.socketpair())
    return config.with_listener("listener", listener).with_socket("one", one).with_socket("other", other)


def define_func(guest: str, folder: str, args: list[str]) -> None:
    """The same handlers and stubs behind wasmtime-py's public `Linker.define_func`."""
    import wasmtime

    from wasihost.engines.wasmtime.linker import define
    from wasihost.host.state import State

    engine = wasmtime.Engine()
    store, linker = wasmtime.Store(engine), wasmtime.Linker(engine)
    with State(config=with_streams(folder, args)) as state:
        run = define(linker, state, binding="define_func")
        instance = run.call(linker.instantiate, store, wasmtime.Module.from_file(engine, guest))
        start = instance.exports(store)["_start"]
        assert isinstance(start, wasmtime.Func)
        run.call(start, store)


def wasmtime_py(guest: str, folder: str, args: list[str]) -> None:
    """wasmtime's own WASI, in Rust."""
    _with_their_wasi(guest, folder, args)


def floor(guest: str, folder: str, args: list[str]) -> None:
    """A Python function that does nothing, as an unchecked callback in the place of `sched_yield`."""
    from wasihost.engines.wasmtime import trampolines
    from wasihost.engines.wasmtime.ffi import new_functype

    nothing = trampolines.CALLBACK(lambda _environment, _caller, _slots: None)

    def shadow(linker: wasmtime.Linker) -> None:
        linker.allow_shadowing = True
        address = ctypes.cast(linker.ptr(), ctypes.c_void_p).value
        assert address
        problem = trampolines.define(
            address, "wasi_snapshot_preview1", "sched_yield", new_functype((), ("i32",)), nothing
        )
        assert not problem, problem

    _with_their_wasi(guest, folder, args, shadow)


def _with_their_wasi(
    guest: str, folder: str, args: list[str], change: Callable[[wasmtime.Linker], None] | None = None
) -> None:
    import wasmtime

    engine = wasmtime.Engine()
    store, linker = wasmtime.Store(engine), wasmtime.Linker(engine)
    wasi = wasmtime.WasiConfig()
    wasi.argv = ["bench", *args]
    wasi.env = [("NAME", "value")]
    wasi.inherit_stdin()
    wasi.inherit_stdout()
    wasi.inherit_stderr()
    wasi.preopen_dir(folder, "/bench")
    store.set_wasi(wasi)
    linker.define_wasi()
    if change:
        change(linker)
    instance = linker.instantiate(store, wasmtime.Module.from_file(engine, guest))
    start = instance.exports(store)["_start"]
    assert isinstance(start, wasmtime.Func)
    start(store)


def prepare() -> None:
    """Make this process as those of all columns are."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # as in the processes of the other columns, and of our command
    sys.stderr = os.fdopen(os.dup(2), "w")  # for what goes wrong here
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def main() -> None:
    """Run the guest in the column named first."""
    column, guest, folder, *args = sys.argv[1:]
    prepare()
    columns = {"native": ours, "pure": ours, "wasmtime-py": wasmtime_py, "define_func": define_func, "floor": floor}
    columns[column](guest, folder, args)


if __name__ == "__main__":
    main()
