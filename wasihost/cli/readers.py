"""The values of options of the command: a function for each kind.

Rules of this file: text to values; nothing is opened or run. A reader returns None for text that it cannot read.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


def mount(value: str) -> tuple[str, str] | None:
    """HOST[::GUEST] -> (guest path, host directory)."""
    host, separator, guest = value.partition("::")
    if not separator:
        guest = host
    return (guest, host) if host and guest else None


def variable(value: str) -> tuple[str, str | None] | None:
    """NAME=VALUE -> (name, value); NAME -> (name, None), which passes on this process's own variable."""
    name, separator, content = value.partition("=")
    return (name, content if separator else None) if name else None


def address(value: str) -> tuple[str, int] | None:
    """HOST:PORT or [HOST]:PORT -> (host, port)."""
    host, separator, port = value.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        return None
    number = count(port)
    return (host, number) if separator and host and number is not None and number < 1 << 16 else None


def preload(value: str) -> tuple[str, str] | None:
    """NAME=FILE -> (import module, file)."""
    name, separator, file = value.partition("=")
    return (name, file) if separator and name and file else None


_UNITS: Final = {"": 1.0, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def seconds(value: str) -> float | None:
    """A time of 0 or more, in seconds or with a unit: 10, 300ms, 10s, 5m, 1h."""
    figures = value.strip().rstrip("abcdefghijklmnopqrstuvwxyz")
    try:
        number = float(figures) * _UNITS[value.strip()[len(figures) :]]
    except (ValueError, KeyError):
        return None
    return number if 0 <= number < float("inf") else None


def count(value: str) -> int | None:
    """A whole number, 0 or more, of at most 19 digits."""
    return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None


def size(value: str) -> int | None:
    """A number of bytes: 1048576, 64MiB, 64M, 1GiB."""
    from wasihost.common.sizes import size as bytes_of

    return bytes_of(value)


def name(value: str) -> str | None:
    """Any text that is not empty."""
    return value or None


def reference(value: str) -> str | None:
    """MODULE:NAME."""
    module, _, attribute = value.partition(":")
    return value if module and attribute else None


def binding(value: str) -> tuple[str, str] | None:
    """PACKAGE=MODULE:NAME -> (package, `MODULE:NAME`)."""
    package, separator, handlers = value.partition("=")
    return (package, handlers) if separator and package and reference(handlers) else None


def trace_format(value: str) -> str | None:
    """How a trace is written."""
    return value if value in ("text", "json") else None
