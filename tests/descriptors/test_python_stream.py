"""Streams that take str, of any class; and what a callable returns."""

from __future__ import annotations

import bz2
import codecs
import contextlib
import gzip
import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests.descriptors.text_streams import CUTS, DATA, TEXT, coded_file, named, spooled
from tests.support.guests import build_c
from tests.support.raw import Raw
from wasihost import PIPE, STDOUT, Errno, Module, ModuleConfig, run

TOOL = Module(build_c("tool"))


class OnlyText:
    """The least that can be standard output for str: no class of `io`, no buffer, no encoding."""

    def __init__(self) -> None:
        self.text = ""
        self.refused = 0

    def write(self, text: str) -> int:
        try:
            self.text += text
        except TypeError:
            self.refused += 1
            raise
        return 0


class Encodes(OnlyText):
    """Bytes have no `encode`."""

    def write(self, text: str) -> int:
        self.text += text.encode().decode()
        return len(text)


class Collects:
    """Takes anything, as tqdm's wrapper of sys.stdout does, which fails only at the end of a line; its encoding says
    what it is for."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.parts: list[str] = []

    def write(self, text: str) -> None:
        self.parts.append(text)

    @property
    def text(self) -> str:
        return "".join(self.parts)


class Tee:
    """To two files, of which the first refuses bytes."""

    def __init__(self, *files: io.StringIO) -> None:
        self.files = files

    def write(self, text: str) -> None:
        for file in self.files:
            file.write(text)

    def flush(self) -> None:
        for file in self.files:
            file.flush()


def tee() -> tuple[Any, Callable[[], str]]:
    first, second = io.StringIO(), io.StringIO()
    return Tee(first, second), lambda: first.getvalue() if first.getvalue() == second.getvalue() else "they differ"


def kept(stream: Any) -> tuple[Any, Callable[[], str]]:
    return stream, lambda: str(stream.text)


def through(made: Callable[[io.BytesIO], Any], encoding: str = "utf-8") -> tuple[Any, Callable[[], str]]:
    out = io.BytesIO()
    return made(out), lambda: out.getvalue().decode(encoding)


def compressed() -> tuple[Any, Callable[[], str]]:
    out = io.BytesIO()
    stream: Any = gzip.open(out, "wt", encoding="utf-8")  # noqa: SIM115  # closed by the test

    def text() -> str:
        stream.close()
        return gzip.decompress(out.getvalue()).decode()

    return stream, text


OUTPUTS: dict[str, Callable[[], tuple[Any, Callable[[], str]]]] = {
    "NamedTemporaryFile": named,
    "SpooledTemporaryFile": lambda: spooled(0),
    "SpooledTemporaryFile that rolls over": lambda: spooled(30),
    "getwriter": lambda: through(codecs.getwriter("utf-8")),
    "getwriter, UTF-16": lambda: through(codecs.getwriter("utf-16"), "utf-16"),
    "TextIOWrapper": lambda: through(lambda out: io.TextIOWrapper(out, "latin-1", "replace", newline=""), "latin-1"),
    "gzip": compressed,
    "OnlyText": lambda: kept(OnlyText()),
    "Encodes": lambda: kept(Encodes()),
    "Collects": lambda: kept(Collects()),
    "Tee": tee,
    "a method": lambda: (lambda stream: (stream.write, stream.getvalue))(io.StringIO()),
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("made", OUTPUTS.values(), ids=OUTPUTS)
def test_a_text_stream_is_given_all_once(made: Callable[[], tuple[Any, Callable[[], str]]], cut: int) -> None:
    stream, text = made()
    with Raw(ModuleConfig().with_stdout(stream)) as raw:
        for at in range(0, len(DATA), cut):
            piece = DATA[at : at + cut]
            assert raw.write(1, piece) == len(piece)
    assert text() == (TEXT if made is not OUTPUTS["TextIOWrapper"] else TEXT.replace("€", "?"))
    if hasattr(stream, "close"):
        stream.close()


def test_a_file_of_codecs(tmp_path: Path) -> None:
    with coded_file(str(tmp_path / "f"), "w", "utf-16") as file:
        assert run(TOOL, args=["cat"], input=DATA, stdout=file).returncode == 0
    assert (tmp_path / "f").read_bytes().decode("utf-16") == TEXT
    with coded_file(str(tmp_path / "f"), "r", "utf-16") as file:
        assert run(TOOL, args=["cat"], stdin=file, stdout=PIPE).stdout == DATA


def test_codecs_from_bytes_to_bytes() -> None:
    out = io.BytesIO()
    run(TOOL, args=["cat"], input=DATA, stdout=codecs.getwriter("bz2")(out))
    assert bz2.decompress(out.getvalue()) == DATA
    out = io.BytesIO()
    run(TOOL, args=["cat"], input=DATA, stdout=codecs.EncodedFile(out, "utf-8", "utf-16"))
    assert out.getvalue().decode("utf-16") == TEXT


def test_a_replacement_of_sys_stdout_gets_text() -> None:
    class Notebook:
        def __init__(self) -> None:
            self.parts: list[str] = []

        def write(self, text: str) -> None:
            self.parts.append(text)

    page: Any = Notebook()
    with contextlib.redirect_stdout(page):
        run(TOOL, args=["cat"], input=DATA, stdout=sys.stdout, stderr=STDOUT)
    assert "".join(page.parts) == TEXT


def test_pytest_s_own_capture(capsys: pytest.CaptureFixture[str]) -> None:
    run(TOOL, args=["both"], stdout=sys.stdout, stderr=sys.stderr)
    assert capsys.readouterr() == ("to output\n", "to error\n")


def test_an_object_is_asked_once_which_of_the_two_it_wants() -> None:
    stream = OnlyText()
    with Raw(ModuleConfig().with_stdout(stream)) as raw:
        for piece in (b"a", b"b", b"c"):
            assert raw.write(1, piece) == 1
    assert (stream.text, stream.refused) == ("abc", 1)


def test_an_object_that_has_taken_bytes_is_never_given_text() -> None:
    class Breaks:
        def __init__(self) -> None:
            self.given: list[Any] = []

        def write(self, data: Any) -> None:
            self.given.append(data)
            if len(self.given) == 2:
                raise TypeError("of its own")

    stream = Breaks()
    with Raw(ModuleConfig().with_stdout(stream)) as raw:
        assert raw.write(1, b"one") == 3
        with pytest.raises(TypeError, match="of its own"):
            raw.write(1, b"two")
    assert stream.given == [b"one", b"two"]


def test_an_error_that_has_nothing_to_do_with_it_is_the_first() -> None:
    class Broken:
        def write(self, data: Any) -> None:
            raise TypeError(f"nothing for {type(data).__name__}")

    with pytest.raises(TypeError, match="nothing for bytes"):
        run(TOOL, args=["both"], stdout=Broken())


def test_half_a_character_at_the_end_is_not_lost() -> None:
    out = io.StringIO()
    run(TOOL, args=["cat"], input="é".encode()[:1], stdout=out)
    assert out.getvalue() == "\ufffd"
    closed = io.StringIO()
    with Raw(ModuleConfig().with_stdout(closed)) as raw:
        raw.write(1, "é".encode()[:1])
        closed.close()  # nobody can be given it any more


def test_newlines_are_left_alone() -> None:
    data = b"a\r\nb\rc\n"
    out = io.StringIO(newline="")
    run(TOOL, args=["cat"], input=data, stdout=out)
    assert out.getvalue() == data.decode()
    assert run(TOOL, args=["cat"], stdin=io.StringIO(data.decode(), newline=""), stdout=PIPE).stdout == data


@pytest.mark.parametrize("returned", [None, 0, 3, 99, -1, True, False, "text", object()])
def test_what_write_returns_is_ignored(returned: Any) -> None:
    given: list[bytes] = []

    class Writer:
        def write(self, data: bytes) -> Any:
            given.append(data)
            return returned

    for stream in (lambda data: Writer().write(data), Writer(), Writer().write):
        assert run(TOOL, args=["cat"], input=DATA, stdout=stream).returncode == 0
        assert (b"".join(given), type(given[0])) == (DATA, bytes)
        given.clear()


class Raws(io.RawIOBase):
    """Takes what it says."""

    def __init__(self, *says: Any) -> None:
        self.says = list(says)
        self.got = b""

    def write(self, data: Any, /) -> Any:
        says = self.says.pop(0) if self.says else len(data)
        self.got += bytes(data[: says or 0])
        return says


def test_a_raw_stream_may_take_less() -> None:
    stream = Raws(2, 1)
    assert run(TOOL, args=["cat"], input=DATA, stdout=stream).returncode == 0
    assert stream.got == DATA
    with Raw(ModuleConfig().with_stdout(Raws(None, 0))) as raw:
        for _ in range(2):
            assert raw.call("fd_write", 1, *raw.data(b"abc"), 0x80) == Errno.AGAIN
        assert raw.write(1, b"abc") == 3
    for wrong in (4, -1, "all"):
        stream = mock.Mock(spec=io.RawIOBase)
        stream.write.return_value = wrong
        with Raw(ModuleConfig().with_stdout(stream)) as raw, pytest.raises(ValueError, match="when given 3 bytes"):
            raw.write(1, b"abc")


def test_a_temporary_file_without_a_buffer(tmp_path: Path) -> None:
    with tempfile.NamedTemporaryFile(buffering=0, dir=tmp_path) as file:
        run(TOOL, args=["cat"], input=DATA, stdout=file)
        assert Path(file.name).read_bytes() == DATA


def test_a_mock_is_given_bytes() -> None:
    stream = mock.MagicMock()
    run(TOOL, args=["both"], stdout=stream)
    stream.write.assert_called_once_with(b"to output\n")
    with pytest.raises(TypeError, match="standard input gave MagicMock"):
        run(TOOL, args=["cat"], stdin=mock.MagicMock(spec=["read"]))
