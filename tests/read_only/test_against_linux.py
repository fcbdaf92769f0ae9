"""A read-only mount returns the same errnos as a read-only file system of Linux, call for call, and changes nothing."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.read_only import linux
from tests.read_only.calls import (
    ESCAPES,
    FILES,
    LEADING_OUT,
    LINKS,
    NEW,
    OLD,
    ON_ONE_PATH,
    ON_TWO_PATHS,
    PATHS,
    Opening,
    fill,
    openings,
)  # fmt: skip
from tests.sandbox.trees import STRATEGIES
from tests.support.raw import Raw
from wasihost import Errno, MemoryFS, ModuleConfig
from wasihost.sandbox import resolve
from wasihost.vfs import Directory, File, Node, Stat

RIGHTS = {"r": 1 << 1, "w": 1 << 6, "rw": 1 << 1 | 1 << 6}
ALL = (1 << 30) - 1
TABLE = {
    call: said.split() for call, _, said in (line.partition(": ") for line in linux.TABLE.read_text().splitlines())
}


# -- trees that are mounted --------------------------------------------------------------------------------------------


def memory() -> MemoryFS:
    fs = MemoryFS(dict(FILES))
    fs.mkdir("empty")
    for path, content in LINKS.items():
        fs.symlink(content, path)
    for path, content in ESCAPES.items():
        fs.root.create_link(path, content)  # MemoryFS.symlink refuses links that no guest may follow
    return fs


def archive() -> zipfile.Path:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as made:
        for path, content in FILES.items():
            made.writestr(path, content)
        made.writestr("empty/", b"")
    return zipfile.Path(held)


class Text(File):
    def __init__(self, content: bytes) -> None:
        self.content = content

    def stat(self) -> Stat:
        return Stat(size=len(self.content))

    def read(self, offset: int, size: int) -> bytes:
        return self.content[offset : offset + size]

    def open(self, *, writing: bool) -> File:
        assert not writing
        return self


class Tree(Directory):
    """Two methods, and nothing that could change it: called, any other would be ENOTSUP."""

    def __init__(self, names: dict[str, Node]) -> None:
        self.names = names

    def lookup(self, name: str) -> Node | None:
        return self.names.get(name)

    def entries(self) -> Iterable[tuple[str, Node]]:
        return self.names.items()


def own() -> Tree:
    return Tree({"f": Text(FILES["f"]), "d": Tree({"g": Text(FILES["d/g"])}), "empty": Tree({})})


BACK_ENDS = ("openat2", "walk", "memory", "dict", "zip", "own")
WITH_LINKS = BACK_ENDS[:3]


@pytest.fixture(params=BACK_ENDS)
def back_end(request: pytest.FixtureRequest) -> str:
    name = request.param
    assert isinstance(name, str)
    return name


@pytest.fixture
def unchanged(tmp_path: Path) -> Iterator[Path]:
    """A folder of the host that is as it was afterwards."""
    fill(tmp_path)
    before = snapshot(tmp_path)
    yield tmp_path
    assert snapshot(tmp_path) == before


def snapshot(folder: Path) -> dict[str, object]:
    out: dict[str, object] = {}
    for path in (folder, *sorted(folder.rglob("*"))):
        st = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
        out[str(path)] = (st.st_mode, st.st_mtime_ns, st.st_ctime_ns, st.st_nlink, content)
    return out


@pytest.fixture
def raw(back_end: str, unchanged: Path) -> Iterator[Raw]:
    with ExitStack() as stack:
        if back_end in STRATEGIES:
            stack.enter_context(resolve.using(STRATEGIES[back_end]))
            config = ModuleConfig().with_read_only_fs("/", unchanged)
        elif back_end == "memory":
            config = ModuleConfig().with_read_only_fs("/", memory())
        elif back_end == "dict":
            config = ModuleConfig().with_mount("/", {**FILES, "empty/x": b""})
        else:
            config = ModuleConfig().with_read_only_fs("/", archive() if back_end == "zip" else own())
        yield stack.enter_context(Raw(config))


# -- the calls ---------------------------------------------------------------------------------------------------------


def opening(raw: Raw, call: Opening, path: str) -> int:
    result = raw.new(4)
    text = raw.text(path)
    said = raw.call("path_open", 3, int(call.follow), *text, call.oflags, RIGHTS[call.access], ALL, 0, result)
    if not said:
        raw.call("fd_close", raw.get(result))
    return said


def on_one_path(raw: Raw, name: str, path: str) -> int:
    text = raw.text(path)
    match name:
        case "mkdir" | "rmdir" | "unlink":
            functions = {"mkdir": "create_directory", "rmdir": "remove_directory", "unlink": "unlink_file"}
            return raw.call(f"path_{functions[name]}", 3, *text)
        case "symlink":
            return raw.call("path_symlink", *raw.text("content"), 3, *text)
        case "readlink":
            return raw.call("path_readlink", 3, *text, raw.new(64), 64, raw.new(4))
        case "stat" | "lstat":
            return raw.call("path_filestat_get", 3, int(name == "stat"), *text, raw.new(64))
    return raw.call("path_filestat_set_times", 3, int(name == "utimes"), *text, 1, 1, 1 | 4)


def on_two_paths(raw: Raw, name: str, old: str, new: str) -> int:
    if name == "rename":
        return raw.call("path_rename", 3, *raw.text(old), 3, *raw.text(new))
    return raw.call("path_link", 3, int(name == "link follow"), *raw.text(old), 3, *raw.text(new))


def said(call: Callable[..., int], raw: Raw, *args: object) -> str:
    raw._free = 0x8000
    errno = call(raw, *args)
    return Errno(errno).name if errno else "ok"


def told(back_end: str, paths: Iterable[str], row: list[str], ours: Callable[[str], str]) -> list[tuple[str, str, str]]:
    """What is not as in the row: the path, what we say and what Linux says."""
    return [
        (path, answer, right)
        for path, right in zip(paths, row, strict=True)
        if (back_end in WITH_LINKS or not LINKS.keys() & set(path.split("/"))) and (answer := ours(path)) != right
    ]


def test_opening(raw: Raw, back_end: str) -> None:
    wrong = {}
    for call in openings():
        if found := told(back_end, PATHS, TABLE[str(call)], partial(said, opening, raw, call)):
            wrong[str(call)] = found
    assert not wrong


def test_operations_on_a_path(raw: Raw, back_end: str) -> None:
    wrong = {}
    for name in ON_ONE_PATH:
        if found := told(back_end, PATHS, TABLE[name], partial(said, on_one_path, raw, name)):
            wrong[name] = found
    assert not wrong


@pytest.mark.parametrize("name", ON_TWO_PATHS)
def test_operations_on_two_paths(raw: Raw, back_end: str, name: str) -> None:
    wrong = {}
    for old in OLD:
        if back_end not in WITH_LINKS and old in LINKS:
            continue
        # POSIX and this host say INVAL of a path that ends in `.` or `..`, where Linux says BUSY
        row = ["INVAL" if right == "BUSY" else right for right in TABLE[f"{name} {old!r}"]]
        if found := told(back_end, NEW, row, partial(said, on_two_paths, raw, name, old)):
            wrong[old] = found
    assert not wrong


def test_paths_that_lead_out_are_still_refused(raw: Raw, back_end: str) -> None:
    wrong = []
    for path in LEADING_OUT:
        if back_end not in WITH_LINKS and path.split("/")[0] in ESCAPES:
            continue
        calls = {str(call): partial(said, opening, raw, call, path) for call in openings()}
        calls |= {name: partial(said, on_one_path, raw, name, path) for name in ON_ONE_PATH}
        for name in ON_TWO_PATHS:
            calls[f"{name} from"] = partial(said, on_two_paths, raw, name, path, "new")
            calls[f"{name} to"] = partial(said, on_two_paths, raw, name, "f", path)
        wrong += [(path, name, answer) for name, call in calls.items() if (answer := call()) != "PERM"]
    assert not wrong


def test_the_table_is_what_this_kernel_says() -> None:
    live = linux.live()
    if live is None:
        pytest.skip("no file system can be mounted here; the table is one that Linux 6 made")
    assert live == linux.TABLE.read_text().splitlines()
