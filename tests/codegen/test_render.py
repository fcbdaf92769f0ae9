"""The generated package at work: every way of passing a value, tried on a spec that uses them all.

The package is generated, imported and called with a bytearray as the guest's memory. Layouts are taken from the dump.
"""

from __future__ import annotations

import importlib
import pickle
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from witxgen.output import write
from witxgen.render import render
from witxgen.resolve import load

from tests.support.c_stubs import compile_stubs
from wasihost import native

ROOT = Path(__file__).resolve().parents[2]
SPEC = Path(__file__).parent / "specs" / "kitchen.witx"
INVAL, ILSEQ = 1, 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package `kitchen` in it."""
    parent = tmp_path_factory.mktemp("generated")
    write(render(load([SPEC]), "kitchen"), parent / "kitchen")
    return parent


@pytest.fixture(scope="module")
def kitchen(folder: Path) -> Iterator[ModuleType]:
    """The package, imported."""
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module("kitchen")
    finally:
        sys.path.remove(str(folder))
        for name in [n for n in sys.modules if n.partition(".")[0] == "kitchen"]:
            del sys.modules[name]


class World:
    """A guest with 64 KiB of memory full of 0xAA; its handlers record their arguments and return what the test sets."""

    def __init__(self, kitchen: ModuleType, extension: ModuleType | None = None) -> None:
        self.memory = bytearray(b"\xaa" * 65536)
        self.calls: list[tuple[Any, ...]] = []
        self.answer: Any = None
        world = self

        def method(name: str) -> Any:
            def call(_self: object, *args: Any) -> Any:
                world.calls.append((name, *args))
                if isinstance(world.answer, Exception):
                    raise world.answer
                return world.answer(*args) if callable(world.answer) else world.answer

            return call

        names = list(kitchen.Handlers.__abstractmethods__)
        handlers = type("All", (kitchen.Handlers,), {name: method(name) for name in names})()
        self.guest = kitchen.Guest(lambda: self.memory, lambda _error: 77)
        self.stubs = kitchen.bind(handlers, self.guest)["kitchen"]
        if extension is not None:
            native = extension.Guest("kitchen", self.guest)
            self.stubs = {name: native.stub(handlers, "kitchen", name) for name in self.stubs}

    def put(self, at: int, layout: str, *values: Any) -> None:
        struct.pack_into("<" + layout, self.memory, at, *values)

    def get(self, at: int, layout: str) -> tuple[Any, ...]:
        return struct.unpack_from("<" + layout, self.memory, at)

    def only_changed(self, start: int, end: int) -> bool:
        """Whether every byte outside start..end is still 0xAA."""
        return set(self.memory[:start]) | set(self.memory[end:]) == {0xAA}


@pytest.fixture(scope="module")
def in_c(folder: Path) -> ModuleType:
    """The stubs of the package in C, in an extension of their own."""
    return compile_stubs(folder, ["kitchen"], "kitchen_native")


@pytest.fixture(params=["Python", "C"])
def world(kitchen: ModuleType, request: pytest.FixtureRequest) -> World:
    """A fresh guest, with the stubs in either language."""
    if request.param == "Python":
        return World(kitchen)
    if native.extension is None:
        pytest.skip(f"this is the pure path: {native.why}")
    return World(kitchen, request.getfixturevalue("in_c"))


def test_numbers_of_every_width(world: World) -> None:
    world.answer = 2.5
    assert world.stubs["num_all"](255, -128, 65535, -32768, -(2**31), -(2**63), 1.5, 0.25, 800) == 0
    assert world.calls == [("num_all", 255, -128, 65535, -32768, -(2**31), -(2**63), 1.5, 0.25)]
    assert world.get(800, "d") == (2.5,)
    assert world.only_changed(800, 808)


@pytest.mark.parametrize(("position", "value"), [(0, 256), (0, -1), (1, 128), (1, -129), (2, 65536), (3, 32768)])
def test_a_number_out_of_its_range_never_reaches_the_handler(world: World, position: int, value: int) -> None:
    args: list[Any] = [0, 0, 0, 0, 0, 0, 0.0, 0.0, 800]
    args[position] = value
    assert world.stubs["num_all"](*args) == INVAL
    assert world.calls == []


def test_bool_and_characters(world: World) -> None:
    world.answer = 7
    assert world.stubs["num_odd"](1, ord("é"), 0x41, 9, 800) == 0
    assert world.calls == [("num_odd", True, "é", 0x41, 9)]
    assert world.stubs["num_odd"](2, 65, 0, 0, 800) == INVAL
    assert world.stubs["num_odd"](0, 0xD800, 0, 0, 800) == INVAL
    assert world.stubs["num_odd"](0, 0x110000, 0, 0, 800) == INVAL
    assert world.stubs["num_odd"](0, 65, 256, 0, 800) == INVAL
    assert len(world.calls) == 1


def test_text_and_views_without_a_copy(world: World) -> None:
    def answer(text: str, raw: memoryview, buf: memoryview) -> int:
        assert text == "käse"
        assert bytes(raw) == b"\x00\xff"
        buf[:] = b"xyz"
        return len(buf)

    world.answer = answer
    world.memory[100:105] = "käse".encode()
    world.memory[200:202] = b"\x00\xff"
    assert world.stubs["num_text"](100, 5, 200, 2, 300, 3, 800) == 0
    assert world.memory[299:304] == b"\xaaxyz\xaa"
    assert world.get(800, "I") == (3,)
    world.memory[100] = 0xFF
    assert world.stubs["num_text"](100, 5, 200, 2, 300, 3, 800) == ILSEQ


def test_lists_of_records_of_lists_and_of_buffers(world: World, kitchen: ModuleType) -> None:
    types = kitchen.types
    world.put(96, "h6xqh6xq", -1, 2, 3, -4)
    world.memory[400:402] = b"ab"
    world.put(402, "3H", 10, 20, 30)
    world.put(500, "5I", 400, 2, 402, 3, 99)  # a row: title, cells, count
    world.put(600, "4I", 400, 1, 401, 1)  # two slices
    world.answer = (5, types.Colour.GREEN)
    assert world.stubs["num_lists"](96, 2, 500, 1, 600, 2, 800, 804) == 0
    ((_, points, rows, parts),) = world.calls
    assert points == [types.Point(-1, 2), types.Point(3, -4)]
    assert rows == [types.Row("ab", [10, 20, 30], 99)]
    assert [bytes(part) for part in parts] == [b"a", b"b"]
    assert world.get(800, "IB") == (5, 1)
    assert world.memory[805] == 0xAA


def test_records_and_variants_by_address(world: World, kitchen: ModuleType) -> None:
    types = kitchen.types
    world.put(104, "h6xqB7xh6xqI4x", 1, 2, 0, 3, 4, 1)
    line = types.Line(types.Point(1, 2), types.Colour.RED, types.Point(3, 4), True)
    world.put(200, "B7xh6xq", 0, 5, 6)
    world.put(304, "B7xQ", 0, 2**64 - 1)
    world.answer = types.ShapeStrokeCase(line)
    assert world.stubs["num_shapes"](104, 200, 304, 800) == 0
    assert world.calls == [("num_shapes", line, types.ShapeDotCase(types.Point(5, 6)), types.WideNumberCase(2**64 - 1))]
    assert world.memory[800:808] == b"\x01" + bytes(7)
    assert world.memory[808:856] == world.memory[104:152]
    assert world.memory[856] == 0xAA

    world.put(200, "B", 2)
    world.put(304, "B7x17B", 1, *range(17))
    world.answer = types.ShapeEmptyCase()
    assert world.stubs["num_shapes"](104, 200, 304, 800) == 0
    assert world.calls[1][2:] == (types.ShapeEmptyCase(), types.WideBytesCase(types.Seventeen(*range(17))))
    assert world.memory[800:856] == b"\x02" + bytes(55)

    for at in (200, 304):  # an unknown case; then an unknown colour inside the line
        kept = world.memory[at]
        world.memory[at] = 3
        assert world.stubs["num_shapes"](104, 200, 304, 800) == INVAL
        world.memory[at] = kept
    world.memory[120] = 3
    assert world.stubs["num_shapes"](104, 200, 304, 800) == INVAL
    assert len(world.calls) == 2


def test_typed_pointers(world: World, kitchen: ModuleType) -> None:
    types = kitchen.types
    point, red = types.Point(1, 2), types.Colour.RED
    line = types.Line(point, red, point, False)

    def answer(from_: Any, to: Any, names: Any, many: int) -> Any:
        assert from_.read(many) == [point, types.Point(3, 4)]
        assert from_.offset(1).load() == types.Point(3, 4)
        assert not hasattr(from_, "store")
        to.store(line)
        text = names.load()
        text.bytes(2)[:] = b"hi"
        names.write([text.offset(1), text])
        return line

    world.put(104, "h6xqh6xq", 1, 2, 3, 4)
    world.put(400, "II", 500, 0)
    world.answer = answer
    assert world.stubs["num_pointers"](104, 200, 400, 2, 800) == 0
    assert world.memory[200:248] == world.memory[800:848]
    assert world.memory[500:502] == b"hi"
    assert world.get(400, "II") == (501, 500)


def test_a_bad_value_behind_a_pointer_is_refused(world: World) -> None:
    world.answer = lambda _from, to, _names, _many: to.load()
    world.put(216, "B", 9)  # the colour of the line at 200
    assert world.stubs["num_pointers"](104, 200, 400, 2, 800) == INVAL


def test_wide_flags(world: World, kitchen: ModuleType) -> None:
    marks = kitchen.Marks
    world.answer = marks.M32 | marks.M0
    assert world.stubs["num_marks"](2**32, 2, 5, 800) == 0
    assert world.calls == [("num_marks", marks.M32, kitchen.Colour.NONE, 5)]
    assert isinstance(world.calls[0][1], marks)
    assert world.get(800, "Q") == (2**32 + 1,)
    assert world.stubs["num_marks"](2**33, 0, 5, 800) == INVAL
    assert world.stubs["num_marks"](0, 3, 5, 800) == INVAL


def test_flags_are_strict_and_readable(kitchen: ModuleType) -> None:
    marks = kitchen.Marks
    both = marks.M1 | marks.M2
    assert repr(both) == "Marks.M1|Marks.M2"
    assert list(both) == [marks.M1, marks.M2]
    assert marks.M1 in both
    assert marks.M3 not in both
    assert ~both & marks.M1 == 0
    assert (both ^ marks.M1) == marks.M2
    with pytest.raises(ValueError, match="bits that Marks does not have"):
        marks(1 << 33)


def test_flags_have_names(kitchen: ModuleType) -> None:
    marks = kitchen.Marks
    members = marks.members()
    assert list(members) == [f"M{bit}" for bit in range(33)]
    assert list(members.values()) == [1 << bit for bit in range(33)]
    assert all(type(member) is marks for member in members.values())
    assert members["M3"] is marks.M3
    assert (marks.M2 | marks.M0).names == ("M0", "M2")
    assert marks(0).names == ()
    assert marks.from_names("M2", "M0", "M2") == marks.M0 | marks.M2
    assert type(marks.from_names()) is marks
    assert marks.from_names(*marks(marks.MASK).names) == marks.MASK
    with pytest.raises(ValueError, match="Marks has no flag 'M33'; it has M0, M1, M2, "):
        marks.from_names("M0", "M33")
    with pytest.raises(TypeError):
        members["M0"] = 1
    assert pickle.loads(pickle.dumps(marks.M1 | marks.M32)) == marks.M1 | marks.M32


def test_results_without_an_error(world: World) -> None:
    world.answer = -5
    assert world.stubs["plain_count"](3) == -5
    world.answer = 0.5
    assert world.stubs["plain_float"]() == 0.5
    world.answer = None
    assert world.stubs["plain_nothing"]() is None
    world.answer = SystemExit(3)
    world.answer = RuntimeError("the end")
    with pytest.raises(RuntimeError, match="the end"):
        world.stubs["plain_end"](3)


def test_errors_become_numbers(world: World, kitchen: ModuleType) -> None:
    world.answer = kitchen.WasiError(kitchen.FaultCode.TOOBIG)
    assert world.stubs["num_marks"](0, 0, 0, 800) == 3
    world.answer = OSError(5, "x")
    assert world.stubs["num_marks"](0, 0, 0, 800) == 77
    world.answer = KeyError("a bug")
    with pytest.raises(KeyError):
        world.stubs["num_marks"](0, 0, 0, 800)


@pytest.mark.parametrize(
    ("function", "args", "message"),
    [
        ("num_text", (65535, 2, 0, 0, 0, 0, 800), "num_text: in: bytes 0xffff to 0x10001 are outside the memory"),
        ("num_text", (0, 0, 2**32 - 1, 2**32 - 1, 0, 0, 800), "num_text: raw: bytes"),
        ("num_lists", (2, 1, 0, 0, 0, 0, 800, 804), "num_lists: points: address 0x2 is not a multiple of 8"),
        ("num_lists", (0, 0, 0, 0, 65532, 1, 800, 804), "num_lists: parts: bytes 0xfffc"),
        ("num_shapes", (65528, 0, 0, 800), "num_shapes: line: bytes 0xfff8"),
        ("num_marks", (0, 0, 0, 801), "num_marks: result: address 0x321 is not a multiple of 8"),
        ("num_marks", (0, 0, 0, 65536), "num_marks: result: bytes 0x10000"),
    ],
)
def test_bad_pointers_are_faults_that_say_where(
    world: World, kitchen: ModuleType, function: str, args: tuple[int, ...], message: str
) -> None:
    world.answer = kitchen.Marks.M0
    world.memory[:2] = b"ok"
    with pytest.raises(kitchen.GuestFault, match=message):
        world.stubs[function](*args)
    assert set(world.memory[2:]) == {0xAA}


def test_empty_buffers_may_lie_at_any_address(world: World) -> None:
    far = 2**32 - 1
    world.answer = lambda text, raw, buf: len(text) + len(raw) + len(buf)
    assert world.stubs["num_text"](far, 0, far, 0, far, 0, 800) == 0
    assert world.get(800, "I") == (0,)
    world.calls.clear()
    world.answer = lambda points, rows, parts: (len(points) + len(rows) + len(parts), 0)
    assert world.stubs["num_lists"](far, 0, far, 0, far, 0, 800, 804) == 0
    world.put(600, "4I", far, 0, far, 0)
    world.answer = lambda _points, _rows, parts: (sum(map(len, parts)), 0)
    assert world.stubs["num_lists"](far, 0, far, 0, 600, 2, 800, 804) == 0


def test_memory_that_grew_is_seen(world: World) -> None:
    world.answer = 1
    world.memory[100:101] = b"x"
    assert world.stubs["num_text"](100, 1, 0, 0, 0, 0, 800) == 0
    world.guest.release()
    world.memory.extend(bytes(65536))
    assert world.stubs["num_text"](100, 1, 0, 0, 0, 0, 70000) == 0
    assert world.get(70000, "I") == (1,)


def test_raw_abi_takes_signed_and_unsigned(kitchen: ModuleType, world: World) -> None:
    raw = type("Raw", (kitchen.RawAbi,), {})()
    raw.guest, raw.stubs = world.guest, {"kitchen": world.stubs}
    world.answer = kitchen.Marks.M0
    assert raw.num_marks(-(2**64) + 1, 0, -1, 800) == 0
    assert world.calls == [("num_marks", kitchen.Marks.M0, kitchen.Colour.RED, 2**32 - 1)]
    world.memory.extend(b"more")  # no view is kept between calls
    world.answer = -1
    assert raw.plain_count(5) == -1


def test_constants_and_signatures(kitchen: ModuleType) -> None:
    assert kitchen.TEXT_SIZE_LIMIT == 4096
    assert kitchen.Marks.M32 | kitchen.Marks.M0 == kitchen.MARKS_USUAL
    signature = kitchen.SIGNATURES["kitchen"]["num_all"]
    assert signature.slots == "IiIiiqfdI"
    assert signature.params == ("i32", "i32", "i32", "i32", "i32", "i64", "f32", "f64", "i32")
    assert kitchen.SIGNATURES["kitchen"]["plain_count"].result_slots == "q"


def test_the_package_is_clean_as_it_stands(folder: Path) -> None:
    for tool in (
        ["mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml"), str(folder / "kitchen")],
        ["ruff", "check", "--config", str(ROOT / "pyproject.toml"), str(folder / "kitchen")],
        ["ruff", "format", "--check", "--config", str(ROOT / "pyproject.toml"), str(folder / "kitchen")],
    ):
        done = subprocess.run([sys.executable, "-m", *tool], capture_output=True, text=True, check=False, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr


def test_output_does_not_depend_on_hash_order_or_place(folder: Path, tmp_path: Path) -> None:
    for seed in ("1", "2"):
        command = [sys.executable, "-m", "witxgen", "generate", str(SPEC), "-o", f"out{seed}"]
        subprocess.run(command, check=True, cwd=tmp_path, env={"PYTHONHASHSEED": seed, "LC_ALL": "C"})
    for file in (folder / "kitchen").iterdir():
        if file.is_file():
            assert (tmp_path / "out1/kitchen" / file.name).read_bytes() == file.read_bytes()
            assert (tmp_path / "out2/kitchen" / file.name).read_bytes() == file.read_bytes()
