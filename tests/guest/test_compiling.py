"""Compiling: told to whoever asks, refused before it begins, and not done twice for nothing."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.wheels import python
from wasihost import Compilation, Instance, Module, ModuleError, instantiate, preload, run
from wasihost.engines.wasmtime import compiling
from wasihost.engines.wasmtime.ffi import c

LEGACY = """(module (tag $t) (memory (export "memory") 1) (func $slow)
  (func (export "_start") try throw $t catch $t end))"""
FINE = '(module (memory (export "memory") 1) (func (export "_start")) (func (export "f")))'


def fresh() -> bytes:
    """A module that nobody has compiled before."""
    return FINE.replace("(module", f'(module (func (export "{uuid.uuid4()}"))').encode()


def elsewhere(call: Callable[[], object]) -> None:
    """In a thread that no signal reaches."""
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


# -- told --------------------------------------------------------------------------------------------------------------


def test_a_function_is_called_before_and_after() -> None:
    events: list[Compilation] = []
    module = Module(fresh(), on_compile=events.append)
    begins, over = events
    assert (begins.name, begins.interruptible, begins.fuel, begins.seconds) == ("guest", True, False, None)
    assert begins.size > 60
    assert over == begins._replace(seconds=over.seconds)
    assert over.seconds is not None
    assert 0 < over.seconds < 60
    run(module)
    Module(module, on_compile=events.append)  # is in the cache
    assert len(events) == 2
    run(module, fuel=1000)
    assert [(event.fuel, event.seconds is None) for event in events[2:]] == [(True, True), (True, False)]


@pytest.mark.parametrize("call", [run, instantiate], ids=lambda call: str(call.__name__))
def test_as_an_option(call: Callable[..., Any]) -> None:
    events: list[Compilation] = []
    made = call(fresh(), on_compile=events.append)
    if isinstance(made, Instance):
        made.close()
    assert [event.seconds is None for event in events] == [True, False]


def test_without_the_cache_it_is_told_too() -> None:
    events: list[Compilation] = []
    for _ in range(2):
        run(FINE, cache=False, on_compile=events.append)
    assert len(events) == 4


def test_an_exception_of_on_compile_prevents_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c, "wasmtime_module_new", None, raising=False)

    def refuse(event: Compilation) -> None:
        raise PermissionError(f"not during a request: {event.name}")

    with pytest.raises(PermissionError, match="not during a request: guest"):
        run(fresh(), on_compile=refuse)


def test_on_compile_may_look_at_the_module() -> None:
    module = Module(FINE)
    seen: list[object] = []
    run(module, fuel=1000, cache=False, on_compile=lambda _: seen.append(module.exports["f"].kind))
    module._compiled.clear()
    module._cache = False
    run(module, fuel=1000, on_compile=lambda _: seen.append(repr(module)))
    assert seen[-2:] == ["<wasihost.Module 'guest'>"] * 2


def test_the_log_has_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="wasihost"):
        run(fresh())
    first, second = (record.getMessage() for record in caplog.records if record.name == "wasihost")
    assert first.startswith("compiling guest (")
    assert first.endswith(" bytes), interruptible")
    assert second.startswith("compiled guest (")
    assert second.endswith(" s")


def test_a_run_does_not_import_logging() -> None:
    done = python(f"import sys, wasihost; wasihost.run({FINE!r}, cache=False); print('logging' in sys.modules)")
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_sizes_are_readable() -> None:
    event = Compilation("python.wasm", 26_267_204, False, True)
    assert str(event) == "compiling python.wasm (26.3 MB), with fuel"
    assert str(event._replace(seconds=11.04)) == "compiled python.wasm (26.3 MB) in 11.0 s"


# -- refused -----------------------------------------------------------------------------------------------------------


def test_a_module_is_validated_before_it_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c, "wasmtime_module_new", None, raising=False)
    events: list[Compilation] = []
    with pytest.raises(ModuleError) as caught:
        Module(LEGACY, on_compile=events.append)
    assert not events
    text = str(caught.value)
    assert text.startswith("guest: this engine cannot run the module (legacy_exceptions feature required for try ")
    assert "`wasm-opt --all-features --translate-to-exnref IN.wasm -o OUT.wasm`" in text
    assert "\n" not in text


def test_a_cached_module_is_not_validated_again(monkeypatch: pytest.MonkeyPatch) -> None:
    module = Module(fresh())
    monkeypatch.setattr(c, "wasmtime_module_validate", None, raising=False)
    assert run(Module(module)).returncode == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("shared memories are not enabled (at offset 0x2)", "built for threads"),
        ("threads must be enabled for shared memories", "built for threads"),
        ("memory64 must be enabled for 64-bit memories", "build it for wasm32"),
        ("stack switching proposal not enabled", "a newer engine may do: pip install -U wasmtime"),
        ("type mismatch:\n  expected i32", "guest: not a valid module: type mismatch: expected i32"),
    ],
)
def test_unsupported_modules_are_told_from_invalid_ones(text: str, words: str) -> None:
    assert words in str(compiling.refused(text, "guest"))


# -- once --------------------------------------------------------------------------------------------------------------


def test_an_interruptible_module_serves_every_run() -> None:
    events: list[Compilation] = []
    module = Module(fresh(), on_compile=events.append)
    run(module)
    run(module, timeout=9)
    elsewhere(lambda: run(module))
    elsewhere(lambda: run(module, timeout=9))
    assert len(events) == 2


def test_an_uninterruptible_module_is_compiled_again_for_a_timeout() -> None:
    events: list[Compilation] = []
    module = Module(fresh(), interruptible=False, on_compile=events.append)
    elsewhere(lambda: run(module))
    assert [event.interruptible for event in events] == [False, False]
    elsewhere(lambda: run(module, timeout=9))
    assert [event.interruptible for event in events] == [False, False, True, True]
    elsewhere(lambda: events.clear() or run(module))  # type: ignore[func-returns-value]
    assert not events
    preload(module)
    assert not events


def test_a_thread_can_prepare_a_module_for_the_main_one() -> None:
    events: list[Compilation] = []
    made: list[Module] = []
    elsewhere(lambda: made.append(Module(fresh(), interruptible=True, on_compile=events.append)))
    run(made[0], timeout=9)
    assert len(events) == 2


@pytest.mark.parametrize("options", [{"timeout": 9}, {"fuel": 1000}, {}])
def test_a_run_of_a_source_compiles_once(options: dict[str, Any]) -> None:
    events: list[Compilation] = []
    elsewhere(lambda: run(fresh(), on_compile=events.append, **options))
    assert len(events) == 2
    run(fresh(), on_compile=events.append, **options)
    assert len(events) == 4
