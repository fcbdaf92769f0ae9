"""`start`: talking with a guest while it runs."""

from __future__ import annotations

import io
import signal
import subprocess
import time
from typing import Any

import pytest

from tests.embedding.guests import SERVER, TALKER, TOOL
from wasihost import (
    DEVNULL,
    PIPE,
    STDOUT,
    ConfigError,
    ModuleConfig,
    TimeoutExpired,
    start,
)

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_lines_come_while_the_guest_runs() -> None:
    with start(TALKER, args=["progress", "5"], text=True) as process:
        assert next(process.stdout) == "1/5\n"
        assert process.poll() is None
        assert list(process.stdout) == [f"{number}/5\n" for number in range(2, 6)]
    assert process.returncode == process.wait() == process.poll() == 0
    assert (process.args[1:], process.stderr) == (["progress", "5"], None)


@pytest.mark.parametrize(
    ("bufsize", "text"), [(-1, False), (-1, True), (0, False), (0, True), (1, True), (8192, False), (8192, True)]
)
def test_a_conversation(bufsize: int, text: bool) -> None:
    with start(SERVER, args=["cat"], text=text, bufsize=bufsize) as process:
        for line in ("one é\n", "two\n", "three\n"):
            said = line if text else line.encode()
            process.stdin.write(said)
            if bufsize not in (0, 1):
                process.stdin.flush()
            assert process.stdout.readline() == said
        process.stdin.close()
        assert process.stdout.read() == ("" if text else b"")
    assert process.returncode == 0


def test_text_is_as_with_subprocess() -> None:
    with start(TOOL, args=["cat"], encoding="latin-1") as process:
        process.stdin.write("é\r\nz\n")
        process.stdin.close()
        assert process.stdout.read() == "é\nz\n"
    with start(TOOL, args=["cat"], text=True, errors="replace", input=b"\xff") as process:
        assert process.stdin is None
        assert process.stdout.read() == "\ufffd"


@pytest.mark.parametrize("size", [0, 3, 1 << 20])
def test_communicate_with_all_three(size: int) -> None:
    data = b"y" * size
    with start(TALKER, args=["both", str(size)], stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
        out, err = process.communicate(data)
        assert (out, err) == (b"x" * size + data, b"x" * size)
    assert process.returncode == 0


def test_communicate_after_reading_a_part() -> None:
    with start(SERVER, args=["cat"], text=True) as process:
        process.stdin.write("é one\ntwo\n")
        process.stdin.flush()
        assert process.stdout.readline() == "é one\n"
        assert process.communicate("three") == ("two\nthree", None)


def test_communicate_goes_on_after_a_timeout() -> None:
    with start(TALKER, args=["progress", "400"], text=True) as process:
        with pytest.raises(TimeoutExpired, match=r"still running after 0\.1 seconds") as caught:
            process.communicate(timeout=0.1)
        assert caught.value.stdout is None or "1/400\n".startswith(caught.value.stdout[:6])
        with pytest.raises(ValueError, match="given before"):
            process.communicate("more")
        out, _ = process.communicate(timeout=60)
    assert out == "".join(f"{number}/400\n" for number in range(1, 401))


def test_communicate_keeps_so_much() -> None:
    with start(TALKER, args=["both", "100000"], max_output=1000, stderr=DEVNULL) as process:
        assert process.communicate() == (b"x" * 1000, None)
    assert process.truncated == ("stdout",)


@pytest.mark.parametrize(
    ("given", "error"), [({"text": True}, TypeError), ({}, TypeError), ({"stdin": DEVNULL}, ValueError)]
)
def test_input_that_cannot_be_given(given: dict[str, Any], error: type[Exception]) -> None:
    with start(TOOL, args=["cat"], **given) as process, pytest.raises(error, match="input"):
        process.communicate(b"bytes" if given else "text")


def test_a_guest_that_writes_more_than_is_read_waits() -> None:
    with start(TALKER, args=["flood"]) as process:
        wrote = [0]

        def read(size: int) -> None:
            wrote[0] += len(process.stdout.read(size))

        read(1 << 20)
        time.sleep(0.1)
        cpu = time.process_time()
        time.sleep(0.3)
        assert time.process_time() - cpu < 0.2  # it waits
        assert process.poll() is None
        read(1 << 20)
        process.kill()
        assert len(process.stdout.read()) <= 1 << 18
    assert process.returncode == -signal.SIGKILL


def test_other_streams() -> None:
    pieces: list[bytes] = []
    with start(TOOL, args=["both"], stdout=pieces.append, stderr=PIPE) as process:
        assert process.stdout is None
        assert process.stderr.read() == b"to error\n"
    assert pieces == [b"to output\n"]
    kept = io.StringIO()
    with start(TOOL, ModuleConfig().with_stdout(kept).with_stdin(b"abc"), args=["cat"]) as process:
        assert (process.stdin, process.stdout, process.wait()) == (None, None, 0)
    assert kept.getvalue() == "abc"
    with start(TOOL, args=["both"], stderr=subprocess.STDOUT) as process:
        assert process.stdout.read() == b"to output\nto error\n"
    with start(TOOL, args=["both"], capture_output=True) as process:
        assert process.communicate() == (b"to output\n", b"to error\n")
    with pytest.raises(ConfigError, match="leave out"):
        start(TOOL, capture_output=True, stdout=PIPE)


def test_a_guest_may_close_its_output_and_run_on() -> None:
    with start(TALKER, args=["close"], text=True) as process:
        assert list(process.stdout) == ["line\n"]
        assert process.poll() is None
    assert process.returncode == 5
    with start(TALKER, args=["close"], stderr=STDOUT) as other:
        assert [next(other.stdout), next(other.stdout)] == [b"line\n", b"still here\n"]  # one pipe, of two


def test_files_and_stats() -> None:
    with start(TOOL, args=["files", "/f"], files={}) as process:
        assert process.wait() == 0
        assert process.files is not None
        assert process.files["f"] == b"written"
        assert process.stats is not None
        assert process.stats.wall > 0
    with start(TOOL, args=["sleep", "60"]) as process:
        assert (process.files, process.stats, process.truncated) == (None, None, ())
        process.kill()
