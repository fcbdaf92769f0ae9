"""Random scripts that make sense: what a program could do with a small tree of files.

Rules of this file: hypothesis strategies over the steps of `tests.conformance.steps`; it knows no host. A script may
use descriptors before it has opened any, and paths that lead nowhere: errors are compared too.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from hypothesis import strategies as st
from wasi_preview1.types import Fstflags, Oflags, Rights
from witxgen.model import Ref

from tests.conformance import steps
from tests.conformance.case import Link, Tree
from tests.conformance.steps import SLOT_IN_MEMORY, TOP, Block, Data, Room, Rooms, Slot, Space, Step
from tests.fuzz import spec
from tests.support.raw import clock, readable, writable

TREE: Tree = {
    "f": b"some text",
    "d/g": b"inner",
    "d/e/h": b"",
    "empty": None,
    "tof": Link("f"),
    "tod": Link("d"),
    "dangling": Link("new"),
    "up": Link("d/.."),
    "loop": Link("loop"),
    "out": Link("../outside"),
}
"""What a script finds."""

_PATHS = st.one_of(
    st.sampled_from(
        ["f", "d", "d/g", "d/e", "new", "new2", "d/new", "empty", "tof", "tod", "dangling", "tod/g", "d/e/h"]
    ),
    st.sampled_from(["f", "d", "new", "empty"]),
    st.sampled_from(
        [".", "..", "d/..", "f/", "d/", "new/", "tod/", "tof/", "up/f", "loop", "out", "out/secret", "d/../f"]
    ),
    st.sampled_from(
        ["", "/", "/f", "f/.", "d/.", "f/..", "../outside", "d//g", "loop/f", "n" * 255, "n" * 256, "empty/.."]
    ),
)
_CONTENTS = st.sampled_from(["f", "d", "../f", "new", "d/g", ".", "..", "", "/f", "gone/x"])
_FOLDERS = st.one_of(st.just(TOP), st.just(TOP), st.just(TOP), st.integers(0, 5).map(Slot))
_FDS = st.one_of(st.integers(0, 5).map(Slot), st.integers(0, 5).map(Slot), st.just(TOP))
_FOLLOW = st.integers(0, 1)
_OFFSETS = st.sampled_from([0, 0, 1, 3, 5, 9, 20, 5000])
_SIZES = st.sampled_from([0, 1, 4, 7, 40, 5000])
_PIECES = st.sampled_from([b"", b"x", b"data", b"longer data" * 3])
_TIMES = st.sampled_from([0, 1, 999, 1_000_000_007, 5_000_000_000_000_000_123])
_FST = st.sampled_from([*(1 << bit for bit in range(4)), Fstflags.ATIM | Fstflags.MTIM, 0, 3, 12, 6, 15])
_FDFLAGS = st.sampled_from([0, 0, 0, 0, 0, 1, 1, 4, 2, 16])
_READ, _WRITE = Rights.FD_READ, Rights.FD_WRITE
_ACCESS = st.sampled_from([steps.ALL, steps.ALL, _READ, _READ | _WRITE, _WRITE, steps.FOLDER, 0])
_OFLAGS = st.sampled_from(
    [0, 0, 0, Oflags.CREAT, Oflags.CREAT, Oflags.DIRECTORY, Oflags.DIRECTORY, Oflags.TRUNC, Oflags.CREAT | Oflags.EXCL,
     Oflags.CREAT | Oflags.TRUNC, Oflags.EXCL, Oflags.CREAT | Oflags.DIRECTORY, Oflags.DIRECTORY | Oflags.TRUNC]
)  # fmt: skip


@st.composite
def _opens(draw: st.DrawFn) -> Step:
    oflags = draw(_OFLAGS)
    rights = steps.FOLDER if oflags == Oflags.DIRECTORY else draw(_ACCESS)
    return steps.path_open(
        draw(_PATHS), oflags, fd=draw(_FOLDERS), follow=draw(_FOLLOW), rights=rights, flags=draw(_FDFLAGS)
    )


@st.composite
def _polls(draw: st.DrawFn) -> Step:
    """Always with a time that has come: nothing waits."""
    fds = st.one_of(st.integers(0, 3).map(lambda number: SLOT_IN_MEMORY + number), st.sampled_from([0, 1, 2, 3, 77]))
    kinds = st.sampled_from([readable, writable])
    wanted = draw(st.lists(st.tuples(kinds, fds), max_size=3))
    made = [kind(number + 1, fd) for number, (kind, fd) in enumerate(wanted)]
    return steps.poll_oneoff(*made, clock(9, draw(st.integers(0, 1)), 0))


_STEPS: st.SearchStrategy[Step] = st.one_of(
    _opens(),
    _opens(),
    _opens(),
    _opens(),
    st.builds(steps.fd_close, _FDS),
    st.builds(steps.fd_read, _FDS, _SIZES),
    st.builds(steps.fd_read, _FDS, _SIZES, _SIZES),
    st.builds(steps.fd_write, _FDS, _PIECES),
    st.builds(steps.fd_write, _FDS, _PIECES, _PIECES),
    st.builds(steps.fd_pread, _FDS, _OFFSETS, _SIZES),
    st.builds(steps.fd_pwrite, _FDS, _OFFSETS, _PIECES),
    st.builds(steps.fd_seek, _FDS, st.sampled_from([0, 1, 3, 100, -1, -3, -100]), st.integers(0, 2)),
    st.builds(steps.fd_tell, _FDS),
    st.builds(steps.fd_filestat_get, _FDS),
    st.builds(steps.fd_filestat_set_size, _FDS, _SIZES),
    st.builds(steps.fd_filestat_set_times, _FDS, _TIMES, _TIMES, _FST),
    st.builds(steps.fd_allocate, _FDS, _OFFSETS, _SIZES),
    st.builds(steps.fd_advise, _FDS, _OFFSETS, _SIZES, st.integers(0, 5)),
    st.builds(steps.fd_sync, _FDS),
    st.builds(steps.fd_datasync, _FDS),
    st.builds(steps.fd_fdstat_get, _FDS),
    st.builds(steps.fd_fdstat_set_flags, _FDS, _FDFLAGS),
    st.builds(steps.fd_prestat_get, _FDS),
    st.builds(steps.fd_prestat_dir_name, _FDS, st.sampled_from([5, 3, 9])),
    st.builds(steps.fd_readdir, st.one_of(st.just(TOP), _FDS), st.sampled_from([0, 24, 30, 100, 4096]),
              st.sampled_from([0, 0, 0, 1, 2, 3, 5, 100])),
    st.builds(steps.fd_renumber, _FDS, _FDS),
    st.builds(steps.path_create_directory, _PATHS, _FOLDERS),
    st.builds(steps.path_filestat_get, _PATHS, fd=_FOLDERS, follow=_FOLLOW),
    st.builds(steps.path_filestat_set_times, _PATHS, _TIMES, _TIMES, _FST, fd=_FOLDERS, follow=_FOLLOW),
    st.builds(steps.path_link, _PATHS, _PATHS, fd=_FOLDERS, new_fd=_FOLDERS, follow=_FOLLOW),
    st.builds(steps.path_readlink, st.one_of(st.sampled_from(["tof", "tod", "out", "new"]), _PATHS),
              st.sampled_from([64, 64, 2, 0]), _FOLDERS),
    st.builds(steps.path_remove_directory, _PATHS, _FOLDERS),
    st.builds(steps.path_rename, _PATHS, _PATHS, fd=_FOLDERS, new_fd=_FOLDERS),
    st.builds(steps.path_rename, _PATHS, _PATHS, fd=_FOLDERS, new_fd=_FOLDERS),
    st.builds(steps.path_symlink, _CONTENTS, _PATHS, _FOLDERS),
    st.builds(steps.path_unlink_file, _PATHS, _FOLDERS),
    _polls(),
)  # fmt: skip

scripts: st.SearchStrategy[list[Step]] = st.one_of(
    st.lists(_STEPS, min_size=1, max_size=6), st.lists(_STEPS, min_size=8, max_size=40)
)


def told(step: Step) -> str:
    """A step as a line to read."""
    return f"{step.function}({', '.join(map(_told, step.arguments))})"


def _told(argument: object) -> str:
    if isinstance(argument, Slot):
        return f"opened[{argument.number}]"
    if isinstance(argument, tuple):
        return f"{type(argument).__name__}{tuple(argument)!r}"
    if isinstance(argument, int):
        return hex(argument) if argument > 1 << 12 else str(int(argument))
    return repr(argument)


def text(script: Sequence[Step]) -> str:
    """A script as lines to read."""
    return "".join(f"{told(step)}\n" for step in script)


def parse(lines: str) -> list[Step]:
    """The script of a text that `text` has made, with comments behind `#`."""
    script = []
    for line in ast.parse(lines).body:
        assert isinstance(line, ast.Expr)
        assert isinstance(line.value, ast.Call)
        assert isinstance(line.value.func, ast.Name)
        name = line.value.func.id
        arguments = (eval(ast.unparse(argument), dict(_NAMES)) for argument in line.value.args)
        types = [one.target.name for one in spec.ok_types(name) if isinstance(one, Ref)]
        script.append(Step(name, tuple(arguments), "".join(types)))
    return script


class _Opened:
    def __getitem__(self, number: int) -> Slot:
        return Slot(number)


_NAMES = {"opened": _Opened(), **{one.__name__: one for one in (Room, Rooms, Data, Block, Space)}}
