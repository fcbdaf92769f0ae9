"""The files of a spec to one sequence of declarations.

Rules of this file: only this one reads .witx files. `use` is replaced by the declarations of the file it names, each
file once, so that the sequence has names in the order of their declaration; files may use each other in a circle.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from witxgen import syntax
from witxgen.errors import Note, Source, WitxError
from witxgen.model import Span
from witxgen.parse import parse

Declaration: TypeAlias = syntax.Typename | syntax.Constant | syntax.Module


class Reader:
    """The declarations and the sources of a set of files."""

    def __init__(self) -> None:
        self.declarations: list[Declaration] = []
        self._sources: dict[str, Source] = {}
        self._seen: set[str] = set()

    def error(self, span: Span, message: str, note: tuple[Span, str] | None = None) -> WitxError:
        """An error at a place in one of the files, with its excerpt."""
        extra = Note(*note, self._line(note[0])) if note else None
        return WitxError(span, message, self._line(span), extra)

    def read_all(self, paths: Sequence[Path]) -> None:
        """Read the files that the user named, and all that they use."""
        for path in paths:
            self._read(path, None)

    def _line(self, span: Span) -> str:
        return self._sources[span.file].line(span.line)

    def _read(self, path: Path, used_by: syntax.Name | None) -> None:
        try:
            real = os.path.realpath(path)
        except ValueError as error:
            raise self._unreadable(path, str(error), used_by) from None
        if real in self._seen:
            return
        self._seen.add(real)
        source = self._source(path, used_by)
        for item in parse(source):
            if isinstance(item, syntax.UseFile):
                self._read(path.parent / item.path.text, item.path)
                continue
            if isinstance(item, syntax.Module):
                self._read_modules(path, item)
            self.declarations.append(item)

    def _read_modules(self, path: Path, module: syntax.Module) -> None:
        """Read `NAME.witx` beside this file for each `(use ... from $NAME)`, if there is one."""
        for item in module.items:
            if isinstance(item, syntax.UseNames):
                other = path.parent / f"{item.module.text}.witx"
                if other.is_file():
                    self._read(other, item.module)

    def _source(self, path: Path, used_by: syntax.Name | None) -> Source:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise self._unreadable(path, error.strerror or str(error), used_by) from None
        try:
            text = data.decode().removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            raise _not_utf8(str(path), data, error.start) from None
        source = Source(str(path), text)
        self._sources[source.file] = source
        return source

    def _unreadable(self, path: Path, reason: str, used_by: syntax.Name | None) -> WitxError:
        if used_by is None:
            return WitxError(Span(str(path), 0, 0), f"cannot read this file: {reason}")
        return self.error(used_by.span, f"cannot read {path}: {reason}")


def _not_utf8(file: str, data: bytes, offset: int) -> WitxError:
    start = data.rfind(b"\n", 0, offset) + 1
    end = data.find(b"\n", offset)
    line = data[start : len(data) if end < 0 else end].decode("utf-8", "replace").rstrip("\r")
    span = Span(file, data.count(b"\n", 0, offset) + 1, len(data[start:offset].decode("utf-8", "replace")) + 1)
    return WitxError(span, f"byte 0x{data[offset]:02x} is not UTF-8; save the file as UTF-8", line)
