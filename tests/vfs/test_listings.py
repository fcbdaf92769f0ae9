"""What an fsspec file system says of its files never ends a run: times, sizes, kinds and errors."""

from __future__ import annotations

import datetime
import io
import logging
import zipfile
import zlib

import pytest

from tests.vfs.outside import LAST, YEAR_9999, Remote, content, damaged, flip, mounted, patched, stat, times
from wasihost import Errno


@pytest.mark.parametrize(
    ("mtime", "expected"),
    [
        (1e9, 10**18), (0, 0), (-1.5, 0), (float("inf"), 0), (float("-inf"), 0), (float("nan"), 0), (YEAR_9999, LAST),
        (1e290, LAST), (None, 0), ("2020-01-01", 0), (datetime.datetime(9999, 12, 31), LAST),
        (datetime.datetime(1, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=20))), 0),
        (datetime.datetime(2001, 9, 9, 1, 46, 40, tzinfo=datetime.UTC), 10**18),
    ],
)  # fmt: skip
def test_times_of_listings(mtime: object, expected: int) -> None:
    with mounted(Remote(mtime=mtime)) as raw:
        assert times(raw, "a") == {expected}


@pytest.mark.parametrize(
    ("size", "code"),
    [
        (-1, Errno.OVERFLOW), (2**63, Errno.OVERFLOW), (float("nan"), Errno.IO), (float("inf"), Errno.IO),
        ("many", Errno.IO),
    ],
)  # fmt: skip
def test_sizes_of_listings(size: object, code: Errno, caplog: pytest.LogCaptureFixture) -> None:
    with mounted(Remote(size=size)) as raw:
        assert stat(raw, "a") == code
        assert caplog.text
        assert isinstance(stat(raw, "good"), dict)
        assert content(raw, "a") == b"x"


@pytest.mark.parametrize("entry", [{"type": None}, {"type": "socket"}, {"islink": True}])
def test_nodes_that_are_neither_file_nor_directory_are_links(entry: dict[str, object]) -> None:
    with mounted(Remote(**entry)) as raw:
        assert content(raw, "a") == Errno.PERM


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (zlib.error("damaged"), Errno.IO), (EOFError("cut"), Errno.IO), (zipfile.BadZipFile("bad"), Errno.IO),
        (MemoryError(), Errno.NOMEM), (OSError("no number"), Errno.IO), (PermissionError("no"), Errno.ACCES),
    ],
)  # fmt: skip
def test_unreadable_files_are_an_errno(error: Exception, code: Errno) -> None:
    with mounted(Remote(error)) as raw:
        assert content(raw, "a") == code


def test_the_log_has_the_cause_of_an_error_without_a_number(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "wasihost"), mounted(Remote(OSError("the server has moved"))) as raw:
        assert content(raw, "a") == Errno.IO
    assert "OSError: the server has moved" in caplog.text


def test_fsspec_s_own_archives() -> None:
    fsspec = pytest.importorskip("fsspec.implementations.zip")
    for data, code in ((damaged(flip), Errno.IO), (patched(6, 8, "<H", 1), Errno.ACCES)):
        with mounted(fsspec.ZipFileSystem(io.BytesIO(data))) as raw:
            assert content(raw, "f") == code
