"""C does no call whose handler is overridden, replaced or observed."""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from wasi_preview1.types import Fdflags

from wasihost import ModuleConfig, State
from wasihost.descriptors.host_file import HostFile
from wasihost.descriptors.table import FdTable
from wasihost.handlers.fd import FdFunctions
from wasihost.host.functions import Host
from wasihost.host.plain import PLAIN, plain_calls
from wasihost.native import extension, why
from wasihost.stats import Stats
from wasihost.testing import FakeClock, random_bytes

pytestmark = pytest.mark.skipif(extension is None, reason=f"there are no plain calls without the extension: {why}")
FILES = {name for name in PLAIN if name.startswith(("fd_", "path_"))} | {"poll_oneoff"}
CLOCKS = {"clock_time_get", "clock_res_get"}


def enabled(handlers: Host) -> set[str]:
    """The functions that C may do for these handlers."""
    try:
        calls = plain_calls(handlers)
        return set() if calls is None else set(calls.enabled)
    finally:
        handlers.close()


def test_all_are_on_by_default() -> None:
    assert enabled(Host(ModuleConfig())) == set(PLAIN)


def test_a_subclass_keeps_what_it_overrides() -> None:
    class Own(Host):
        def fd_read(self, *args: Any) -> Any:
            return super().fd_read(*args)

        def sched_yield(self) -> None:
            """Not ours."""

    assert enabled(Own(ModuleConfig())) == set(PLAIN) - {"fd_read", "sched_yield"}


def test_an_attribute_of_the_instance_counts() -> None:
    class Own(Host):
        pass

    handlers: Any = Own(ModuleConfig())
    handlers.fd_write = int
    assert enabled(handlers) == set(PLAIN) - {"fd_write"}


def test_a_subclass_that_watches_attributes_keeps_all() -> None:
    class Own(Host):
        def __getattribute__(self, name: str) -> Any:
            return super().__getattribute__(name)

    assert enabled(Own(ModuleConfig())) == set()


@pytest.mark.parametrize("cls", [Host, FdFunctions])
def test_a_method_that_was_replaced_in_our_class(cls: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cls, "fd_seek", int)
    assert enabled(Host(ModuleConfig())) == set(PLAIN) - {"fd_seek"}


def test_a_table_of_another_class_keeps_all_of_files() -> None:
    class Own(FdTable):
        __slots__ = ()

    handlers = Host(ModuleConfig())
    handlers.close()
    handlers.table = Own()
    assert enabled(handlers) == set(PLAIN) - FILES


def test_counting_turns_all_off(tmp_path: Path) -> None:
    with State(config=ModuleConfig(), stats=Stats()) as state:
        assert state.plain is None
        file = HostFile(os.open(tmp_path, os.O_RDONLY), 0, Fdflags(0))
        state.handlers.table.insert(file)
        assert type(file) is HostFile


def test_an_own_source_of_randomness_and_of_yielding() -> None:
    config = ModuleConfig().with_rand_source(random_bytes(1)).with_osyield(lambda: None)
    assert enabled(Host(config)) == set(PLAIN) - {"random_get", "sched_yield"}


def test_urandom_that_was_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", bytes)
    assert enabled(Host(ModuleConfig())) == set(PLAIN) - {"random_get"}


def clocks_of(config: ModuleConfig) -> list[bool]:
    with State(config=config) as state:
        plain = state.plain
        assert plain is not None
        return [plain.call("clock_time_get", bytearray(8), number, 0, 0) for number in range(5)]


def test_clocks_of_the_system() -> None:
    assert clocks_of(ModuleConfig()) == [True, True, True, True, False]


def test_an_own_clock_is_asked_every_time() -> None:
    clock = FakeClock()
    assert clocks_of(clock.configure(ModuleConfig())) == [False, False, True, True, False]
    assert clocks_of(ModuleConfig().with_walltime(time.time_ns, 1)) == [True, True, True, True, False]
    assert clocks_of(ModuleConfig().with_walltime(time.monotonic_ns, 1)) == [False, True, True, True, False]


def test_a_clock_that_is_a_builtin_method_is_not_tried() -> None:
    times = deque([5, 6])
    assert clocks_of(ModuleConfig().with_nanotime(times.popleft, 1)) == [True, False, True, True, False]
    assert list(times) == [5, 6]


def test_resolutions_are_those_of_the_config() -> None:
    memory = bytearray(8)
    with State(config=ModuleConfig().with_walltime(time.time_ns, 12345)) as state:
        plain = state.plain
        assert plain is not None
        assert plain.call("clock_res_get", memory, 0, 0)
        assert int.from_bytes(memory, "little") == 12345


def test_a_clock_that_a_test_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """As libraries that freeze time do."""
    monkeypatch.setattr(time, "time_ns", lambda: 5)
    assert clocks_of(ModuleConfig()) == [False, True, True, True, False]
