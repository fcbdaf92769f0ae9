"""`wasihost.map`: inputs, results, errors, bounds, and how it ends."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

import wasihost
from tests.scale.echo import ECHO
from tests.support.guests import build_c
from wasihost import ConfigError, MapResult, Module, TimeoutExpired, TrapError

TOOL = build_c("tool")


@pytest.fixture(scope="module")
def echo() -> Module:
    return Module(ECHO, interruptible=True)


def outputs(results: Iterator[MapResult]) -> list[object]:
    return [one.stdout for one in results]


# -- what an input is --------------------------------------------------------------------------------------------------


def test_text_and_paths_are_an_argument_and_lists_are_arguments() -> None:
    inputs = ["a", Path("b/c"), ["d", "e"]]
    found = outputs(wasihost.map(TOOL, inputs, args=["args"], text=True))
    assert [str(one).split()[2:] for one in found] == [["a"], ["b/c"], ["d", "e"]]


def test_bytes_are_read_and_a_mapping_has_options(echo: Module) -> None:
    inputs = [b"one", {"input": b"two"}, bytearray(b"three")]
    assert outputs(wasihost.map(echo, inputs)) == [b"one", b"two", b"three"]


def test_each_says_what_an_input_is(echo: Module) -> None:
    assert outputs(wasihost.map(echo, ["text"], each="input", text=True)) == ["text"]
    assert outputs(wasihost.map(echo, range(3), each=lambda n: {"input": b"%d" % n})) == [b"0", b"1", b"2"]
    (done,) = wasihost.map(TOOL, [{"own.txt": b"own"}], each="files", files={"both.txt": b""}, args=["files", "/new"])
    assert done.files is not None
    assert done.files.created == ("new",)


@pytest.mark.parametrize("bad", [3, None, 1.5])
def test_an_input_that_is_nothing_of_these_is_named(echo: Module, bad: object) -> None:
    with pytest.raises(ConfigError, match=f"an input cannot be {bad!r}") as caught:
        list(wasihost.map(echo, [b"good", bad]))
    assert caught.value.__notes__ == [f"for input 1 of wasihost.map: {bad!r}"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"inputs": "text"}, "inputs cannot be 'text'"),
        ({"inputs": 3}, "inputs cannot be 3"),
        ({"jobs": 0}, "jobs cannot be 0"),
        ({"retries": -1}, "retries cannot be -1"),
        ({"buffersize": 1.5}, "buffersize cannot be 1.5"),
        ({"on_error": "ignore"}, "on_error cannot be 'ignore'"),
        ({"each": "stdin"}, "each cannot be 'stdin'"),
        ({"progress": 1}, "progress cannot be 1"),
        ({"jobs": 2, "executor": ThreadPoolExecutor(1)}, "jobs is the number of threads"),
        ({"timeout": -1}, "timeout"),
        ({"profile": "all.html"}, "a profile is that of one run"),
    ],
)
def test_wrong_options_are_errors_of_the_call(echo: Module, wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        wasihost.map(echo, **{"inputs": [], **wrong})  # type: ignore[arg-type]


# -- results -----------------------------------------------------------------------------------------------------------


def test_results_come_in_order_and_name_their_input(echo: Module) -> None:
    inputs = [b"%d" % number for number in range(50)]
    found = list(wasihost.map(echo, inputs, jobs=3))
    assert [(one.index, one.input, one.stdout, one.ok, one.attempts) for one in found] == [
        (number, given, given, True, 1) for number, given in enumerate(inputs)
    ]


def test_unordered_results_do_not_wait_for_a_slow_one(echo: Module) -> None:
    found = list(wasihost.map(echo, [b"@", b"quick", b"more"], jobs=2, ordered=False, timeout=0.3, on_error="return"))
    assert [one.index for one in found] == [1, 2, 0]


def test_inputs_may_be_endless_and_only_some_are_in_flight(echo: Module) -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        for taken in itertools.count(1):
            yield b"%d" % taken

    results = wasihost.map(echo, endless(), jobs=2, buffersize=5)
    for number in range(1, 20):
        assert next(results).stdout == b"%d" % number
        assert taken <= number + 5
    results.close()


def test_nothing_begins_before_the_first_result_is_asked_for(echo: Module) -> None:
    inputs = iter([b"a"])
    wasihost.map(echo, inputs)
    assert next(inputs) == b"a"


def test_progress_calls_a_function_and_shows_a_bar(echo: Module, capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[tuple[int, int | None]] = []
    list(wasihost.map(echo, [b"a", b"b"], progress=lambda done, total: seen.append((done, total))))
    assert seen == [(1, 2), (2, 2)]
    list(wasihost.map(echo, iter([b"a"]), progress=lambda done, total: seen.append((done, total))))
    assert seen[2:] == [(1, None)]
    list(wasihost.map(echo, [b"a", b"b"], progress=True))
    assert "2/2" in capfd.readouterr().err


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
def test_an_error_is_raised_with_a_note_that_names_the_input(echo: Module, ordered: bool) -> None:
    with pytest.raises(TrapError) as caught:
        list(wasihost.map(echo, [b"good", b"!bad"], ordered=ordered))
    assert caught.value.__notes__ == ["for input 1 of wasihost.map: b'!bad'"]


def test_errors_are_returned_with_what_there_was_of_the_run(echo: Module) -> None:
    good, bad, last = wasihost.map(echo, [b"good", b"!bad", b"last"], on_error="return")
    assert good.ok
    assert last.stdout == b"last"
    assert isinstance(bad.error, TrapError)
    assert (bad.ok, bad.returncode, bad.stdout) == (False, None, b"")
    assert bad.stats is not None
    assert repr(bad).startswith("<MapResult 1 of b'!bad': error=TrapError(")


def test_retries_run_an_input_again(echo: Module) -> None:
    tries: list[str] = []

    class Flaky:
        def read(self, size: int) -> bytes:
            tries.append("read")
            if len(tries) < 3:
                raise RuntimeError("not yet")
            return b"at last"

    (done,) = wasihost.map(echo, [{"stdin": Flaky()}], retries=2)
    assert (done.stdout, done.attempts) == (b"at last", 3)
    (done,) = wasihost.map(echo, [b"!"], retries=2, on_error="return")
    assert done.attempts == 3


def test_check_makes_an_exit_status_an_error() -> None:
    module = Module("""(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1) (func (export "_start") (call $exit (i32.const 3))))""")
    (done,) = wasihost.map(module, [[]])
    assert (done.returncode, done.ok, done.error) == (3, False, None)
    with pytest.raises(wasihost.CalledProcessError):
        list(wasihost.map(module, [[]], check=True))


def test_what_inputs_raise_ends_the_map(echo: Module) -> None:
    def inputs() -> Iterator[bytes]:
        yield b"@"
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        list(wasihost.map(echo, inputs()))


# -- how it ends -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [False, True])
def test_closing_ends_running_guests_and_cancels_the_others(echo: Module, given: bool) -> None:
    with ThreadPoolExecutor(2) as pool:
        results = wasihost.map(echo, [b"a", *[b"@"] * 6], **({"executor": pool} if given else {"jobs": 2}))
        assert next(results).stdout == b"a"
        results.close()
        assert pool.submit(int, "3").result() == 3  # one that was passed stays open
    assert not [one for one in threading.enumerate() if one.name == "wasihost map"]


CTRL_C = f"""
import os, signal, sys, threading, wasihost
results = wasihost.map({ECHO!r}, [b"@"] * 9, jobs=2)
print("ready", flush=True)
if sys.argv[1] == "waits":
    next(results)
threading.Thread(target=next, args=(results,), daemon=True).start()
signal.pause()
"""


@pytest.mark.parametrize("where", ["waits", "elsewhere"])
def test_ctrl_c_ends_all_promptly(where: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CTRL_C, where], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert "KeyboardInterrupt\n" in errors
    assert process.returncode in (-signal.SIGINT, 1)


# -- processes ---------------------------------------------------------------------------------------------------------


def where(echo: Module, executor: Executor, **options: object) -> list[MapResult]:
    return list(wasihost.map(echo, [b"a", b"!b", b"c"], executor=executor, on_error="return", **options))  # type: ignore[arg-type]


def test_processes_return_the_same(echo: Module, processes: ProcessPoolExecutor) -> None:
    found = where(echo, processes)
    assert [one.stdout for one in found] == [b"a", b"", b"c"]
    assert isinstance(found[1].error, TrapError)
    unordered = where(echo, processes, ordered=False)
    assert sorted(one.index for one in unordered) == [0, 1, 2]


def test_a_module_travels_to_processes_that_miss_it(
    processes: ProcessPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = Module(ECHO + " ")  # which no process has yet
    sent: list[bool] = []
    submit = processes.submit

    def watched(function, reference, content, *rest):  # type: ignore[no-untyped-def]
        sent.append(content is not None)
        return submit(function, reference, content, *rest)

    monkeypatch.setattr(processes, "submit", watched)
    for _ in range(30):
        list(wasihost.map(module, [b"x"], executor=processes))
    # Once for each process, and again where another process than the one that asked for it got the task.
    assert 1 <= sum(sent) <= 10
    sent.clear()
    assert next(wasihost.map(TOOL, ["x"], args=["args"], executor=processes)).ok
    assert sent == [False]  # a file is read where it is


def test_what_does_not_pickle_is_an_error_with_its_input(echo: Module, processes: ProcessPoolExecutor) -> None:
    with open(os.devnull) as stream, pytest.raises(Exception, match="pickle") as caught:
        list(wasihost.map(echo, [{"stdin": stream}], executor=processes))
    assert "for input 0 of wasihost.map" in caught.value.__notes__[0]


def test_a_worker_that_dies_is_an_error_with_its_input(echo: Module) -> None:
    with ProcessPoolExecutor(1) as pool:
        results = wasihost.map(echo, [b"a", b"@"], executor=pool)
        assert next(results).stdout == b"a"
        for number in pool._processes:
            os.kill(number, signal.SIGKILL)
        with pytest.raises(BrokenProcessPool) as caught:
            next(results)
    assert caught.value.__notes__ == ["for input 1 of wasihost.map: b'@'"]


def test_a_limit_holds_in_a_process_too(echo: Module, processes: ProcessPoolExecutor) -> None:
    (done,) = wasihost.map(echo, [b"@"], executor=processes, timeout=0.2, on_error="return")
    assert isinstance(done.error, TimeoutExpired)
