"""The same script on the host by `openat2`, by walk, in a `MemoryFS`, and in a plain model of POSIX: all agree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from wasi_preview1.types import Errno

from tests.conformance import backends
from tests.conformance.case import Node
from tests.conformance.steps import Step
from tests.conformance.wire import Image
from tests.differential.hosts import result
from tests.differential.scripts import TREE, told
from tests.fuzz.posix import Posix
from tests.fuzz.posix_tree import UNKNOWN
from tests.sandbox.trees import STRATEGIES
from tests.support.scratch import scratch
from wasihost import MemoryFS, ModuleConfig
from wasihost.sandbox import resolve

Call: TypeAlias = tuple[Errno, Any]
"""What came of one."""
Allowed: TypeAlias = tuple[frozenset[Errno], Any]
"""What the model lets come of one."""


class Disagree(AssertionError):
    """Two of them returned different things, or left different trees."""


def check(script: Sequence[Step]) -> None:
    """Run it everywhere. Raises `Disagree`, with the script as text."""
    model = Posix(TREE)
    wanted = [model.call(step) for step in script]
    with scratch() as folder:
        for name in (*STRATEGIES, "memory"):
            calls, tree = _on(name, script, folder / name)
            _same(script, name, calls, wanted)
            if tree != dict(model.tree()):
                paths = {path for path in {*tree, *model.tree()} if tree.get(path, 0) != model.tree().get(path, 0)}
                raise Disagree(f"{_lines(script)}  {name} and the model leave different trees: {sorted(paths)}")


def _on(name: str, script: Sequence[Step], folder: Path) -> tuple[list[Call], dict[str, Node]]:
    images = [Image(step) for step in script]
    data = b"".join(image.script() for image in images)
    if name == "memory":
        fs = MemoryFS()
        backends.fill_memory(fs, TREE)
        reports = backends.guest(ModuleConfig().with_mount(backends.MOUNT, fs), data)
        tree = dict(backends.memory_tree(fs.root))
    else:
        backends.fill_folder(folder / "base", TREE)
        config = ModuleConfig().with_host_directory_preopen(backends.MOUNT, folder / "base")
        with resolve.using(STRATEGIES[name]):
            reports = backends.guest(config, data)
        tree = dict(backends.host_tree(str(folder / "base")))
    return [result(image, report) for image, report in zip(images, reports, strict=True)], tree


def _same(script: Sequence[Step], name: str, calls: Sequence[Call], wanted: Sequence[Allowed]) -> None:
    for number, (found, (errnos, value)) in enumerate(zip(calls, wanted, strict=True)):
        if found[0] not in errnos or not _equal(found[1], value):
            allowed = f"{' or '.join(sorted(errno.name for errno in errnos))} {value!r:.300}"
            raise Disagree(f"{_lines(script[: number + 1])}  {name}: {_said(found)}\n  the model: {allowed}")


def _said(call: Call) -> str:
    return f"{call[0].name} {call[1]!r:.300}"


def _equal(found: Any, wanted: Any) -> bool:
    if wanted is UNKNOWN:
        return True
    if isinstance(wanted, dict):  # the time of the last access is the file system's own business
        return all(wanted[name] is UNKNOWN or found[name] == wanted[name] for name in wanted)
    return bool(found == wanted)


def _lines(script: Sequence[Step]) -> str:
    return "".join(f"  {told(step)}\n" for step in script)
