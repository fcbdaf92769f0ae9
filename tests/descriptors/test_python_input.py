"""Input from streams of str, of any class, and from any bytes-like object; and streams that cannot be used."""

from __future__ import annotations

import array
import codecs
import gzip
import io
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests.descriptors.text_streams import CUTS, DATA, TEXT, coded_file, named, spooled
from tests.support.guests import build_c
from tests.support.raw import Raw
from wasihost import PIPE, STDOUT, ConfigError, Module, ModuleConfig, run

TOOL = Module(build_c("tool"))


class OnlyReadsText:
    """The least that can be standard input of str."""

    def __init__(self, text: str) -> None:
        self.rest = text

    def read(self, size: int) -> str:
        text, self.rest = self.rest[:size], self.rest[size:]
        return text


def filled(stream: Any) -> Any:
    stream.write(TEXT)
    stream.seek(0)
    return stream


def bytearrays() -> Any:
    file = io.BytesIO(DATA)
    return mock.Mock(spec=["read"], read=lambda size: bytearray(file.read(size)))


INPUTS: dict[str, Callable[[], Any]] = {
    "NamedTemporaryFile": lambda: filled(named()[0]),
    "SpooledTemporaryFile": lambda: filled(spooled(0)[0]),
    "SpooledTemporaryFile that rolled over": lambda: filled(spooled(3)[0]),
    "getreader": lambda: codecs.getreader("utf-16")(io.BytesIO(TEXT.encode("utf-16"))),
    "StringIO": lambda: io.StringIO(TEXT),
    "TextIOWrapper": lambda: io.TextIOWrapper(io.BytesIO(TEXT.encode("utf-16")), "utf-16"),
    "gzip": lambda: io.TextIOWrapper(gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(DATA))), "utf-8"),
    "OnlyReadsText": lambda: OnlyReadsText(TEXT),
    "a method": lambda: io.StringIO(TEXT).read,
    "bytearrays": bytearrays,
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("made", INPUTS.values(), ids=INPUTS)
def test_a_text_stream_is_read_whole(made: Callable[[], Any], cut: int) -> None:
    stream = made()
    with Raw(ModuleConfig().with_stdin(stream)) as raw:
        read = b""
        while piece := raw.read(0, cut):
            read += piece
    assert read == DATA
    if hasattr(stream, "close"):
        stream.close()


def test_text_with_a_hook_can_be_polled_in_the_middle_of_a_character() -> None:
    class Hooked(OnlyReadsText):
        def readable(self, timeout: float) -> bool:
            return bool(self.rest)

    with Raw(ModuleConfig().with_stdin(Hooked("€"))) as raw:
        descriptor = raw.state.handlers.table.get(0)
        assert descriptor.host_fd() is None
        assert raw.read(0, 1) == "€".encode()[:1]
        assert (descriptor.host_fd(), descriptor.available(), descriptor.at_eof()) == (None, 2, False)
        assert raw.read(0, 9) == "€".encode()[1:]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(bytearray(DATA), id="bytearray"),
        pytest.param(memoryview(DATA), id="memoryview"),
        pytest.param(memoryview(DATA[::-1])[::-1], id="memoryview backwards"),
        pytest.param(array.array("H", DATA + b" " * (len(DATA) % 2)), id="array"),
    ],
)
def test_input_is_any_bytes_like_object(data: Any) -> None:
    whole = memoryview(data).tobytes()
    assert run(TOOL, args=["cat"], input=data, stdout=PIPE).stdout == whole
    assert run(TOOL, args=["cat"], stdin=data, stdout=PIPE).stdout == whole
    assert run(TOOL, args=["cat"], input=data, stdout=PIPE, text=True).stdout.encode() == whole


def test_input_is_a_mapped_file() -> None:
    with mmap.mmap(-1, 8192) as mapped:
        mapped[:5] = b"bytes"
        assert run(TOOL, args=["cat"], input=mapped, stdout=PIPE).stdout == mapped[:]


# -- what cannot be used -----------------------------------------------------------------------------------------------


def test_closed_files_and_files_opened_the_other_way(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x")
    for mode in ("r", "rb"):
        with open(path, mode) as file, pytest.raises(ConfigError, match="it was not opened to write"):
            run(TOOL, args=["both"], stdout=file)
    for mode in ("w", "wb", "a"):
        with open(path, mode) as file, pytest.raises(ConfigError, match="it was not opened to read"):
            run(TOOL, args=["cat"], stdin=file)
        with pytest.raises(ConfigError, match="it is closed"):
            run(TOOL, args=["both"], stdout=file)
    with coded_file(str(path), "r", "utf-8") as coded, pytest.raises(ConfigError, match="it cannot write"):
        run(TOOL, args=["both"], stdout=coded)
    with coded_file(str(path), "a", "utf-8") as coded, pytest.raises(ConfigError, match="it cannot read"):
        run(TOOL, args=["cat"], stdin=coded)


def test_descriptors_of_this_process() -> None:
    reader, writer = os.pipe()
    try:
        assert run(TOOL, args=["cat"], input=b"abc", stdout=writer, stderr=STDOUT).returncode == 0
        os.close(writer)
        assert run(TOOL, args=["cat"], stdin=reader, stdout=PIPE).stdout == b"abc"
    finally:
        os.close(reader)
    with pytest.raises(ConfigError, match=f"stdout cannot be {writer}: that is no open descriptor"):
        run(TOOL, stdout=writer)
    with pytest.raises(ConfigError, match="stdin cannot be True"):
        run(TOOL, stdin=True)
    assert run(TOOL, args=["cat"], stdin=PIPE, stdout=PIPE).stdout == b""
