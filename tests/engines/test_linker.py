"""What only the door of a user's own `wasmtime.Linker` has; the rest is tested through all doors alike."""

import ctypes
import gc
import logging
import threading

import pytest
import wasmtime

from tests.support.engine import Host, fill, telling, wat
from wasihost.engines.wasmtime import linker
from wasihost.engines.wasmtime.define_func import Stopped
from wasihost.engines.wasmtime.ffi import c, has
from wasihost.errors import ExitError


class Door:
    """A user's engine, linker and store with a State defined in it."""

    def __init__(self, host: Host, config: "wasmtime.Config | None" = None, binding: str | None = None) -> None:
        self.engine = wasmtime.Engine(config) if config else wasmtime.Engine()
        self.linker = wasmtime.Linker(self.engine)
        self.run = linker.define(self.linker, host, binding=binding)

    def start(self, name: str) -> "tuple[wasmtime.Store, wasmtime.Func]":
        store = wasmtime.Store(self.engine)
        instance = self.linker.instantiate(store, wasmtime.Module.from_file(self.engine, wat(name)))
        start = instance.exports(store)["_start"]
        assert isinstance(start, wasmtime.Func)
        return store, start


@pytest.mark.parametrize("binding", ["unchecked", "define_func"])
def test_the_guest_must_be_entered_through_the_run(binding: str) -> None:
    door = Door(Host(args_sizes_get=telling(4)), binding=binding)
    store, start = door.start("exit")
    with pytest.raises((wasmtime.Trap, wasmtime.WasmtimeError, Stopped), match="stopped by the host"):
        start(store)
    with pytest.raises(ExitError):
        door.run.call(start, store)


def test_one_linker_serves_guest_after_guest() -> None:
    host = Host(args_sizes_get=telling(4))
    door = Door(host)
    for _ in range(3):
        store, start = door.start("exit")
        with pytest.raises(ExitError) as caught:
            door.run.call(start, store)
        assert caught.value.code == 4
        assert len(host.guest.view) == 0


def test_a_trap_of_the_guest_stays_wasmtimes_own() -> None:
    store, start = (door := Door(Host(args_sizes_get=telling(0)))).start("trap")
    with pytest.raises(wasmtime.Trap, match="unreachable"):
        door.run.call(start, store)


def test_two_threads_in_one_state_are_refused() -> None:
    door, seen = Door(Host()), list[object]()

    def other() -> None:
        try:
            door.run.call(lambda: None)
        except RuntimeError as error:
            seen.append(str(error))

    def enter() -> None:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        seen.append(door.run.call(lambda number: number + 1, 2))

    door.run.call(enter)
    assert seen == ["this State has a guest running in another thread: one thread at a time", 3]


def test_callbacks_live_as_long_as_the_linker_and_its_stores() -> None:
    gc.collect()  # what earlier tests left in cycles
    before = len(linker._alive)
    door = Door(Host(args_sizes_get=telling(9)))
    assert len(linker._alive) > before
    store, start = door.start("exit")
    run = door.run
    del door
    with pytest.raises(ExitError):
        run.call(start, store)
    del store, start
    gc.collect()
    assert len(linker._alive) == before


@pytest.mark.parametrize("reserved", [False, True])
def test_memory_is_looked_up_every_time(reserved: bool) -> None:
    config = wasmtime.Config()
    address = ctypes.cast(config.ptr(), ctypes.c_void_p).value
    if reserved:
        pass
    elif has("wasmtime_config_memory_reservation_set"):
        c.wasmtime_config_memory_reservation_set(address, 0)
    else:
        c.wasmtime_config_static_memory_maximum_size_set(address, 0)
    seen: list[bool] = []

    def look_and_fill(host: Host, at: int, size: int) -> int:
        seen.append(door.run.stale)
        return fill(host, at, size)

    door = Door(Host(random_get=look_and_fill), config)
    store, start = door.start("grow")
    door.run.call(start, store)
    assert seen == [True, True]


def test_the_public_binding_is_reported(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    with caplog.at_level(logging.INFO, "wasihost"):
        Door(Host())
        assert not caplog.records
        monkeypatch.setenv("WASIHOST_BINDING", "define_func")
        Door(Host())
    assert "asked for" in caplog.text
    with pytest.raises(ValueError, match="'fast'"):
        Door(Host(), binding="fast")
