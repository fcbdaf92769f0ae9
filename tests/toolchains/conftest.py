"""A socket that listens."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """On a port of the loopback interface."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as made:
        yield made
