"""The same case on each back end: its tree is made, the guest runs on the real engine, and the tree is looked at.

Rules of this file: it knows how a tree is made and read, and nothing of what a case expects. Each run has a tree, a
State and an instance of its own. The back ends:

    openat2, walk   a folder of the host, with that strategy of the sandbox in use
    memory          a `MemoryFS`
    overlay         an `Overlay` over a folder of the host, which must stay as it was
    limited         a folder of the host, mounted with limits
    native          wasmtime's own WASI over a folder of the host, only to compare with
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.conformance import wire
from tests.conformance.case import FIFO, Case, Link, Node, Tree, whole
from tests.conformance.wire import Image, Report, reports
from tests.sandbox.trees import STRATEGIES
from tests.support.guests import build_c
from tests.support.through import CASSETTE, THROUGH, plainly, twice
from wasihost import MemoryFS, ModuleConfig, State, engines
from wasihost.overlays import Overlay
from wasihost.sandbox import resolve
from wasihost.vfs import nodes

if TYPE_CHECKING:
    import wasmtime

    from wasihost.engines.base import CompiledModule

MOUNT = "/data"
SECRET = {"secret": b"not yours"}
_numbers = itertools.count()


def problems(case: Case, back_end: str, folder: Path, through: str = "nothing", engine: str | None = None) -> list[str]:
    """What is not as the case says.

    `folder` is where folders for cases may be made; `through` is what lies between guest and host, of `THROUGH`,
    and `engine` what runs the guest.
    """
    between, run = (
        (plainly, replayed_guest)
        if through == CASSETTE
        else (THROUGH[through], functools.partial(guest, engine=engine))
    )
    images = [Image(step) for step in case.steps]
    script = b"".join(image.script() for image in images)
    if back_end == "memory":
        fs = MemoryFS(**case.memory)
        fill_memory(fs, case.tree)
        told = run(between(_config(case, fs)), script)
        after = dict(memory_tree(fs.root))
    else:
        base = folder / f"{next(_numbers)}" / "base"
        fill_folder(base, case.tree)
        fill_folder(base.parent / "outside", SECRET)
        if back_end == "overlay":
            with Overlay(base, **_limits(case, back_end)) as overlay:
                told = run(between(_config(case, overlay)), script)
                after = dict(memory_tree(overlay.root))
            assert dict(host_tree(str(base))) == whole(case.tree), "the folder below the overlay was changed"
        elif back_end == "native":
            told = native(base, script, read_only=case.read_only)
        else:
            with resolve.using(STRATEGIES.get(back_end, resolve.strategy)):
                told = run(between(_config(case, base, _limits(case, back_end))), script)
        if back_end != "overlay":
            after = dict(host_tree(str(base)))
        assert dict(host_tree(str(base.parent / "outside"))) == SECRET, "a guest got out"
    is_native = back_end == "native"
    pairs = zip(images, told, strict=False)
    found = [problem for image, one in pairs if (problem := image.problem(one, untouched=is_native))]
    if len(told) < len(images):
        found.append(f"{wire.told(images[len(told)].step)} trapped")
    if after != case.wanted:
        changed = sorted(path for path in {*after, *case.wanted} if after.get(path, 0) != case.wanted.get(path, 0))
        found.append(f"afterwards: {[(path, after.get(path, 'nothing')) for path in changed]}")
    return found


def comparable(case: Case) -> bool:
    """Whether wasmtime's own WASI can be given what the case needs. It waits forever when it opens a FIFO."""
    return not (case.memory or case.limits or case.other or FIFO in case.tree.values())


def _limits(case: Case, back_end: str) -> dict[str, Any]:
    """The limits of a case, where what was there before does not count: but an overlay copies the files it changes."""
    limits = dict(case.memory)
    there = whole(case.tree)
    if "max_entries" in limits:
        limits["max_entries"] -= len(there)
    if "max_bytes" in limits and back_end == "limited":
        limits["max_bytes"] -= sum(len(node) for node in there.values() if isinstance(node, bytes))
    return limits


def _config(case: Case, source: MemoryFS | Overlay | Path, limits: dict[str, Any] | None = None) -> ModuleConfig:
    config = ModuleConfig()
    if case.read_only:
        config = config.with_read_only_fs(MOUNT, source)
    elif isinstance(source, (MemoryFS, Overlay)):
        config = config.with_mount(MOUNT, source)
    else:
        config = config.with_host_directory_preopen(MOUNT, source, **limits or {})
    if case.other:
        config = config.with_mount("/other", MemoryFS())
    return config.with_limits(**case.limits)


@functools.cache
def _module(name: str | None = None) -> CompiledModule:
    return engines.engine(name).load(build_c("calls"))


def guest(config: ModuleConfig, script: bytes, engine: str | None = None) -> list[Report]:
    """Run a script on this host."""
    output = bytearray()
    with State(config=config.with_stdin(script).with_stdout(output.extend)) as state:
        engines.engine(engine).execute(_module(engine), state)
    return list(reports(bytes(output)))


def replayed_guest(config: ModuleConfig, script: bytes) -> list[Report]:
    """Run a script on this host, and replay it: what the replay reports."""
    output = bytearray()
    config = config.with_stdin(script).with_stdout(output.extend)
    with tempfile.TemporaryDirectory(prefix="wasihost-conformance-") as folder:
        recorded, replayed = twice(config, Path(folder))
        with State(config=recorded) as state:
            engines.default_engine().execute(_module(), state)
        output.clear()
        with State(config=replayed()) as state:
            engines.default_engine().execute(_module(), state)
    return list(reports(bytes(output)))


def native(base: Path, script: bytes, *, read_only: bool = False) -> list[Report]:
    """Run a script on wasmtime's own WASI, over a folder."""
    import wasmtime

    streams = [str(base.parent / name) for name in ("in", "out", "err")]
    Path(streams[0]).write_bytes(script)
    engine = _native_module()[0]
    store, linker = wasmtime.Store(engine), wasmtime.Linker(engine)
    wasi = wasmtime.WasiConfig()
    wasi.stdin_file, wasi.stdout_file, wasi.stderr_file = streams
    wasi.preopen_dir(str(base), MOUNT, not read_only)
    store.set_wasi(wasi)
    linker.define_wasi()
    start = linker.instantiate(store, _native_module()[1]).exports(store)["_start"]
    assert isinstance(start, wasmtime.Func)
    with contextlib.suppress(wasmtime.Trap, wasmtime.WasmtimeError):
        start(store)
    return list(reports(Path(streams[1]).read_bytes()))


# -- trees -------------------------------------------------------------------------------------------------------------


def fill_folder(base: Path, tree: Tree) -> None:
    """Make a folder with this in it."""
    base.mkdir(parents=True)
    for path, node in whole(tree).items():
        if node is None:
            (base / path).mkdir()
        elif isinstance(node, Link):
            os.symlink(node, base / path)
        elif node is FIFO:
            os.mkfifo(base / path)
        else:
            assert isinstance(node, bytes)
            (base / path).write_bytes(node)


def host_tree(folder: str, prefix: str = "") -> Iterator[tuple[str, Node]]:
    """What lies in a folder, by path."""
    with os.scandir(folder) as entries:
        for entry in entries:
            path = prefix + entry.name
            if entry.is_symlink():
                yield path, Link(os.readlink(entry))
            elif entry.is_dir():
                yield path, None
                yield from host_tree(entry.path, f"{path}/")
            elif stat.S_ISFIFO(entry.stat().st_mode):
                yield path, FIFO
            else:
                yield path, Path(entry).read_bytes()


def fill_memory(fs: MemoryFS, tree: Tree) -> None:
    """Put this into a `MemoryFS`."""
    for path, node in whole(tree).items():
        if node is None:
            fs.mkdir(path)
        elif isinstance(node, Link) and node.startswith("/"):
            fs.root.create_link(path, node)  # MemoryFS.symlink refuses links that no guest may follow
        elif isinstance(node, Link):
            fs.symlink(node, path)
        else:
            assert isinstance(node, bytes)
            fs[path] = node


def memory_tree(folder: nodes.Directory, prefix: str = "") -> Iterator[tuple[str, Node]]:
    """What lies in a directory of a virtual tree, by path."""
    for name, node in folder.entries():
        path = prefix + name
        if isinstance(node, nodes.Directory):
            yield path, None
            yield from memory_tree(node, f"{path}/")
        elif isinstance(node, nodes.Link):
            yield path, Link(node.target())
        else:
            assert isinstance(node, nodes.File)
            yield path, node.read(0, node.stat().size)


@functools.cache
def _native_module() -> tuple[wasmtime.Engine, wasmtime.Module]:
    import atexit

    import wasmtime

    atexit.register(_native_module.cache_clear)  # they cannot be closed once the interpreter has taken itself apart
    engine = wasmtime.Engine()
    return engine, wasmtime.Module.from_file(engine, build_c("calls"))
