"""The process that runs one test program on one host: `python -m tests.suites.child`, which gets a JSON object
as its argument.

Standard streams are the program's own, and so is the exit status. What else ends it, such as a trap, is one line on
standard error and status 134.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Final, TypedDict

WASMTIME: Final = "wasmtime"
"""The host that ours is compared with: the engine's own, in Rust."""
OURS: Final = ("host", "memory")
"""What a directory is on ours: a folder of the host's, or a `MemoryFS`."""
STACK: Final = 8 << 20
"""Bytes of stack for the program on each host, as Go's own script for WASI asks of wasmtime."""
ENDED: Final = 134


class Dir(TypedDict):
    """A preopened directory, which the program may change: a folder, or a `MemoryFS` with its content."""

    guest: str
    folder: str


class Order(TypedDict):
    """What is to be run, and on which host."""

    host: str
    module: str
    args: list[str]
    env: dict[str, str]
    dirs: list[Dir]


def by_wasmtime(order: Order) -> int:
    """The exit status on wasmtime's own WASI."""
    import wasmtime

    wasi = wasmtime.WasiConfig()
    wasi.argv = order["args"]
    wasi.env = list(order["env"].items())
    for entry in order["dirs"]:
        wasi.preopen_dir(entry["folder"], entry["guest"])
    wasi.inherit_stdin()
    wasi.inherit_stdout()
    wasi.inherit_stderr()
    config = wasmtime.Config()
    config.cache = True
    # the engine wants its other stack, which is not used here, to be larger; the package has no name for that one
    wasmtime._ffi.wasmtime_config_async_stack_size_set(config.ptr(), 2 * STACK)
    config.max_wasm_stack = STACK
    engine = wasmtime.Engine(config)
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    store = wasmtime.Store(engine)
    store.set_wasi(wasi)
    module = wasmtime.Module.from_file(engine, order["module"])
    start = linker.instantiate(store, module).exports(store)["_start"]
    assert isinstance(start, wasmtime.Func)
    try:
        start(store)
    except wasmtime.ExitTrap as left:
        return int(left.code)
    return 0


def by_wasihost(order: Order) -> int:
    """The exit status on ours."""
    from tests.testsuite.child import in_memory
    from wasihost import INHERIT, ModuleConfig, run

    config = ModuleConfig().with_args(*order["args"])
    for name, value in order["env"].items():
        config = config.with_env(name, value)
    for entry in order["dirs"]:
        if order["host"] == "memory":
            fs = in_memory(Path(entry["folder"]), max_bytes=None)  # as a disk is that has enough: tests make long holes
            config = config.with_mount(entry["guest"], fs)
        else:
            config = config.with_host_directory_preopen(entry["guest"], entry["folder"])
    return run(order["module"], config, stdin=INHERIT, stdout=INHERIT, stderr=INHERIT).returncode


def main(order: Order) -> int:
    """The status to end with."""
    try:
        return by_wasmtime(order) if order["host"] == WASMTIME else by_wasihost(order)
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return ENDED


if __name__ == "__main__":
    statuses: list[int] = []
    threading.stack_size(2 * STACK)  # the main thread may have less
    thread = threading.Thread(target=lambda: statuses.append(main(json.loads(sys.argv[1]))))
    thread.start()
    thread.join()
    os._exit(statuses[0] & 255)
