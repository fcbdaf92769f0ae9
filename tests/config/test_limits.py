"""Limits: numbers are taken as they are or refused, and never wrap around; limits of sleeps and paths."""

from __future__ import annotations

import decimal
import time
from pathlib import Path
from typing import Any

import pytest

import wasihost
from tests.support.guests import build_c
from wasihost import ConfigError, LimitExceeded, MemoryFS, ModuleConfig, TimeoutExpired, run, start

TOOL = build_c("tool")
EMPTY = '(module (memory (export "memory") 1) (func (export "_start")))'
VALUES: dict[str, Any] = {
    "2**63": 1 << 63, "2**64": 1 << 64, "2**64 - 1": (1 << 64) - 1, "10**400": 10**400, "negative": -1,
    "infinity": float("inf"), "minus infinity": -float("inf"), "NaN": float("nan"), "text": "5", "a word": "much",
    "figures": "9" * 5000, "true": True, "bytes": b"5", "list": [], "decimal NaN": decimal.Decimal("NaN"),
}  # fmt: skip
OPTIONS = ["max_memory", "fuel", "max_output", "max_stack", "timeout"]
TREES = ["max_bytes", "max_entries", "max_file_size"]


def give(name: str, value: Any) -> None:
    options: dict[str, Any] = {name: value}
    if name in TREES:
        MemoryFS(**options)
    elif name == "resolution":
        run(EMPTY, ModuleConfig().with_walltime(lambda: 0, value))
    elif name in OPTIONS:
        run(EMPTY, **options)
    else:
        run(EMPTY, ModuleConfig().with_limits(**options))


@pytest.mark.parametrize("name", [*OPTIONS, *TREES, *wasihost.Limits._fields, "resolution"])
def test_taken_or_refused(name: str) -> None:
    for value in VALUES.values():
        try:
            give(name, value)
        except ConfigError:
            continue
        except LimitExceeded:  # "5" bytes of memory
            assert (name.removeprefix("max_"), value) == ("memory", "5")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_memory", 1 << 64), ("max_memory", 1 << 63), ("memory", "9999999999999GiB"), ("fuel", 1 << 64),
        ("max_stack", 1 << 64), ("timeout", float("nan")), ("timeout", "5"), ("timeout", 10**400),
        ("sleep", float("nan")), ("sleep", "5"), ("open_files", float("inf")), ("max_bytes", -1),
        ("max_entries", 1.5), ("resolution", 1 << 64), ("resolution", "1"),
    ],
)  # fmt: skip
def test_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigError):
        give(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_memory", (1 << 63) - 1), ("fuel", (1 << 64) - 1), ("timeout", float("inf")), ("timeout", 1 << 64),
        ("sleep", float("inf")), ("sleep", 1 << 64), ("max_bytes", "64MiB"), ("max_bytes", 1 << 64),
    ],
)  # fmt: skip
def test_taken(name: str, value: object) -> None:
    give(name, value)


def test_the_largest_fuel_can_be_used() -> None:
    assert run(EMPTY, fuel=(1 << 64) - 1).stats.fuel in range(1, 100)


@pytest.mark.parametrize("value", [float("inf"), 1 << 70, -float("inf"), -1])
def test_waits_for_a_process(value: float) -> None:
    with start(EMPTY) as guest:
        try:
            guest.communicate(timeout=value)
            assert guest.wait(timeout=value) == 0
        except TimeoutExpired:
            assert value < 0


@pytest.mark.parametrize("value", ["5", float("nan"), b"", 10**400])
def test_waits_that_are_none(value: Any) -> None:
    with start(EMPTY) as guest:
        with pytest.raises(ConfigError):
            guest.communicate(timeout=value)
        with pytest.raises(ConfigError):
            guest.wait(timeout=value)


def test_a_sleep_has_a_limit() -> None:
    config = ModuleConfig().with_limits(sleep=2)
    with pytest.raises(LimitExceeded) as caught:
        run(TOOL, config, args=["sleep", "60"])
    assert caught.value.limit == "sleep"
    begin = time.perf_counter()
    assert run(TOOL, config, args=["sleep", "1"]).returncode == 0
    assert time.perf_counter() - begin >= 1


def test_a_path_has_a_limit(tmp_path: Path) -> None:
    config = ModuleConfig().with_limits(path=20).with_host_directory_preopen("/", tmp_path)
    assert run(TOOL, config, args=["files", "/" + "x" * 20]).returncode == 0
    done = run(TOOL, config, args=["files", "/" + "é" * 11], capture_output=True)
    assert b"File name too long" in done.stderr or b"Filename too long" in done.stderr
