"""Handlers of the embedder's: classes that come before the host's."""

from __future__ import annotations

import asyncio
import io
import pickle
from pathlib import Path
from typing import Any

import pytest
from wasi_preview1 import FdHandlers, RandomHandlers
from wasi_preview1.types import CiovecArray, Fd, Size

from tests.support.guests import build_c, wat
from tests.support.raw import Raw
from wasihost import PIPE, ConfigError, Module, ModuleConfig, State, hook, instantiate, run, run_async, start
from wasihost.handlers import FdFunctions, PathFunctions
from wasihost.hooks import Proceed


class Dice(RandomHandlers):
    """A whole group, of which the host's is not needed."""

    def random_get(self, buf: memoryview) -> None:
        buf[:] = b"\4" * len(buf)


class Audit(FdFunctions):
    """Some functions of a group, which pass the call on."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[tuple[Fd, bytes]] = []

    def fd_write(self, fd: Fd, iovs: CiovecArray) -> Size:
        size = super().fd_write(fd, iovs)
        self.written.append((fd, b"".join(iovs)[:size]))
        return size


class Loud(FdFunctions):
    """Before or after `Audit`."""

    def fd_write(self, fd: Fd, iovs: CiovecArray) -> Size:
        return super().fd_write(fd, [memoryview(b"".join(iovs).upper())])


def test_classes_come_before_the_host_in_order_and_objects_are_one_per_guest() -> None:
    out = io.BytesIO()
    for order, noted in (([Loud, Audit], b"ABC"), ([Audit, Loud], b"abc")):
        with Raw(ModuleConfig().with_stdout(out), handlers=[Dice, *order]) as raw:
            raw.write(1, b"a", b"bc")
            raw.expect("random_get", 16, 3, writes={16: b"\4\4\4"})
            host: Any = raw.state.handlers
            assert host.written == [(1, noted)]
    assert out.getvalue() == b"ABCABC"


def test_handlers_work_in_a_run_by_option_and_by_config() -> None:
    class Exit(Dice):
        def __init__(self) -> None:
            made.append(self)

    made: list[Exit] = []
    assert run(wat("empty"), handlers=Exit).returncode == 0
    assert run(wat("empty"), ModuleConfig().with_handlers(Exit)).returncode == 0
    assert len(made) == 2
    assert made[0] is not made[1]


def test_every_way_to_run_a_guest_takes_handlers_and_hooks() -> None:
    tool, seen = Path(build_c("tool")), []

    def look(call: Any, proceed: Proceed) -> Any:
        seen.append(call.function)
        return proceed()

    options: Any = {"args": ["both"], "handlers": [Loud], "hooks": [hook(look, on="fd_write")], "capture_output": True}
    outputs = [run(tool, **options).stdout, asyncio.run(run_async(tool, **options)).stdout]
    with start(tool, args=["both"], handlers=Loud, hooks=[hook(look, on="fd_write")], stdout=PIPE) as process:
        outputs.append(process.communicate()[0])
    with instantiate(tool, **options) as instance:
        instance.run()
        outputs.append(instance.stdout)
    compiled = Module(tool)
    config = ModuleConfig().with_handlers(Loud).with_hooks(hook(look, on="fd_write"))
    outputs.append(run(compiled, config, args=["both"], capture_output=True).stdout)
    assert outputs == [b"TO OUTPUT\n"] * 5
    assert seen == ["fd_write"] * len(seen)
    assert len(seen) % 5 == 0 < len(seen)
    assert pickle.loads(pickle.dumps(ModuleConfig().with_handlers(Loud))).handlers == (Loud,)
    assert "Loud" in repr(config)


def test_functions_that_are_not_overridden_stay_plain() -> None:
    from wasihost import native

    if native.extension is None:
        pytest.skip(f"this is the pure path: {native.why}")
    from wasihost.host.plain import PLAIN

    for options, slower in (
        ({}, set()),
        ({"handlers": [Dice, Audit]}, {"random_get", "fd_write"}),
        ({"hooks": [lambda _call, proceed: proceed()]}, set(PLAIN)),
    ):
        with State(**options) as state:
            assert state.plain is not None
            assert set(PLAIN) - set(state.plain.enabled) == slower


class Misspelt(FdFunctions):
    def fd_wirte(self, fd: Fd) -> None: ...


class Short(FdFunctions):
    def fd_write(self, fd: Fd) -> Size:  # type: ignore[override]  # the mistake
        return 0


class Slow(FdFunctions):
    async def fd_write(self, fd: Fd, iovs: CiovecArray) -> Size:  # type: ignore[override]  # the mistake
        return 0


class Given(Dice):
    def __init__(self, seed: int) -> None: ...


class Slotted(FdFunctions):
    __slots__ = ("kept",)


class Unordered(PathFunctions, FdFunctions): ...


class Fd3(FdHandlers): ...


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([3], "handlers cannot be 3: give a class"),
        ([Dice()], "give the class itself, Dice"),
        ([dict], "derive it from a group of functions"),
        ([Misspelt], r"Misspelt.fd_wirte is not a function of WASI; did you mean fd_write\?"),
        ([Short], r"Short.fd_write cannot be called: it takes \(self, fd\), and is called with \(self, fd, iovs\)"),
        ([Slow], "Slow.fd_write cannot be called: it is asynchronous"),
        ([Given], r"Given.__init__ cannot be called: it takes \(self, seed\), and is called with \(self\)"),
        ([Slotted], "leave out their __slots__"),
        ([Dice, Dice], "duplicate base class"),
        ([Unordered], "name them in this order: ArgsFunctions, EnvironFunctions, ClockFunctions, FdFunctions, PathF"),
    ],
)
def test_classes_that_cannot_work_are_refused(wrong: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        State(handlers=wrong)


def test_mypy_finds_a_class_that_has_no_functions_too() -> None:
    with pytest.raises(ConfigError, match="the class dict"):
        run(wat("empty"), handlers=[dict])  # type: ignore[list-item]  # the mistake
    with pytest.raises(ConfigError, match="a hook cannot be 3"):
        run(wat("empty"), hooks=[3])  # type: ignore[list-item]  # the mistake


def test_part_of_a_generated_group_is_enough() -> None:
    with Raw(handlers=Fd3) as raw:
        raw.write(1, b"x")
