"""Traces: the line of each call, where lines go, filters, summaries and nested calls."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from wasi_preview1 import Errno, WasiError

from tests.support.guests import build_c, wat
from tests.support.raw import Raw, clock, readable
from wasihost import ConfigError, ExitError, MemoryFS, ModuleConfig, hook, run
from wasihost.hooks import Proceed
from wasihost.trace import Trace, TracedCall

LONG = b"some text that is longer than thirty-two bytes"
SHOWN, SIZE = LONG[:32].decode(), len(LONG)


def tree() -> ModuleConfig:
    return ModuleConfig().with_mount("/data", MemoryFS({"a.txt": b"abc\0\xff\n", "d/\u00e9\x1b": b"x"}))


def test_each_call_is_a_line_as_strace_has_it() -> None:
    calls: list[TracedCall] = []
    with Raw(tree().with_trace(calls.append)) as raw:
        fd = raw.open("a.txt", oflags=9, rights=0x42, inheriting=0, flags=1)
        raw.write(fd, b'"q"\\', LONG)
        raw.call("fd_seek", fd, 0, 0, raw.new(8))
        raw.read(fd, 8)
        raw.call("path_open", 3, 0, *raw.text("none"), 0, 2, 2, 0, raw.new(4))
        raw.call("path_filestat_get", 3, 1, *raw.text("a.txt"), raw.new(64))
        raw.call("fd_prestat_get", 3, raw.new(8))
        raw.call("fd_prestat_dir_name", 3, raw.new(5), 5)
        raw.call("random_get", raw.new(40), 0)
        raw.call("fd_renumber", fd, 9)
        raw.call("fd_close", fd)
        raw.call("fd_tell", fd, raw.new(8))
        folder = raw.open("d", oflags=2, rights=0x4002)
        raw.readdir(folder)
        pointer = raw.new(96)
        raw.put(pointer, clock(1, 1, 5) + readable(2, 0))
        raw.call("poll_oneoff", pointer, raw.new(64), 2, raw.new(4))
        raw.call("args_sizes_get", raw.new(4), raw.new(4))
        with pytest.raises(ExitError):
            raw.state.proc_exit(3)
    assert [call.text for call in calls] == [
        'path_open(3</data>, SYMLINK_FOLLOW, "a.txt", CREAT|TRUNC, FD_READ|FD_WRITE, 0, APPEND) = 4</data/a.txt>',
        f'fd_write(4</data/a.txt>, [{{"\\"q\\"\\\\", 4}}, {{"{SHOWN}"..., {SIZE}}}]) = {SIZE + 4}',
        "fd_seek(4</data/a.txt>, 0, SET) = 0",
        'fd_read(4</data/a.txt>, [{"\\"q\\"\\\\some", 8}]) = 8',
        'path_open(3</data>, 0, "none", 0, FD_READ, FD_READ, 0) = NOENT',
        f'path_filestat_get(3</data>, SYMLINK_FOLLOW, "a.txt") = {{filetype=REGULAR_FILE, size={SIZE + 4}, ...}}',
        "fd_prestat_get(3</data>) = {DIR, {pr_name_len=5}}",
        'fd_prestat_dir_name(3</data>, "/data", 5) = 0',
        'random_get("", 0) = 0',
        "fd_renumber(4</data/a.txt>, 9) = BADF",
        "fd_close(4</data/a.txt>) = 0",
        "fd_tell(4) = BADF",
        'path_open(3</data>, SYMLINK_FOLLOW, "d", DIRECTORY, FD_READ|FD_READDIR, ALL, 0) = 4</data/d>',
        'fd_readdir(4</data/d>, [".", "..", "\u00e9\\x1b"], 4096, 0) = 78',
        "poll_oneoff([{CLOCK, MONOTONIC, 5}, {FD_READ, 0<stdin>}], 2) = 1",
        "args_sizes_get() = (0, 0)",
        "proc_exit(3) = ?",
    ]
    assert all(str(call).startswith(f"{call.text} <0.0") for call in calls)


def test_lines_go_to_a_stream_a_file_or_a_logger(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    out = io.StringIO()
    file = tmp_path / "calls"
    for to in (out, file, logging.getLogger("guests")):
        with caplog.at_level(logging.DEBUG, "guests"):
            run(wat("exit"), trace=to)
    expected = ["args_sizes_get() = (1, 9)", "proc_exit(1) = ?"]
    for text in (out.getvalue(), file.read_text(), "\n".join(record.getMessage() for record in caplog.records)):
        assert [line.partition(" <")[0] for line in text.splitlines()] == expected
    assert [record.wasi.text for record in caplog.records] == expected  # type: ignore[attr-defined]  # it is added


def test_json_has_everything(tmp_path: Path) -> None:
    file = tmp_path / "calls"
    with Raw(tree().with_trace(Trace(file, format="json"))) as raw:
        raw.read(raw.open("a.txt", rights=2), 8)
        raw.call("fd_close", 77)
    opened, read, closed = map(json.loads, file.read_text().splitlines())
    assert opened["arguments"]["fs_rights_base"] == ["FD_READ"]
    assert opened["descriptors"]["result"] == {"kind": "REGULAR_FILE", "path": "/data/a.txt", "mount": "/data"}
    assert read["arguments"]["iovs"] == [{"size": 8, "data": "abc\0\\xff\n??"}]
    assert (read["result"], closed["error"]) == (6, "BADF")


def test_filters_and_the_summary() -> None:
    out = io.StringIO()
    with Raw(tree().with_trace(Trace(out, filter="path_*,fd_close, !path_link,%failed", summary=True))) as raw:
        raw.open("a.txt", rights=2)
        raw.call("path_unlink_file", 3, *raw.text("none"))
        raw.call("path_link", 3, 0, *raw.text("none"), 3, *raw.text("x"))
        raw.read(0, 1)
        raw.call("fd_close", 77)
    first, second, *table = out.getvalue().splitlines()
    assert first.startswith('path_unlink_file(3</data>, "none") = NOENT <')
    assert second.startswith("fd_close(77) = BADF <")
    assert table[0].split() == ["%", "time", "seconds", "usecs/call", "calls", "errors", "function"]
    assert sorted((row.split()[-1], row.split()[3]) for row in table[2:-2]) == [
        ("fd_close", "1"),
        ("path_open", "1"),
        ("path_unlink_file", "1"),
    ]
    assert table[-1].split()[2:] == ["3", "2", "total"]


def test_a_trace_is_outside_other_hooks_and_shows_nested_calls() -> None:
    out = io.StringIO()

    @hook(on="fd_sync")
    def nest(_call: Any, _proceed: Proceed) -> Any:
        raw.call("fd_tell", 0, 16)
        raw.call("sched_yield")
        raise WasiError(Errno.NOSPC)

    with Raw(tree().with_hooks(nest).with_trace(out)) as raw:
        raw.call("fd_sync", 1)
    assert [line.partition(" <0")[0] for line in out.getvalue().splitlines()] == [
        "fd_sync(1<stdout>) <unfinished ...>",
        "  fd_tell(0<stdin>) = SPIPE",
        "  sched_yield() = 0",
        "<... fd_sync resumed> = NOSPC",
    ]


def test_guests_of_one_trace_are_told_apart() -> None:
    out = io.StringIO()
    config = ModuleConfig().with_trace(Trace(out, filter="sched_yield"))
    with Raw(config) as one, Raw(config) as other:
        other.call("sched_yield")
        one.call("sched_yield")
    assert [line.partition(" <")[0] for line in out.getvalue().splitlines()] == [
        "[guest 2] sched_yield() = 0",
        "[guest 1] sched_yield() = 0",
    ]


def test_a_file_has_the_lines_of_all_guests(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "calls", filter="proc_exit")
    for _ in range(2):
        run(wat("exit"), trace=trace)
    assert (tmp_path / "calls").read_text().count("proc_exit(1) = ? <") == 2


def test_a_trace_that_cannot_be_written_is_nothing_to_the_guest(caplog: pytest.LogCaptureFixture) -> None:
    class Full:
        def write(self, _text: str) -> None:
            raise OSError(28, "No space left on device")

    done = run(build_c("tool"), args=["both"], capture_output=True, trace=Full())
    assert (done.returncode, done.stdout) == (0, b"to output\n")
    assert [record.getMessage() for record in caplog.records] == [
        "the rest of a trace is lost: [Errno 28] No space left on device"
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Trace(3), "a trace cannot go to 3: give True, a path"),  # type: ignore[arg-type]  # the mistake
        (lambda: Trace(format="xml"), 'give "text" or "json"'),  # type: ignore[arg-type]  # the mistake
        (lambda: Trace(print, summary=True), "a function gets calls, and a summary is text"),
        (
            lambda: run(wat("exit"), trace=Trace(filter="pth_*")),
            r"no function is called 'pth_\*'.* did you mean path_\*",
        ),
        (lambda: run(wat("exit"), trace=True, isolation="process"), "trace run in this process"),
    ],
)
def test_mistakes(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
