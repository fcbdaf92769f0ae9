"""`wasihost map`: a file in, a file out, what is named and refused, and what a later command skips."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.support.guests import build_c
from wasihost.cli.click_app import main

TOOL = str(build_c("tool"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a/one.txt", "a/two.txt", "b/one.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"content of {name}\n")
    return tmp_path


def run(*arguments: str, stdin: str | None = None) -> Result:
    before = signal.getsignal(signal.SIGTERM)
    try:
        return CliRunner().invoke(main, ["map", TOOL, *arguments], input=stdin)
    finally:
        signal.signal(signal.SIGTERM, before)


def outputs(out: str) -> dict[str, str]:
    return {
        str(path.relative_to(out)): path.read_text()
        for path in sorted(Path(out).rglob("*"))
        if path.is_file() and ".wasihost-map" not in path.parts
    }


def records(out: str) -> list[dict[str, object]]:
    lines = Path(out, ".wasihost-map", "records.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines[1:] if line]


def test_outputs_are_printed_in_order_without_a_folder() -> None:
    done = run("b/one.txt", "a/one.txt", "a/two.txt", "--", "cat")
    assert done.exit_code == 0
    assert done.stdout == "content of b/one.txt\ncontent of a/one.txt\ncontent of a/two.txt\n"
    assert done.stderr.startswith("wasihost map: 3 done, 0 failed, in ")


def test_outputs_are_named_and_their_runs_recorded() -> None:
    done = run(
        "--out", "out", "--jobs", "2", "a/one.txt", "a/two.txt", "--name", "{number}/{stem}.md{suffix}", "--", "cat"
    )
    assert done.exit_code == 0
    assert outputs("out") == {"1/one.md.txt": "content of a/one.txt\n", "2/two.md.txt": "content of a/two.txt\n"}
    found = sorted(records("out"), key=lambda one: str(one["input"]))
    assert [(one["input"], one["output"], one["status"], one["ok"]) for one in found] == [
        ("a/one.txt", "out/1/one.md.txt", 0, True),
        ("a/two.txt", "out/2/two.md.txt", 0, True),
    ]
    assert sorted(os.listdir("out/.wasihost-map")) == ["lock", "records.jsonl"]


def test_a_guest_gets_the_file_as_a_file_and_writes_one() -> None:
    done = run("--out", "out", "a/two.txt", "--", "show", "{}")
    assert (done.exit_code, outputs("out")) == (0, {"two.txt": "content of a/two.txt\n"})
    done = run("--out", "out", "a/one.txt", "--", "files", "{out}")
    assert (done.exit_code, outputs("out")["one.txt"]) == (0, "written")
    done = run("--out", "out", "a/one.txt", "--", "both", "{out}")
    assert (done.exit_code, "it wrote no /out/one.txt" in done.stderr) == (1, True)
    assert "a/one.txt: to output\na/one.txt: to error\n" in done.stderr


def test_names_that_clash_are_refused_before_anything_runs() -> None:
    done = run("--out", "out", "a/one.txt", "b/one.txt", "--", "cat")
    assert done.exit_code == 2
    assert done.stderr == (
        "wasihost map: a/one.txt and b/one.txt would both be written to one.txt in out: tell them apart by "
        "--name '{path}'\n"
    )
    assert not os.path.exists("out")
    assert run("--out", "out", "--name", "{path}", "a/one.txt", "b/one.txt", "--", "cat").exit_code == 0
    assert list(outputs("out")) == ["a/one.txt", "b/one.txt"]
    assert "name each file once" in run("--out", "out", "a/one.txt", "a/one.txt", "--", "cat").stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "o", "--name", "../{name}", "a/one.txt"], "its output cannot have the name '../one.txt' in o"),
        (["--out", "o", "--name", "{path}", "../x"], "its output cannot have the name '../x' in o"),
        (["--out", "o", "--name", "{date}", "a/one.txt"], "--name {date}: write {name}"),
        (["--out", "o", "--name", ".wasihost-map/{name}", "a/one.txt"], "where the records are"),
        (["--resume", "a/one.txt"], "give --out DIR"),
        (["a/one.txt", "--", "{out}"], "give --out DIR"),
        ([], "name the files to run it for"),
        (["--accept", "x", "a/one.txt"], "'x' is no exit status"),
        (["--files-from", "nothing"], "--files-from nothing: No such file"),
    ],
)
def test_wrong_usage_is_named(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())
    assert not os.path.exists("o")


def test_an_output_never_replaces_an_input() -> None:
    done = run("--out", "a", "a/one.txt", "--", "cat")
    assert done.exit_code == 1
    assert "its output would be written over the input" in done.stderr
    assert Path("a/one.txt").read_text() == "content of a/one.txt\n"


def test_what_fails_leaves_no_output_and_the_others_run() -> None:
    done = run("--out", "out", "a/one.txt", "none.txt", "a", "--", "exit", "3")
    assert done.exit_code == 1
    assert outputs("out") == {}
    assert "wasihost map: a/one.txt: exit status 3\n" in done.stderr
    assert "wasihost map: none.txt: No such file or directory\n" in done.stderr
    assert "wasihost map: a: is a directory\n" in done.stderr
    assert "0 done, 3 failed" in done.stderr
    assert sorted(str(one["status"]) for one in records("out")) == ["2", "2", "3"]
    assert run("--out", "out", "--accept", "3,4", "a/one.txt", "--", "exit", "3").exit_code == 0
    done = run("--out", "out", "--timeout", "0.1", "a/two.txt", "--", "spin")
    assert (done.exit_code, records("out")[0]["status"]) == (1, 124)


def test_resume_skips_what_is_done_and_nothing_else() -> None:
    names = ["--out", "out", "a/one.txt", "a/two.txt", "--name", "{path}"]
    assert run(*names, "--", "cat").exit_code == 0
    first = os.stat("out/a/two.txt").st_mtime_ns
    Path("a/one.txt").write_text("changed\n")
    with Path("out/.wasihost-map/records.jsonl").open("a") as file:
        file.write('{"input": "a/two')  # as the end of the machine leaves it
    done = run(*names, "b/one.txt", "none", "--resume", "--timeout", "60", "--", "cat")
    assert "2 done, 1 failed, 1 skipped (done before)" in done.stderr
    assert outputs("out")["a/one.txt"] == "changed\n"
    assert os.stat("out/a/two.txt").st_mtime_ns == first
    os.unlink("out/a/two.txt")
    done = run(*names, "b/one.txt", "--resume", "--", "cat")
    assert "1 done, 0 failed, 2 skipped" in done.stderr
    done = run(*names, "--resume", "--", "both")
    assert done.exit_code == 2
    assert "the outputs in out were made with a different options: leave out --resume" in done.stderr
    done = run(*names, "--", "cat")
    assert "2 done, 0 failed, in" in done.stderr


def test_names_of_files_are_read_from_a_list() -> None:
    done = run("--files-from", "-", "--", "cat", stdin="a/one.txt\nb/one.txt\n")
    assert done.stdout == "content of a/one.txt\ncontent of b/one.txt\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_and_leaves_no_part(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "wasihost", "map", TOOL, "a/one.txt", "a/two.txt", "--out", "out", "--", "spin"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not list(Path().glob("out/.wasihost-map/*.part")) and process.poll() is None:
            time.sleep(0.02)
        busy = run("a/one.txt", "--out", "out", "--", "cat")
        assert (busy.exit_code, "another wasihost map is writing into out" in busy.stderr) == (2, True)
        time.sleep(0.1)
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == (-number if number == signal.SIGINT else 128 + number)
    assert "Traceback" not in errors
    assert sorted(os.listdir("out/.wasihost-map")) == ["lock", "records.jsonl"]
    assert outputs("out") == {}


def test_a_reader_that_leaves_ends_the_command_quietly() -> None:
    command = f"{sys.executable} -m wasihost map {TOOL} a/one.txt a/two.txt b/one.txt -- cat | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
