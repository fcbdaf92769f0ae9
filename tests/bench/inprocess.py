"""One measurement of what embedders do in Python, in a process of its own.

    python -m tests.bench.inprocess PART COLUMN [quick]

Prints a name and its numbers a line, ns unless it says otherwise. COLUMN: `wasmtime-py` or one of ours; whether our
extension is used is up to the environment. Rules: only what a column needs is imported. What is compared with each
other is measured in turns.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.bench.programs import program
from tests.support.guests import wat

if TYPE_CHECKING:
    import wasmtime

PIECE: Final = 1 << 16
MIB: Final = 1 << 20

CLOCKS: Final = """(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $now (param i32 i64 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $n i32)
    (loop $again
      (drop (call $now (i32.const 1) (i64.const 1) (i32.const 0)))
      (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const COUNT))))))"""
"""A guest that makes COUNT calls and does nothing else."""

EXIT: Final = """(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") CALL))"""


def took(work: Callable[[], object]) -> float:
    """ns of wall time."""
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) * 1e9


def report(name: str, *numbers: float) -> None:
    """Print a line."""
    print(name, *(f"{number:.3f}" for number in numbers))


def runner(column: str, source: Any) -> Callable[[], object]:
    """Runs a guest, compiled once, with a host of its own each time; as users of either library write it."""
    if column != "wasmtime-py":
        import wasihost

        module = wasihost.Module(source)
        return lambda: wasihost.run(module)
    import wasmtime

    engine = wasmtime.Engine()
    text = source if isinstance(source, str) else Path(source).read_text()
    compiled = wasmtime.Module(engine, text)
    return lambda: _with_their_wasi(engine, compiled)


def _with_their_wasi(engine: wasmtime.Engine, module: wasmtime.Module) -> None:
    import wasmtime

    store, linker = wasmtime.Store(engine), wasmtime.Linker(engine)
    store.set_wasi(wasmtime.WasiConfig())
    linker.define_wasi()
    start = linker.instantiate(store, module).exports(store)["_start"]
    assert isinstance(start, wasmtime.Func)
    with contextlib.suppress(wasmtime.ExitTrap):  # of status 0
        start(store)


def runs(column: str, quick: bool) -> None:
    """A run of an empty guest; and of one that ends by `proc_exit`, less one that has the import and returns."""
    empty = runner(column, wat("empty"))
    batch, batches = (3, 1) if quick else (50, 8)
    empty()
    report("empty_run", *(took(lambda: [empty() for _ in range(batch)]) / batch for _ in range(batches)))
    ends, returns = (runner(column, EXIT.replace("CALL", call)) for call in ("(call $exit (i32.const 0))", ""))
    differences = [took(ends) - took(returns) for _ in range(5 if quick else 200)]
    report("proc_exit()", max(statistics.median(differences), 1))


def threads(column: str, quick: bool) -> None:
    """A guest that makes calls only: one of them, then two at once in two threads; ns of wall time per call."""
    count = 1000 if quick else 300_000
    run = runner(column, CLOCKS.replace("COUNT", str(count)))

    def in_threads(number: int) -> float:
        workers = [threading.Thread(target=run) for _ in range(number)]

        def all_of_them() -> None:
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()

        return took(all_of_them) / count

    in_threads(2)
    for _ in range(1 if quick else 3):
        report("threads_1", in_threads(1))
        report("threads_2", in_threads(2))


COMPUTES: Final = """(module (memory (export "memory") 1) (func (export "_start") (local $n i32)
  (loop $again (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const COUNT))))))"""
"""A guest that counts to COUNT."""


def many(column: str, quick: bool) -> None:
    """Runs per second: one after the other, in two threads, in two processes."""
    text, count = COMPUTES.replace("COUNT", "1000" if quick else "1500000"), 10 if quick else 400
    run = runner(column, text)

    def rate(work: Callable[[], object]) -> float:
        work()
        return count / took(work) * 1e9

    report("map_one", rate(lambda: [run() for _ in range(count)]))
    if column == "wasmtime-py":
        with ThreadPoolExecutor(2) as pool:
            report("map_threads", rate(lambda: list(pool.map(lambda _: run(), range(count)))))
        return
    import wasihost

    module = wasihost.Module(text)
    report("map_threads", rate(lambda: list(wasihost.map(module, [[]] * count, jobs=2))))
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as processes:
        report("map_processes", rate(lambda: list(wasihost.map(module, [[]] * count, executor=processes))))


def dask(_column: str, quick: bool) -> None:
    """Runs per second on a Dask cluster of two processes, of the same guest."""
    import distributed

    import wasihost

    text, count = COMPUTES.replace("COUNT", "1000" if quick else "1500000"), 4 if quick else 200
    with (
        distributed.LocalCluster(  # type: ignore[no-untyped-call]  # distributed declares few types
            n_workers=2, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,  # type: ignore[no-untyped-call]  # the same
    ):
        executor = client.get_executor()

        def work() -> None:
            list(wasihost.map(text, [[]] * count, executor=executor))

        work()
        report("map_dask", count / took(work) * 1e9)


CALLED: Final = """(module (memory (export "memory") 1) (global $free (mut i32) (i32.const 1024))
  (func (export "malloc") (param i32) (result i32) (global.get $free)
    (global.set $free (i32.add (global.get $free) (local.get 0))))
  (func (export "free") (param i32) (global.set $free (i32.const 1024)))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "echo") (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1)))))"""


def warm(_column: str, quick: bool) -> None:
    """A call of an export, and of the same function as `wasihost.function`."""
    import wasihost

    count = 10 if quick else 20_000
    module = wasihost.Module(CALLED)
    add = wasihost.function(module, "add", params=[int, int], returns=int)
    echo = wasihost.function(module, "echo", params=[str], returns=str)
    with wasihost.instantiate(module) as instance, add.warm_up(), echo.warm_up():
        export, texts = instance.exports.add, instance.exports.echo
        for _ in range(1 if quick else 3):
            report("call_export", took(lambda: [export(1, 2) for _ in range(count)]) / count)
            report("call_function", took(lambda: [add(1, 2) for _ in range(count)]) / count)
            report("call_text", took(lambda: [texts("some text", returns=str) for _ in range(count)]) / count)
            report("function_text", took(lambda: [echo("some text") for _ in range(count)]) / count)


class Source(io.RawIOBase):
    """An endless stream of Python's own."""

    data = bytes(range(256)) * (PIECE // 256)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = len(buffer)
        buffer[:] = self.data[:size] if size < PIECE else self.data
        return size

    def read(self, size: int = -1) -> bytes:
        return self.data if size >= PIECE else self.data[:size]


class Sink(io.RawIOBase):
    """Keeps the last that was written."""

    room = bytearray(PIECE)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.room[: len(data)] = data
        return len(data)


def streams(_column: str, quick: bool) -> None:
    """A piece of 64 KiB from a Python object through a guest to another, and the same by `readinto` and `write`."""
    import wasihost

    module = wasihost.Module(program(quick=quick))
    pieces = 10 if quick else 4000

    def through_guest(number: int) -> float:
        return took(lambda: wasihost.run(module, args=[str(number), "cat"], stdin=Source(), stdout=Sink(), check=True))

    def through_python() -> None:
        source, sink, room = Source(), Sink(), memoryview(bytearray(PIECE))
        for _ in range(pieces):
            sink.write(room[: source.readinto(room)])

    through_guest(1)
    for _ in range(1 if quick else 3):
        report("python_stream", max(through_guest(pieces) - through_guest(0), 1) / pieces)
        report("python_stream_plain", took(through_python) / pieces)


def timeouts(_column: str, quick: bool) -> None:
    """CPU time of CPython that computes, in a thread, without a timeout and with one."""
    import wasihost
    from tests.apps.test_applications import CPYTHON
    from tests.bench.ends import BUSY, in_a_thread

    module = wasihost.Module(program(quick=True) if quick else CPYTHON)  # CPython takes seconds to compile, twice
    args = ["1", "busy"] if quick else ["-c", BUSY]
    report("busy", in_a_thread(lambda: wasihost.run(module, args=args)) * 1e9)
    report("busy_timeout", in_a_thread(lambda: wasihost.run(module, args=args, timeout=60)) * 1e9)


def copy(_column: str, quick: bool) -> None:
    """The bytes by which a copy of 1 GiB raises this process's peak, after one of 1 MiB."""
    import wasihost

    module = wasihost.Module(program(quick=quick))
    with tempfile.TemporaryDirectory() as folder:
        peaks = []
        for size in (MIB, MIB if quick else 1 << 30):
            with open(f"{folder}/big", "wb") as big:
                big.truncate(size)
            config = wasihost.ModuleConfig().with_host_directory_preopen("/bench", folder)
            wasihost.run(module, config, args=["0", "copy"], check=True)
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
    report("copy_peak", peaks[1] - peaks[0])


PARTS: Final = {
    "runs": runs,
    "threads": threads,
    "many": many,
    "dask": dask,
    "warm": warm,
    "streams": streams,
    "timeouts": timeouts,
    "copy": copy,
}


def main() -> None:
    """Measure the part that is named first."""
    part, column, *quick = sys.argv[1:]
    PARTS[part](column, bool(quick))


if __name__ == "__main__":
    main()
