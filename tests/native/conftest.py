"""A directory for the tests of system calls."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[int]:
    """A directory with a file of each kind, and its descriptor."""
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "dir" / "below").mkdir(parents=True)
    (tmp_path / "dir" / "below" / "leaf").write_bytes(b"leaf")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling").symlink_to("nothing")
    (tmp_path / "out").symlink_to("/etc")
    (tmp_path / "dir" / "up").symlink_to("../file")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
    (tmp_path / "ünïcode").touch()
    os.utime(tmp_path / "file", ns=(1_000_000_001, 1_700_000_000_123_456_789))
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.fixture
def known(tree: int) -> set[int]:
    return {os.fstat(tree).st_dev}
