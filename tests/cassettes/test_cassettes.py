"""Recorded guests are replayed to the same bytes, without what they were recorded with; and what can be wrong."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from wasi_preview1 import Errno, WasiError

import wasihost
from tests.apps.test_applications import CPYTHON
from tests.support.guests import GUESTS, build_c, wat
from wasihost import ConfigError, MemoryFS, Module, ModuleConfig, TimeoutExpired, run
from wasihost.cassettes import Cassette, CassetteError, ReplayError

TOOL = build_c("tool")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the cassette is."""
    return tmp_path / "of.cassette"


def show(path: str = "a.txt", **options: Any) -> Any:
    return run(TOOL, args=["show", path], capture_output=True, **options)


def test_cpython_is_replayed_to_the_same_bytes(
    compiled_apps: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WASIHOST_CACHE_DIR", str(compiled_apps))
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "main.py").write_bytes((GUESTS / "cpython_files.py").read_bytes())
    code = (
        "import sys, random, time, runpy, os; sys.argv = ['main.py', '/', '20'];"
        "print(random.random(), time.time(), time.perf_counter(), os.urandom(4)); time.sleep(0.01);"
        "runpy.run_path('/main.py', run_name='__main__')"
    )
    options: Any = {"args": ["-c", code], "capture_output": True, "timeout": 60}
    recorded = run(CPYTHON, dirs={"/": folder}, record=file, **options)
    replayed = run(CPYTHON, replay=file, stats=True, **options)
    assert (recorded.returncode, recorded.stderr) == (0, b"")
    assert recorded.stdout.count(b"\n") > 10
    assert (replayed.returncode, replayed.stdout, replayed.stderr) == (0, recorded.stdout, b"")
    assert replayed.stats.calls["path_open"] > 50


def test_a_program_of_both_specs_is_replayed(file: Path) -> None:
    options: Any = {"capture_output": True}
    recorded = run(build_c("older"), ModuleConfig().with_mount("/box", MemoryFS()), record=file, **options)
    replayed = run(build_c("older"), replay=file, **options)
    assert recorded.stdout == replayed.stdout == b"as it has to be\n"
    run(wat("unstable"), fs=MemoryFS(), record=file)
    begin = time.perf_counter()
    run(wat("unstable"), replay=file)  # it sleeps, and a replay does not
    assert time.perf_counter() - begin < 60


def test_input_errors_and_hooks(file: Path) -> None:
    def refuse(call: Any, proceed: Any) -> Any:
        if call.function == "path_open":
            raise WasiError(Errno.ACCES)
        return proceed()

    recorded = run(TOOL, args=["cat"], input=b"\xff\0text", stdout=wasihost.PIPE, record=file)
    assert run(TOOL, args=["cat"], stdout=wasihost.PIPE, replay=file).stdout == recorded.stdout == b"\xff\0text"
    missing = show("none.txt", files={}, record=file)
    assert (missing.returncode, missing.stderr) == (9, b"none.txt: No such file or directory\n")
    replayed = show("none.txt", replay=file)
    assert (replayed.returncode, replayed.stderr) == (9, missing.stderr)
    show(files={"a.txt": b"abc"}, record=file)
    with pytest.raises(ReplayError, match="the guest calls fd_"):  # another hook changes what the guest does
        show(replay=file, hooks=[refuse])


def test_a_difference_names_the_call_the_argument_and_both_values(file: Path) -> None:
    show(files={"a.txt": b"abc"}, record=file)
    lines = file.read_text().splitlines(keepends=True)

    def changed(old: str, new: str) -> ReplayError:
        text = "".join(lines)
        assert old in text
        file.write_text(text.replace(old, new))
        with pytest.raises(ReplayError) as raised:
            show(replay=file)
        return raised.value

    path = changed('"path": "a.txt"', '"path": "b.txt"')
    assert str(path).endswith("at call 7, path_open: path is 'a.txt', and was 'b.txt'")
    assert (path.number, path.function, path.argument, path.recorded, path.found) == (
        7, "path_open", "path", "b.txt", "a.txt",
    )  # fmt: skip
    function = changed('"call": "fd_write"', '"call": "fd_sync"')
    assert "the guest calls fd_write, and in the recording it called fd_sync" in str(function)
    assert (function.recorded, function.found, function.argument) == ("fd_sync", "fd_write", None)
    content = changed('{"fd": 1, "iovs": "abc"}', '{"fd": 1, "iovs": "abd"}')
    assert (content.argument, content.recorded, content.found) == ("iovs", "abd", "abc")
    count = len(lines) - 3
    more = changed(f'{{"end": {count}}}', f'{{"call": "fd_sync", "args": {{"fd": 1}}}}\n{{"end": {count + 1}}}')
    assert "the guest has ended, and in the recording it called fd_sync" in str(more)
    fewer = changed(lines[-2] + lines[-1], f'{{"end": {count - 1}}}\n')
    assert "the recording has no more calls" in str(fewer)
    assert fewer.stdout == b""


BAD_POLL = """(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "\\09")
  (func (export "_start")
    (call $exit (call $poll (i32.const 0) (i32.const 512) (i32.const 1) (i32.const 1024)))))"""


def test_what_the_host_refuses_to_read_is_refused_in_a_replay(file: Path) -> None:
    assert run(BAD_POLL, record=file).returncode == Errno.INVAL
    assert run(BAD_POLL, replay=file).returncode == Errno.INVAL


DAMAGED = [
    (lambda _: "", "it is no JSON"),
    (lambda _: "hello\n", "it is no JSON"),
    (lambda _: "{}\n", "is not a cassette"),
    (lambda text: text.replace('cassette": 1', 'cassette": 2'), "has version 2, and this is 1"),
    (lambda text: text[:-5], "it has no end"),
    (lambda text: text[: text.rindex('{"end"')], "the last guest has no end"),
    (lambda text: text.replace('"end": 1', '"end": 2'), "calls are missing before it"),
    (lambda text: text.replace('{"guest"', '{"guets"'), "no guest has begun"),
    (lambda text: text.replace('"result": [', '"result": [['), "it is no JSON"),
    (lambda text: text.replace('"path": "/"}}', '"path": "/ and more"}}'), "do not fit into the guest's buffers"),
    (lambda text: text.replace('"error": "BADF"', '"error": "BAD"'), "damaged in line 5: StopIteration"),
    (lambda text: text.replace('"starts": [0', '"starts": [-1'), "a string begins outside the text"),
    (lambda text: text.replace('"fs_filetype": "DIRECTORY"', '"fs_filetype": 7'), "7 is not a Filetype"),
    (lambda text: text.replace('"tag": "DIR"', '"gat": "DIR"'), "damaged in line 3"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGED, ids=[message for _, message in DAMAGED])
def test_a_damaged_cassette_is_an_error_that_says_where(file: Path, damage: Any, message: str) -> None:
    show(files={"a.txt": b"abc"}, record=file)
    text = file.read_text()
    assert damage(text) != text
    file.write_text(damage(text))
    with pytest.raises((CassetteError, ReplayError), match=message.replace("[", r"\[")):
        show(replay=file)


def test_modes(file: Path) -> None:
    with pytest.raises(CassetteError, match=r"there is no cassette .*: record it first"):
        show(replay=file)
    once = Cassette(file)
    for content in (b"1", b"2"):
        assert show(files={"a.txt": content}, cassette=once).stdout == content
    again = Cassette(file)
    assert [show(cassette=again).stdout for _ in range(2)] == [b"1", b"2"]
    with pytest.raises(CassetteError, match=r"has no other guest with the arguments \['show', 'a.txt'\]"):
        show(cassette=again)
    new = Cassette(file, "new_episodes")
    assert [show(cassette=new, files={"a.txt": b"3"}).stdout for _ in range(3)] == [b"1", b"2", b"3"]
    assert [show(cassette=Cassette(file, "new_episodes")).stdout] == [b"1"]
    assert file.read_text().count('{"guest"') == 3
    show(files={"a.txt": b"4"}, cassette=Cassette(file, "all"))
    assert file.read_text().count('{"guest"') == 1
    assert show(replay=file).stdout == b"4"
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_guests_in_several_threads_are_episodes_of_one_cassette(file: Path) -> None:
    module, cassette = Module(TOOL), Cassette(file)

    def record(number: int) -> None:
        run(
            module,
            args=["show", f"{number}"],
            files={f"{number}": b"%d" % number},
            stdout=wasihost.PIPE,
            cassette=cassette,
        )

    threads = [threading.Thread(target=record, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    replaying = Cassette(file, "none")
    for number in (2, 0, 3, 1):
        assert (
            run(module, args=["show", f"{number}"], stdout=wasihost.PIPE, cassette=replaying).stdout == b"%d" % number
        )


def test_secrets_are_not_written(file: Path) -> None:
    options: Any = {"args": ["cat"], "stdout": wasihost.PIPE}
    cassette = Cassette(file, "all", scrub=[b"hunter2", "swordfish"])
    done = run(TOOL, input=b"hunter2 hunter2 swordfish\xff", env={"P": "swordfish"}, cassette=cassette, **options)
    assert done.stdout == b"hunter2 hunter2 swordfish\xff"
    assert run(TOOL, replay=file, **options).stdout == b"******* ******* *********\xff"
    cassette = Cassette(file, "all", scrub=lambda data: data.replace(b"hunter2", b"retnuh2"))
    run(TOOL, input=b"hunter2", cassette=cassette, **options)
    assert "retnuh2" in file.read_text()
    with pytest.raises(ConfigError, match="as many as it gets"):
        run(TOOL, input=b"hunter2", cassette=Cassette(file, "all", scrub=lambda data: data + b"!"), **options)


def test_the_size_is_bounded_and_nothing_is_kept_of_what_failed(file: Path) -> None:
    with pytest.raises(CassetteError, match="more than 4096 bytes: raise max_bytes"):
        run(TOOL, args=["cat"], input=bytes(100_000), cassette=Cassette(file, max_bytes="4KiB"))
    assert list(file.parent.iterdir()) == []


def test_a_run_that_was_ended_is_one_that_a_replay_cannot_continue(file: Path) -> None:
    with pytest.raises(TimeoutExpired):
        run(TOOL, args=["sleep", "60"], stdout=wasihost.PIPE, timeout=0.2, record=file)
    with pytest.raises(ReplayError, match="was ended in it by TimeoutExpired") as raised:
        run(TOOL, args=["sleep", "60"], stdout=wasihost.PIPE, replay=file)
    assert raised.value.stdout == b"sleeping\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"record": "a", "replay": "b"}, "give either record or replay"),
        ({"record": "a", "isolation": "process"}, "give either record or isolation"),
        ({"replay": 3}, "replay cannot be 3: give a path"),
        ({"record": Cassette("a", "none")}, "has its own mode, 'none': give cassette="),
    ],
)
def test_options_that_cannot_be_together(options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(wat("empty"), **options)


def test_what_a_cassette_cannot_be() -> None:
    wrong: Any
    for wrong, message in (
        ({"mode": "some"}, "the mode of a cassette cannot be 'some'"),
        ({"scrub": [""]}, "secrets are texts or bytes"),
        ({"scrub": 3}, "secrets are texts or bytes"),
        ({"max_bytes": "much"}, "max_bytes of a cassette cannot be 'much'"),
    ):
        with pytest.raises(ConfigError, match=message):
            Cassette("a", **wrong)


def test_the_file_can_be_read(file: Path) -> None:
    show(files={"a.txt": b"a line \xff"}, record=file)
    calls = {one["call"]: one for one in map(json.loads, file.read_text().splitlines()) if "call" in one}
    assert calls["path_open"]["args"]["path"] == "a.txt"
    assert calls["path_open"]["args"]["fs_rights_inheriting"] == "~"
    assert calls["fd_write"]["args"]["iovs"] == {"base64": "YSBsaW5lIP8="}
