"""Text streams, and what is written to them or read from them, for the tests of Python streams."""

from __future__ import annotations

import codecs
import tempfile
from collections.abc import Callable
from typing import Any

TEXT = "café € done\n" * 20
DATA = TEXT.encode()
CUTS = (1, 2, 3, 7, 16, 100)
"""How long the pieces are that the guest writes or reads: characters are cut in every place."""


def again(stream: Any) -> str:
    stream.flush()
    stream.seek(0)
    return str(stream.read())


def named(mode: str = "w+") -> tuple[Any, Callable[[], str]]:
    stream = tempfile.NamedTemporaryFile(mode, encoding="utf-8")  # noqa: SIM115  # closed by the test
    return stream, lambda: again(stream)


def spooled(limit: int) -> tuple[Any, Callable[[], str]]:
    stream = tempfile.SpooledTemporaryFile(limit, "w+", encoding="utf-8")  # noqa: SIM115  # closed by the test
    return stream, lambda: again(stream)


def coded_file(path: str, mode: str, encoding: str) -> codecs.StreamReaderWriter:
    """As `codecs.open`, which is deprecated since 3.14, makes it."""
    coded = codecs.lookup(encoding)
    return codecs.StreamReaderWriter(open(path, mode + "b"), coded.streamreader, coded.streamwriter)
