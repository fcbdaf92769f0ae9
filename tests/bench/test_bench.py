"""The benchmark still runs: every case in every column that needs nothing but Python. Says nothing about speed."""

from __future__ import annotations

import json
import math
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench import calls, cases, documents, goals, growth, isolation, plot, sockets, summary, tables
from tests.bench.servers import PIECE
from tests.support.guests import GUESTS
from wasihost import native

ROOT = Path(__file__).resolve().parents[2]


def bench(*options: str) -> str:
    command = [sys.executable, "-m", "tests.bench", "--quick", *options]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=300).stdout


def test_isolation_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    isolation.main(times=3)
    assert re.search(r"^run, in a process( +\d+\.\d\d){3} ", capsys.readouterr().out, re.MULTILINE)


def test_every_case_yields_a_number_in_each_of_our_columns(tmp_path: Path) -> None:
    printed = bench("--columns", "pure,native", "--json", str(tmp_path / "numbers.json"))
    run = cases.Run(**json.loads((tmp_path / "numbers.json").read_text("utf-8")))
    built = ["pure", "native"] if native.extension else ["pure"]
    assert set(run.missing) == {"pure", "native"}.difference(built)
    larger = {case for kind in cases.GROWTH for case in cases.growth_cases(kind)[1:]}
    for case in set(sum(cases.GROUPS.values(), ())) - larger:
        assert set(run.numbers[case]) >= set(built) - ({"pure"} if case == "map_dask" else set()), case
        assert all(math.isfinite(number) for number in run.numbers[case].values()), case
        assert re.search(rf"^  {re.escape(case)} +[\d.,]+", printed, re.MULTILINE), case


def test_peers_that_are_installed_have_numbers() -> None:
    printed = bench("--only", "fd_tell*", "--columns", "wasmtime-py,wasmtime,node,define_func,floor")
    head, *lines = printed[printed.index("ns ") :].splitlines()
    assert {"wasmtime-py", "define_func", "floor"} <= set(head.split())
    rows = [line for line in lines if line.startswith("  fd_")]
    assert [row.split()[0] for row in rows] == ["fd_tell", "fd_tell()"]
    for row in rows:
        assert re.match(rf"  [\w()]+( +[\d.,-]+){{{len(head.split()) - 1}}}$", row)


def test_a_case_or_column_that_does_not_exist() -> None:
    for options, told in ((["--only", "nothing"], "no case is called 'nothing'"), (["--columns", "x"], "no column is")):
        command = [sys.executable, "-m", "tests.bench", "--quick", *options]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith(told)


def test_the_guest_and_the_table_know_the_same_cases() -> None:
    in_c = re.findall(r'^ +\{"(\w+)", \w+, [^}]+\},$', (GUESTS / "bench.c").read_text("utf-8"), re.MULTILINE)
    in_c += re.findall(r'^ +\{"(sleep\w+)", \d\},$', (GUESTS / "bench.c").read_text("utf-8"), re.MULTILINE)
    assert sorted(in_c) == sorted(["floor", *calls.CASES, *cases.SILENT])


def test_a_slope_is_the_exponent() -> None:
    assert growth.slope({100: 5.0, 1000: 5.0, 10_000: 5.0}) == pytest.approx(0)
    assert growth.slope({100: 5.0, 1000: 50.0, 10_000: 500.0}) == pytest.approx(1)
    numbers = {f"open_{size}": {"native": float(size), "node": 1.0} for size in cases.SIZES}
    assert growth.slopes(numbers) == {"open_slope": {"native": pytest.approx(1), "node": pytest.approx(0)}}


def numbers(ours: float, column: str = "native") -> cases.Numbers:
    return {case: {column: ours, "node": 100.0} for case in cases.LARGE}


def verdict(name: str, found: cases.Numbers) -> goals.Verdict:
    (one,) = [one for one in goals.verdicts(found, ("native",)) if one.name.startswith(name)]
    return one


def test_goals_are_held_against_the_geometric_mean() -> None:
    found = numbers(100.0) | {"fd_read_64K": {"native": 50.0, "node": 100.0}}
    assert str(verdict("64 KiB and more", found)) == "met: native: 64 KiB and more / node:wasi: at most 1.05, is 0.841"
    assert verdict("64 KiB and more", numbers(106.0)).met is False
    assert str(verdict("64 KiB and more", numbers(210.0))).startswith("MISSED by 100%: native: 64 KiB and more")
    assert verdict("64 KiB and more", {}).met is None


def test_a_sleep_is_not_too_short() -> None:
    assert verdict("the shortest sleep", {calls.SHORTEST: {"native": 1.0e6}}).met
    assert str(verdict("the shortest sleep", {calls.SHORTEST: {"native": 0.9e6}})).startswith("MISSED by 10%")


@pytest.mark.parametrize(("value", "status"), [(100.0, 0), (150.0, 1)])
def test_the_exit_status_says_whether_a_goal_is_missed(tmp_path: Path, value: float, status: int) -> None:
    saved = tmp_path / "numbers.json"
    saved.write_text(json.dumps(cases.Run("", 1, {}, numbers(value, "native"))._asdict()))
    command = [sys.executable, "-m", "tests.bench", "--check", "--load", str(saved)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == status
    assert ("\nMISSED by 43%: native: 64 KiB and more / node:wasi" in done.stdout) == bool(status)
    assert "\nnot measured: pure: 64 KiB and more" in done.stdout


def test_medians_leave_out_what_was_not_measured() -> None:
    assert cases.medians({"one": {"native": [3.0, 1.0, 2.0], "pure": []}}) == {"one": {"native": 2.0}}
    assert tables.table({}) == ""


def test_the_documentation_shows_what_was_saved() -> None:
    run = documents.load()
    for page in documents.PAGES:
        text = page.read_text("utf-8")
        assert text == documents.filled(text, run), (
            f"`python -m tests.bench --load docs/speed.json --docs` writes {page}"
        )
    assert documents.PLOT.read_text("utf-8") == documents.picture(run)


def test_every_table_stands_in_a_page() -> None:
    marked = [mark[2] for page in documents.PAGES for mark in documents.MARKS.finditer(page.read_text("utf-8"))]
    assert set(marked) == set(documents.TABLES)


def test_the_plot_has_a_dot_for_each_number_and_no_other() -> None:
    found: cases.Numbers = {
        "empty_run": {"native": 100.0, "pure": 200.0, "wasmtime-py": 50.0},
        "program_tree": {"native": 10.0, "node": 1000.0},
    }
    picture = ElementTree.fromstring(plot.svg(list(summary.ROWS), found, "taken & told"))
    said = [title.text for title in picture.findall(".//{*}circle/{*}title")]
    assert said == [
        "whole programs: node:wasi takes 100 times as long",
        "empty guests: wasihost, pure Python takes 2 times as long",
        "empty guests: wasmtime-py's WASI takes 0.5 times as long",
    ]
    assert {float(dot.attrib["cx"]) < plot.WIDTH for dot in picture.iterfind(".//{*}circle")} == {True}


def test_a_row_of_the_summary_compares_the_same_cases() -> None:
    row = summary.Row("", "", ("one", "two"), str)
    found: cases.Numbers = {"one": {"native": 4.0, "node": 9.0}, "two": {"native": 100.0}}
    assert row.times(found) == {"native": pytest.approx(4), "node": pytest.approx(9)}


def _echo(server: socket.socket, change: Callable[[bytes], bytes]) -> None:
    with server, suppress(ConnectionError):  # the client may have seen enough
        while piece := server.recv(PIECE):
            server.sendall(change(piece))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (bytes, None),
        (lambda piece: piece[:-1] + bytes([piece[-1] ^ 1]), "differs"),
        (lambda piece: piece[:-1], "differs|of .* came back"),
    ],
)
def test_the_client_looks_at_every_byte(change: Callable[[bytes], bytes], told: str | None) -> None:
    client, server = socket.socketpair()
    thread = threading.Thread(target=_echo, args=(server, change))
    with client:
        thread.start()
        if told is None:
            assert sockets.take_turns(client, 5) > 0
            assert sockets.stream(client, 20 * PIECE) > 0
        else:
            with pytest.raises(RuntimeError, match=told):
                sockets.stream(client, 20 * PIECE)
    thread.join()
