"""The process that runs one test: `python -m tests.testsuite.child`, which gets a JSON object as its argument.

Standard streams are the guest's own, as they are for the command. How the run ended goes to the file `report`: the exit
status, or what was raised, in one line. No such file means that this process died.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, TypedDict

from tests.support.through import CASSETTE, THROUGH
from wasihost import DEVNULL, INHERIT, MemoryFS, ModuleConfig, Overlay, run
from wasihost.sandbox import resolve
from wasihost.vfs.memoryfs import DEFAULT_MAX_BYTES


class Order(TypedDict):
    """What is to be run: `root` is a folder that may be changed, mounted as `/`; `through` is of `support.through`,
    `engine` is what runs it, None for the default one."""

    module: str
    args: list[str]
    env: dict[str, str]
    root: str | None
    backend: str
    through: str
    engine: str | None
    report: str


BACKENDS = ("host", "walk", "memory", "overlay", "kept", "limited")
"""What `/` is to the guest: a host folder as usual, one without `openat2`, a `MemoryFS` with the same content, an
`Overlay` over the folder, one that is kept in another folder, the host folder with limits."""


def in_memory(root: Path, max_bytes: int | None = DEFAULT_MAX_BYTES) -> MemoryFS:
    """A `MemoryFS` with what is in the folder."""
    fs = MemoryFS(max_bytes=max_bytes)
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            fs.symlink(str(path.readlink()), name)
        elif path.is_dir():
            fs.mkdir(name)
        else:
            fs[name] = path.read_bytes()
    return fs


def _run(order: Order, config: ModuleConfig, output: Any, **options: Any) -> int:
    options |= {"args": order["args"], "env": order["env"], "stdin": INHERIT, "stdout": output, "stderr": output}
    options["engine"] = order["engine"]
    returncode: int = run(order["module"], config, **options).returncode
    return returncode


def main(order: Order) -> None:
    """Run it and write the report."""
    config = ModuleConfig()
    if (root := order["root"]) is not None:
        if order["backend"] == "memory":
            config = config.with_mount("/", in_memory(Path(root)))
        elif order["backend"] == "overlay":
            config = config.with_mount("/", Overlay(root))
        elif order["backend"] == "kept":
            config = config.with_mount("/", Overlay(root, f"{root}.kept"))
        elif order["backend"] == "limited":
            config = config.with_host_directory_preopen("/", root, max_bytes=1 << 40, max_entries=1 << 40)
        else:
            config = config.with_host_directory_preopen("/", root)
    walking = resolve.using(resolve.by_walk) if order["backend"] == "walk" else contextlib.nullcontext()
    try:
        with walking:
            if order["through"] == CASSETTE:
                with tempfile.TemporaryDirectory(prefix="wasihost-testsuite-") as folder:
                    cassette = Path(folder, "of.cassette")
                    _run(order, config, DEVNULL, record=cassette)
                    code = _run(order, ModuleConfig(), INHERIT, replay=cassette)
            else:
                code = _run(order, THROUGH[order["through"]](config), INHERIT)
        report = str(code)
    except Exception as error:
        report = f"{type(error).__name__}: {error}".partition("\n")[0]
    Path(order["report"]).write_text(report, "utf-8")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
