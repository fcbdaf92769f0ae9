"""clock_*: the system's clocks and the embedder's."""

import time

import pytest

from tests.support.raw import Raw
from wasihost import SYS_CLOCK_RESOLUTION_NANOTIME, SYS_CLOCK_RESOLUTION_WALLTIME, Errno, ModuleConfig

REALTIME, MONOTONIC, PROCESS, THREAD = range(4)


def now(raw: Raw, clock: int) -> int:
    assert raw.call("clock_time_get", clock, 0, 0x100) == 0
    return raw.get(0x100, 8)


@pytest.mark.parametrize(
    "config", [ModuleConfig(), ModuleConfig().with_sys_walltime().with_sys_nanotime()], ids=["default", "sys"]
)
def test_the_clocks_are_the_system_s_by_default(config: ModuleConfig) -> None:
    with Raw(config) as raw:
        systems = (time.time_ns, time.monotonic_ns, time.process_time_ns, time.thread_time_ns)
        for clock, system in enumerate(systems):
            before = system()
            assert before <= now(raw, clock) <= system()
        for clock, resolution in ((0, SYS_CLOCK_RESOLUTION_WALLTIME), (1, SYS_CLOCK_RESOLUTION_NANOTIME), (2, 1)):
            assert raw.call("clock_res_get", clock, 0x100) == 0
            assert raw.get(0x100, 8) == resolution


def test_custom_clocks_are_asked_every_time() -> None:
    ticks = iter(range(1, 10))
    config = ModuleConfig().with_walltime(lambda: 2**64 - 1, 5).with_nanotime(lambda: next(ticks), 2**63)
    with Raw(config) as raw:
        assert now(raw, REALTIME) == 2**64 - 1
        assert [now(raw, MONOTONIC) for _ in range(3)] == [1, 2, 3]
        assert raw.call("clock_res_get", REALTIME, 0x100) == 0
        assert raw.get(0x100, 8) == 5
        assert raw.call("clock_res_get", MONOTONIC, 0x100) == 0
        assert raw.get(0x100, 8) == 2**63


@pytest.mark.parametrize("time", [-1, -(2**70), 2**64, 2**70])
def test_a_time_that_cannot_be_said_is_overflow(time: int) -> None:
    with Raw(ModuleConfig().with_walltime(lambda: time, 1)) as raw:
        raw.expect("clock_time_get", REALTIME, 0, 0x100, errno=Errno.OVERFLOW)


def test_an_exception_of_a_clock_reaches_the_caller_unchanged() -> None:
    def broken() -> int:
        raise ZeroDivisionError("mine")

    with Raw(ModuleConfig().with_nanotime(broken, 1)) as raw, pytest.raises(ZeroDivisionError, match="mine"):
        raw.call("clock_time_get", MONOTONIC, 0, 0x100)
