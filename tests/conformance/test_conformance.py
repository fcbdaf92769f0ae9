"""Every row of the table on every back end; and that the table is complete, is in the docs, and can fail."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from wasi_preview1.types import Errno, Filetype, Oflags

from tests.conformance.backends import problems
from tests.conformance.case import Case, case
from tests.conformance.steps import (
    TOP,
    Entries,
    fd_filestat_get,
    fd_prestat_get,
    fd_read,
    fd_readdir,
    opened,
    path_open,
)
from tests.conformance.table import CASES, FUNCTIONS, PAGE, page
from tests.conformance.wire import GAP, Image, Report
from tests.sandbox.trees import STRATEGIES
from tests.support.raw import SENTINEL
from tests.support.through import CASSETTE

RUNS = [
    pytest.param(one, back_end, id=f"{one.function}-{one.errno.name}-{number}-{back_end}")
    for number, one in enumerate(CASES)
    for back_end in one.only
    if back_end in (*STRATEGIES, "memory", "overlay", "limited")
]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where the folders of cases are made; not kept, there are too many."""
    with tempfile.TemporaryDirectory(prefix="wasihost-conformance-") as made:
        yield Path(made)


@pytest.mark.parametrize(("row", "back_end"), RUNS)
def test_the_table_is_true(row: Case, back_end: str, folder: Path) -> None:
    assert problems(row, back_end, folder) == [], str(row)


@pytest.mark.parametrize(("back_end", "through"), [("memory", "hooks"), ("walk", "hooks"), ("memory", CASSETTE)])
def test_the_table_is_true_through_hooks_and_replays(back_end: str, through: str, folder: Path) -> None:
    """Every third row; `python -m tests.conformance --through NAME` runs all of them on every back end."""
    rows = [one for one in CASES if back_end in one.only][::3]
    assert {str(one): found for one in rows if (found := problems(one, back_end, folder, through))} == {}


def test_the_table_is_complete() -> None:
    assert {one.function for one in CASES} == set(FUNCTIONS)
    assert {one.function for one in CASES if one.errno == Errno.BADF} == set(FUNCTIONS)
    for one in CASES:
        assert any(step.function == one.function and step.errno == one.errno for step in one.steps), str(one)
        assert one.when, str(one)
        for step in one.steps:
            assert step.errno or not step.answers or step.value is not None, f"{one}: {step} does not say what it gives"


def test_users_are_told_what_the_table_says() -> None:
    assert PAGE.read_text("utf-8") == page(), "run `make docs`"


WRONG = [
    case(path_open, "another errno", path_open("none"), errno=Errno.NOTDIR),
    case(path_open, "an error that is none", path_open("f"), errno=Errno.NOENT),
    case(path_open, "another result", path_open("f").gives(5)),
    case(fd_read, "other bytes", opened("f"), fd_read(4, 4).gives(b"TEXT")),
    case(fd_read, "fewer bytes", opened("f"), fd_read(4, 4).gives(b"tex")),
    case(fd_read, "more bytes", opened("f"), fd_read(4, 9).gives(b"text!")),
    case(fd_filestat_get, "another field", opened("f"), fd_filestat_get(4).gives({"size": 5})),
    case(fd_prestat_get, "another length", fd_prestat_get(TOP).gives(b"\0\0\0\0\4\0\0\0")),
    case(fd_readdir, "another type", fd_readdir(TOP, 25).gives(Entries({".": Filetype.REGULAR_FILE}))),
    case(fd_readdir, "a name too few", fd_readdir(TOP, 4096).gives(Entries({".": Filetype.DIRECTORY}))),
    case(path_open, "a change that is not told", opened("new", Oflags.CREAT)),
    case(path_open, "a change that does not happen", opened("f"), after={"new": b""}),
]


@pytest.mark.parametrize("row", WRONG, ids=lambda row: row.when)
@pytest.mark.parametrize("back_end", ["walk", "memory"])
def test_a_wrong_row_is_found(row: Case, back_end: str, folder: Path) -> None:
    assert len(problems(row, back_end, folder)) == 1


def test_a_byte_outside_the_result_is_found() -> None:
    image = Image(fd_read(4, 4).gives(b"text"))
    buffer, result = image.buffers[0].start, image.result.start
    right = {buffer: b"text", result: b"\4\0\0\0"}
    assert image.problem(Report(0, right)) == ""
    for at in (0, buffer - 1, buffer + 4, result - 1, result + 4, len(image.bytes) - 1):
        assert image.problem(Report(0, {**right, at: b"!"})), at
        assert image.problem(Report(Errno.IO, {at: b"!"})), at
    assert image.problem(Report(0, {buffer: b"text"}))
    assert image.bytes[:GAP] == SENTINEL * GAP
