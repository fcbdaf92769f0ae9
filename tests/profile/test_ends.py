"""Files of profiles however guests end, what is limited, and mistakes."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import wasihost
from tests.support.guests import GUESTS
from tests.support.wheels import python
from wasihost import ConfigError, ExitError, Profile, TimeoutExpired, TrapError
from wasihost.engines.wasmtime import profiler
from wasihost.profile import recorder as recording
from wasihost.profile import timeline

GUEST = GUESTS / "profiled.wat"
MEMORY = '(memory (export "memory") 1)'


def test_a_file_is_written_however_the_guest_ended(tmp_path: Path) -> None:
    trap = f'(module {MEMORY} (func $bad unreachable) (func (export "_start") call $bad))'
    loop = f'(module {MEMORY} (func (export "_start") (loop $a br $a)))'
    with pytest.raises(TrapError) as ended:
        wasihost.run(trap, profile=tmp_path / "trap.json")
    assert [frame.function for frame in ended.value.backtrace] == ["bad", "_start"]
    with pytest.raises(TimeoutExpired):
        wasihost.run(loop, timeout=0.5, profile=str(tmp_path / "loop.HTML"))
    assert sorted(os.listdir(tmp_path)) == ["loop.HTML", "trap.json"]
    assert "_start" in (tmp_path / "loop.HTML").read_text()
    assert json.loads((tmp_path / "trap.json").read_text())["threads"][0]["name"] == "guest"


def test_a_file_that_cannot_be_written_hides_no_trap(tmp_path: Path) -> None:
    trap = f'(module {MEMORY} (func (export "_start") unreachable))'
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(TrapError) as ended:
        wasihost.run(trap, profile=tmp_path / "folder.json")
    assert any("the profile was not written" in note for note in ended.value.__notes__)
    with pytest.raises(IsADirectoryError):
        wasihost.run(GUEST, files={}, profile=tmp_path / "folder.json")
    assert os.listdir(tmp_path) == ["folder.json"]


def test_options_that_change_how_a_guest_runs() -> None:
    profile = Profile()
    done = wasihost.run(GUEST, files={}, profile=profile, stats=True, fuel=10**10, timeout=60, max_memory="2MiB")
    assert done.stats.calls["fd_write"] == 100
    assert done.stats.fuel
    assert profile.functions[0].name == "spin"


def test_an_instance_is_profiled_over_all_its_calls() -> None:
    module = f"""(module {MEMORY} (func (export "spin") (param i32) (loop $more
        (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br_if $more (local.get 0)))))"""
    profile = Profile()
    with wasihost.instantiate(module, profile=profile) as guest:
        first = 0.0, 0
        for _ in range(50):
            guest.exports.spin(10_000_000)
            first = profile.seconds, profile.samples
            if profile.functions[0].name == "spin":
                break
        assert profile.functions[0].name == "spin"
        guest.exports.spin(10_000_000)
    assert profile.seconds > first[0]
    assert profile.samples > first[1]


def test_many_short_calls_of_an_instance_share_their_samples() -> None:
    profile = Profile()
    with wasihost.instantiate(f'(module {MEMORY} (func (export "f")))', profile=profile) as guest:
        for _ in range(3_000):
            guest.exports.f()
    assert profile.samples < 1_000
    assert sum(one.seconds for one in profile.functions) == pytest.approx(profile.seconds)


def test_a_guest_that_exits_has_no_failed_call() -> None:
    exits = f"""(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32))) {MEMORY}
        (func (export "_start") (call $exit (i32.const 3))))"""
    profile = Profile()
    assert wasihost.run(exits, profile=profile).returncode == 3
    assert [(one.function, one.failed) for one in profile.calls] == [("proc_exit", 0)]
    with pytest.raises(ExitError), wasihost.instantiate(exits, profile=Profile()) as guest:
        guest.call("_start")


def test_hooks_of_the_embedder_are_time_of_the_host() -> None:
    @wasihost.hook(on="path_open")
    def slow(_call: Any, proceed: Any) -> Any:
        time.sleep(0.02)
        return proceed()

    profile = Profile()
    wasihost.run(GUEST, files={}, profile=profile, hooks=slow)
    opened = [one for one in profile.calls if one.function == "path_open"]
    assert sum(one.calls for one in opened) == 2
    assert sum(one.seconds for one in opened) >= 0.04


def test_functions_of_the_embedder_are_calls_of_the_host() -> None:
    host = wasihost.Imports("env")

    @host.function
    def slow(seconds: float) -> None:
        time.sleep(seconds)

    module = f"""(module (import "env" "slow" (func $slow (param f64))) {MEMORY}
        (func $ask (call $slow (f64.const 0.02))) (func (export "_start") (call $ask) (call $ask)))"""
    profile = Profile()
    wasihost.run(module, imports=host, profile=profile)
    (called,) = profile.calls
    assert (called.function, called.calls, called.failed) == ("env.slow", 2, 0)
    assert profile.host_seconds >= called.seconds >= 0.04
    report = profile.report
    assert ["_start", "ask", "env.slow"] in [[report.label(part) for part in stack] for stack in report.stacks]


def test_guests_in_other_threads_and_in_the_background() -> None:
    profiles = Profile(), Profile()
    asyncio.run(wasihost.run_async(GUEST, files={}, profile=profiles[0]))
    with wasihost.start(GUEST, files={}, profile=profiles[1]) as process:
        assert process.wait() == 0
    for profile in profiles:
        assert profile.functions[0].name == "spin"
        assert sum(one.calls for one in profile.calls) == 104


def test_no_thread_is_left() -> None:
    before = {one.name for one in threading.enumerate()}
    wasihost.run(GUEST, files={}, profile=Profile())
    assert "wasihost-profile" not in {one.name for one in threading.enumerate()} - before


def test_a_run_without_profile_imports_nothing_of_it() -> None:
    guest = f'(module {MEMORY} (func (export "_start")))'
    done = python(f"""
import sys, wasihost
wasihost.run({guest!r})
print([name for name in sys.modules if "profile" in name or name.startswith("html")])
""")
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_what_is_left_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, most in (("_STACKS", 2), ("_ROWS", 2), ("_SPANS", 10), ("_SAMPLES", 1), ("_AT_ONCE", 2)):
        monkeypatch.setattr(recording, name, most)
    monkeypatch.setattr(timeline, "MOST", 16)
    profile = Profile()
    wasihost.run(GUEST, files={}, profile=profile)
    recorder, notes = profile.recorder, "\n".join(profile.notes)
    assert len(recorder.stacks) <= 4  # and one without frames for each function of the host
    assert len(recorder.spans) <= 10
    assert len(recorder.timeline.slices()) <= 16
    assert {one.path for one in profile.calls} > {"(other paths)"}
    for text in ("(not sampled)", "(other paths)", "shorter than", "a sample was taken every"):
        assert text in notes
    assert sum(one.seconds for one in profile.functions) == pytest.approx(profile.seconds)
    assert sum(one.calls for one in profile.calls) == 104


def test_names_without_end_are_cut(tmp_path: Path) -> None:
    bomb = "_Z" + "1fI" * 1000 + "i" + "E" * 1000
    long = "x" * 10_000
    module = f"""(module {MEMORY} (func $f (@name "{bomb}") unreachable) (func $g (@name "{long}") (call $f))
        (func (export "_start") (call $g)))"""
    with pytest.raises(TrapError) as ended:
        wasihost.run(module, profile=tmp_path / "a.html")
    assert max(len(frame.function or "") for frame in ended.value.backtrace) <= 503


def test_an_engine_that_writes_samples_in_another_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiler, "_stacks", lambda profile: profile["threads"]["in another form"])
    profile = Profile()
    wasihost.run(GUEST, files={}, profile=profile)
    assert "in a form that is not known" in profile.notes[0]
    assert sum(one.calls for one in profile.calls) == 104
    assert sum(one.seconds for one in profile.functions) == pytest.approx(profile.seconds)


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in \.html or \.json"):
        wasihost.run(GUEST, profile="profile.txt")
    with pytest.raises(ConfigError, match="profile cannot be 3"):
        wasihost.run(GUEST, profile=3)  # type: ignore[call-overload]  # what is tested
    with pytest.raises(FileNotFoundError, match="absent"):
        wasihost.run(GUEST, profile=tmp_path / "absent" / "a.html")
    with pytest.raises(ConfigError, match="leave out isolation"):
        wasihost.run(GUEST, profile=Profile(), isolation="process")
    used = Profile()
    with pytest.raises(ConfigError, match="no run yet"):
        _ = used.functions
    wasihost.run(f'(module {MEMORY} (func (export "_start")))', profile=used)
    assert repr(used).startswith("Profile(name='guest', seconds=")
    assert "calls of the host" in used.to_html()  # a guest that did nothing has a page, too
    assert used.calls == ()
    with pytest.raises(ConfigError, match="has a run already"):
        wasihost.run(GUEST, profile=used)
