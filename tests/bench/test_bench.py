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

import pytest

from tests.bench import isolation, report, sleeping, sockets
from tests.bench.servers import PIECE
from tests.support.guests import GUESTS

ROOT = Path(__file__).resolve().parents[2]


def bench(*options: str) -> str:
    command = [sys.executable, "-m", "tests.bench", "--quick", *options]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=300).stdout


def test_isolation_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    isolation.main(times=3)
    assert re.search(r"^run, in a process( +\d+\.\d\d){3} ", capsys.readouterr().out, re.MULTILINE)


def test_every_case_yields_a_number_in_each_column(tmp_path: Path) -> None:
    printed = bench("--json", str(tmp_path / "numbers.json"))
    document = json.loads((tmp_path / "numbers.json").read_text("utf-8"))
    assert set(document["ns"]) == {"ours", "native", "naive"}
    assert document["floor"] > 0
    for column in document["ns"].values():
        assert set(column) == set(report.CASES)
        assert all(0 < time < math.inf for time in column.values())
    for case in report.CASES:
        assert re.search(rf"^  {case}( +[\d,.]+){{3}} +[\d.e+-]+ +-$", printed, re.MULTILINE)
    assert {column: set(cases) for column, cases in document["sleeps"].items()} == {
        "ours": set(sleeping.CASES),
        "native": set(sleeping.CASES),
    }
    for took in document["sleeps"]["ours"].values():
        assert sleeping.WANTED <= took["shortest"] <= took["median"] <= took["longest"] < math.inf
    assert set(document["sockets"]) == set(sockets.COLUMNS)
    for rates in document["sockets"].values():
        assert set(rates) == set(sockets.CASES)
        assert all(0 < rate < math.inf for rate in rates.values())
    for case in sleeping.CASES:
        assert re.search(rf"^  {case}( +[\d.]+, [\d.]+, [\d.]+){{2}}$", printed, re.MULTILINE)
    for case, unit in sockets.CASES.items():
        assert re.search(rf"^  {case}, {unit}( +[\d,]+){{2}} +[\d.e+-]+$", printed, re.MULTILINE)


def test_only_some_cases() -> None:
    printed = bench("--only", "fd_read_*", "--columns", "ours,native")
    assert set(re.findall(r"^  (\w+) ", printed, re.MULTILINE)) == {
        "fd_read_1",
        "fd_read_4K",
        "fd_read_64K",
        "fd_read_1M",
        "geometric",
    }


@pytest.mark.parametrize(
    ("pattern", "columns", "shown"),
    [
        ("sleep_1ms", "native", ["sleep_1ms"]),
        ("turns_poll", "ours", ["turns_poll"]),
        ("turns_poll", "native", []),
        ("fd_read_1M", "native", ["fd_read_1M", "geometric"]),
    ],
)
def test_a_part_alone(pattern: str, columns: str, shown: list[str]) -> None:
    printed = bench("--only", pattern, "--columns", columns)
    assert re.findall(r"^  (\w+)", printed, re.MULTILINE) == shown


def test_the_guest_and_the_report_know_the_same_cases() -> None:
    in_c = re.findall(r'^ +\{"(\w+)", \w+, [^}]+\},$', (GUESTS / "bench.c").read_text("utf-8"), re.MULTILINE)
    assert sorted(in_c) == sorted(["floor", *report.CASES])


def test_the_targets_are_held_against_the_geometric_mean() -> None:
    times = {
        "ours": {"fd_read_64K": 20.0, "fd_write_64K": 45.0},
        "native": {"fd_read_64K": 100.0, "fd_write_64K": 100.0},
    }
    (verdict,) = report.verdicts(times)
    assert verdict.value == pytest.approx(0.3)
    assert str(verdict) == "met: 64 KiB transfers: ours/native 0.3, at most 0.45"
    times["ours"]["fd_write_64K"] = 102.0
    assert not report.verdicts(times)[0].met


def test_a_sleep_is_not_too_short_and_the_usual_one_not_too_long() -> None:
    def told(*took: float) -> list[str]:
        return list(map(str, sleeping.verdicts({"ours": {"sleep_1ms": list(took)}, "native": {"sleep_1ms": [5.0]}})))

    assert told(1.0e6, 1.5e6, 9e6) == [
        "met: sleep_1ms: shortest, ms 1, at least 1",
        "met: sleep_1ms: median, ms 1.5, at most 1.5",
    ]
    assert told(0.999e6, 1.51e6, 1.6e6) == [
        "MISSED: sleep_1ms: shortest, ms 0.999, at least 1",
        "MISSED: sleep_1ms: median, ms 1.51, at most 1.5",
    ]
    assert sleeping.verdicts({"native": {"sleep_1ms": [5.0]}}) == []


def test_a_stream_is_held_against_plain_python() -> None:
    rates = {"ours": {"stream_poll": 500.0, "turns_poll": 1.0}, "python": {"stream_poll": 1000.0, "turns_poll": 100.0}}
    assert list(map(str, sockets.verdicts(rates))) == ["met: stream_poll: ours/python 0.5, at least 0.5"]
    rates["ours"]["stream_poll"] = 499.0
    assert not sockets.verdicts(rates)[0].met
    assert sockets.verdicts({"ours": {}, "python": {"stream_poll": 1000.0}}) == []


def test_tables_leave_out_what_was_not_measured() -> None:
    assert report.table({"ours": {}}) == sleeping.table({"ours": {}}) == sockets.table({"ours": {}}) == ""


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
