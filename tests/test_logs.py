"""A guest that causes many lines in the log does not fill it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from wasi_preview1.types import Errno

from tests.vfs.outside import Own, Tree, mounted, stat
from wasihost.common import logs
from wasihost.vfs import Stat


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("wasihost")]


def test_a_guest_that_causes_a_line_with_each_call(caplog: pytest.LogCaptureFixture) -> None:
    with mounted(Tree(a=Own(Stat(-1)))) as raw:
        for _ in range(2000):
            assert stat(raw, "a") == Errno.OVERFLOW
    said = lines(caplog)
    assert len(said) == 21
    assert said[0] == "Own.stat().size is -1: the guest gets EOVERFLOW"
    assert said[20].startswith("more lines such as the last are left out, for ")


def test_a_kind_of_line_is_written_a_few_times(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(100_000):
        logs.warn("files", "cannot read %r", number)
    logs.warn("files", "another %s", "line")
    said = lines(caplog)
    assert said[:20] == [f"cannot read {number}" for number in range(20)]
    assert said[20].startswith("more lines such as the last are left out, for ")
    assert said[21:] == ["another line"]


def test_a_repeated_warning_is_logged_again_after_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(logs, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for _ in range(100):
        now[0] += 1
        logs.warn("files", "cannot read it")
    assert len(lines(caplog)) == 42
