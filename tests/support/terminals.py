"""Terminals of the tests' own."""

import pty

import pytest


def terminal() -> tuple[int, int]:
    """Both ends of a new one; the test is skipped where there are none (a chroot without /dev/pts)."""
    try:
        return pty.openpty()
    except OSError as error:
        pytest.skip(f"no terminals here: {error}")
