"""What mypy tells the author of a handler: nothing about a right one, and the name of the method about a wrong one."""

from __future__ import annotations

import pytest

from tests.support.typecheck import mypy

HEAD = """\
from wasi_preview1.errors import WasiError
from wasi_preview1.handlers import ClockHandlers, RandomHandlers
from wasi_preview1.types import Clockid, Errno, Timestamp


"""

RIGHT = (
    HEAD
    + """\
class Clock(ClockHandlers):
    def clock_res_get(self, id: Clockid) -> Timestamp:
        return 1

    def clock_time_get(self, id: Clockid, precision: Timestamp) -> Timestamp:
        if id is Clockid.REALTIME:
            raise WasiError(Errno.NOTCAPABLE)
        return 42


class Random(RandomHandlers):
    def random_get(self, buf: memoryview) -> None:
        buf[:] = bytes(len(buf))


clock, random = Clock(), Random()
"""
)

MISSING = (
    HEAD
    + """\
class Clock(ClockHandlers):
    def clock_res_get(self, id: Clockid) -> Timestamp:
        return 1


clock = Clock()
"""
)

WRONG_PARAMETER = (
    HEAD
    + """\
class Random(RandomHandlers):
    def random_get(self, buf: bytes) -> None:
        pass
"""
)

WRONG_RESULT = (
    HEAD
    + """\
class Clock(ClockHandlers):
    def clock_res_get(self, id: Clockid) -> Timestamp:
        return "1"

    def clock_time_get(self, id: Clockid, precision: Timestamp) -> str:
        return "now"
"""
)

FLAGS = """\
from typing import assert_type

from wasi_preview1.types import Fdflags, Oflags

given = Oflags.CREAT | Oflags.EXCL
assert_type(given, Oflags)
assert_type(~given ^ Oflags.TRUNC, Oflags)
assert_type(given & Oflags.CREAT, int)
assert_type(given & 3, int)
assert_type(Oflags.from_names("CREAT"), Oflags)
assert_type(Oflags.members()["CREAT"], Oflags)
assert_type(given.names, tuple[str, ...])
"""

MIXED_FLAGS = """\
from wasi_preview1.types import Fdflags, Oflags

either = Oflags.CREAT | Fdflags.APPEND
both = Oflags.CREAT & Fdflags.APPEND
one = Oflags.CREAT ^ Fdflags.APPEND
has = Fdflags.APPEND in Oflags.CREAT
"""

BINDING = """\
import wasi_preview1
from wasihost import bind, run


class Half(wasi_preview1.RandomHandlers):
    def random_get(self, buf: memoryview) -> None:
        pass


def serve(mine: wasi_preview1.Handlers, kind: type[wasi_preview1.Handlers], half: Half) -> None:
    run("guest.wasm", imports=[bind(wasi_preview1, mine), bind(wasi_preview1, kind)])
    run("guest.wasm", imports=bind(wasi_preview1, half))
    run("guest.wasm", imports=bind(wasi_preview1, Half))
    bind("wasi_preview1", mine)
    run("guest.wasm", imports=mine)
"""

CASES = {
    "binding": BINDING,
    "flags": FLAGS,
    "mixed_flags": MIXED_FLAGS,
    "right": RIGHT,
    "missing": MISSING,
    "wrong_parameter": WRONG_PARAMETER,
    "wrong_result": WRONG_RESULT,
}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What one mypy says of each file, with the project's configuration."""
    folder = tmp_path_factory.mktemp("typing")
    for name, source in CASES.items():
        (folder / f"{name}.py").write_text(source)
    files = [folder / f"{name}.py" for name in CASES]
    done = mypy("--no-error-summary", "--no-color-output", "--no-pretty", *files)
    assert (done.returncode, done.stderr) == (1, ""), done.stdout
    lines = done.stdout.splitlines()
    return {name: "\n".join(line for line in lines if f"/{name}.py:" in line or line.startswith(f"{name}.py:"))
            for name in CASES}  # fmt: skip


def test_a_right_handler_passes(said: dict[str, str]) -> None:
    assert said["right"] == ""


def test_flags_of_one_type_pass(said: dict[str, str]) -> None:
    assert said["flags"] == ""


def test_every_mix_of_two_types_of_flags_is_refused(said: dict[str, str]) -> None:
    refused = [line.partition("mixed_flags.py:")[2].partition(":")[0] for line in said["mixed_flags"].splitlines()]
    assert refused == ["3", "4", "5", "6"]
    assert 'Unsupported operand types for | ("Oflags" and "Fdflags")' in said["mixed_flags"]


def test_handlers_of_another_type_cannot_be_bound(said: dict[str, str]) -> None:
    refused = [line.partition("binding.py:")[2].partition(":")[0] for line in said["binding"].splitlines()]
    assert [*dict.fromkeys(one for one in refused if one)] == ["12", "13", "14", "15"], said["binding"]


def test_a_missing_function_is_named(said: dict[str, str]) -> None:
    assert 'Cannot instantiate abstract class "Clock" with abstract attribute "clock_time_get"' in said["missing"]


def test_a_wrong_parameter_is_named_with_what_is_expected(said: dict[str, str]) -> None:
    assert 'Argument 1 of "random_get" is incompatible with supertype' in said["wrong_parameter"]
    assert "RandomHandlers" in said["wrong_parameter"]
    assert 'the argument type as "memoryview' in said["wrong_parameter"]


def test_a_wrong_result_is_named_with_what_is_expected(said: dict[str, str]) -> None:
    text = said["wrong_result"]
    assert 'Incompatible return value type (got "str", expected "int")' in text
    assert 'Return type "str" of "clock_time_get" incompatible with return type "int" in supertype' in text
    assert "ClockHandlers" in text
