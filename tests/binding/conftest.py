"""A package of a specification of our own, written and imported once."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from witxgen.output import write
from witxgen.render import render
from witxgen.resolve import load

SPEC = """
(typename $errno (enum (@witx tag u16) $ok $inval $ilseq $noent $eperm))
(typename $size u32)
(typename $colour (enum (@witx tag u8) $red $green))
(typename $name string)
(typename $point (record (field $x s32) (field $y s32)))
(typename $points (list $point))
(typename $rows (list $points))
(typename $board (record (field $colours (list $colour))))

(module $first
  (@interface func (export "text_len") (param $text string) (result $error (expected $size (error $errno))))
  (@interface func (export "fill") (param $to (@witx pointer u8)) (param $to_len $size) (param $with u8)
    (result $error (expected (error $errno))))
  (@interface func (export "centre") (param $points $points) (result $error (expected $point (error $errno))))
  (@interface func (export "area") (param $rows $rows) (result $error (expected $size (error $errno))))
  (@interface func (export "paint") (param $board $board) (result $error (expected (error $errno))))
  (@interface func (export "fd_read") (param $value u32) (result $error (expected (error $errno))))
  (@interface func (export "next") (param $colour $colour) (result $after u32))
  (@interface func (export "say") (param $text string)))
(module $second
  (@interface func (export "twice") (param $value f64) (result $double f64)))
"""


def made(folder: Path, spec: str, name: str) -> Any:
    """The package that the generator makes of a text."""
    (folder / f"{name}.witx").write_text(spec, encoding="utf-8")
    write(render(load([folder / f"{name}.witx"]), name), folder / name)
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the packages of these tests are."""
    folder = tmp_path_factory.mktemp("packages")
    sys.path.append(str(folder))  # packages import their modules when they use them
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture(scope="session")
def abi(folder: Path) -> Any:
    """The package of `SPEC`."""
    return made(folder, SPEC, "binding_abi")


@pytest.fixture(scope="session")
def kind(abi: Any) -> Any:
    """A class of handlers, whose instances keep what guests pass to `say`."""

    class Mine(abi.Handlers):  # type: ignore[misc]  # the base is made while the tests run
        def __init__(self) -> None:
            self.raises: dict[int, BaseException] = {}
            self.heard: list[str] = []

        def text_len(self, text: str) -> int:
            return len(text)

        def fill(self, to: memoryview, value: int) -> None:
            to[:] = bytes([value]) * len(to)

        def centre(self, points: list[Any]) -> Any:
            if not points:
                raise abi.WasiError(abi.Errno.INVAL)
            return abi.Point(sum(p.x for p in points) // len(points), sum(p.y for p in points) // len(points))

        def area(self, rows: list[Any]) -> int:
            return sum(map(len, rows))

        def paint(self, board: Any) -> None:
            self.heard += [colour.name for colour in board.colours]

        def fd_read(self, value: int) -> None:
            if value in self.raises:
                raise self.raises[value]

        def next(self, colour: Any) -> int:
            return 1 - int(colour)

        def say(self, text: str) -> None:
            self.heard.append(text)

        def twice(self, value: float) -> float:
            return 2 * value

    return Mine
