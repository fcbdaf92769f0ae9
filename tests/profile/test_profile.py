"""Where the time of a run went: the numbers, the JSON and the page of one profiled guest, and what limits them.

The guest is profiled.wat. Nothing here depends on how long it takes: only on what it does, and that the sums agree.
"""

from __future__ import annotations

import base64
import hashlib
import json
from html.parser import HTMLParser
from typing import Any

import pytest

import wasihost
from tests.support.guests import GUESTS, build_with_lines
from wasihost import Profile, TrapError
from wasihost.binary.function_names import FunctionNames

GUEST = GUESTS / "profiled.wat"
ATTACK = "</script><img src=x onerror=alert(1)>\x07\u202e"
MEMORY = '(memory (export "memory") 1)'


@pytest.fixture(scope="module")
def profile() -> Profile:
    """With a sample of each function that computes: on a busy machine that may take some runs."""
    for _ in range(20):
        made = Profile()
        wasihost.run(GUEST, files={}, profile=made)
        if {"store::add(int)", ATTACK, "deep"} <= {one.name for one in made.functions}:
            break
    return made


@pytest.fixture(scope="module")
def processed(profile: Profile) -> Any:
    return json.loads(profile.to_json())


# -- the numbers -------------------------------------------------------------------------------------------------------


def test_functions_of_the_guest(profile: Profile) -> None:
    functions = {one.name: one for one in profile.functions}
    assert profile.functions[0].name == "spin"
    for caller in ("store::add(int)", ATTACK, "deep", "_start"):
        assert 0 < functions[caller].total <= functions["_start"].total + 1e-9
        assert functions[caller].seconds < functions["spin"].seconds
    assert not functions["spin"].host


def test_the_times_add_up(profile: Profile) -> None:
    assert profile.seconds == pytest.approx(profile.guest_seconds + profile.host_seconds)
    assert sum(one.seconds for one in profile.functions) == pytest.approx(profile.seconds)
    assert sum(one.seconds for one in profile.calls) == pytest.approx(profile.host_seconds, rel=0.05, abs=0.005)
    used = sum(sum(each.used) for each in profile.report.slices) / 1e9
    assert used == pytest.approx(profile.seconds, rel=0.05, abs=0.005)
    assert profile.samples == sum(one.samples for one in profile.functions)


def test_calls_by_function_path_and_mount(profile: Profile) -> None:
    calls = {(one.function, one.path): one for one in profile.calls}
    written = calls["fd_write", "/<b>&.txt"]
    assert (written.mount, written.calls, written.failed, written.written) == ("/", 100, 0, 100_000)
    assert calls["path_open", "/absent"].failed == 1
    assert calls["path_open", "/<b>&.txt"].failed == 0
    assert calls["fd_close", "/<b>&.txt"].calls == 1
    waited = calls["poll_oneoff", ""]
    assert waited.seconds >= 0.029
    assert waited.longest == waited.seconds


def test_a_number_that_is_used_again_is_another_file() -> None:
    opens = "(drop (call $open (i32.const 3) (i32.const 0) (i32.const {}) (i32.const 1) (i32.const 1) (i64.const 64)\
 (i64.const 0) (i32.const 0) (i32.const 32)))"
    closes = "(drop (call $close (i32.load (i32.const 32))))"
    module = f"""(module
        (import "wasi_snapshot_preview1" "path_open"
          (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
        {MEMORY} (data (i32.const 0) "ab")
        (func (export "_start") {opens.format(0)} {closes} {opens.format(1)} {closes} {closes}))"""
    profile = Profile()
    wasihost.run(module, files={}, profile=profile)
    closed = {one.path: (one.calls, one.failed) for one in profile.calls if one.function == "fd_close"}
    assert closed == {"/a": (1, 0), "/b": (1, 0), "": (1, 1)}


def test_a_long_call_is_below_the_function_that_made_it(profile: Profile) -> None:
    report = profile.report
    stacks = [[report.label(part) for part in stack] for stack in report.stacks]
    assert ["_start", "wait", "poll_oneoff"] in stacks


def test_memory_and_files_grow(profile: Profile) -> None:
    first, last = profile.growth[0], profile.growth[-1]
    assert (first.memory, last.memory) == (1 << 16, 16 << 16)
    assert last.written == 100_000
    for field in ("seconds", "memory", "written"):
        values = [getattr(one, field) for one in profile.growth]
        assert values == sorted(values)


def test_deep_stacks_are_cut_and_that_is_said(profile: Profile) -> None:
    deepest = max(profile.report.stacks, key=len)
    assert len(deepest) <= 130
    labels = [profile.report.label(part) for part in deepest]
    assert (labels[0], labels[-1]) == ("_start", "spin")
    assert "(frames left out)" in labels
    assert any("deep stacks" in note for note in profile.notes)


def test_functions_have_their_place_in_the_source() -> None:
    profile = Profile()
    code = build_with_lines("frames.cpp")
    with pytest.raises(TrapError):
        wasihost.run(code, args=["one"], profile=profile)
    names = FunctionNames(code.read_bytes()).find(range(100))
    main = next(index for index, name in names.items() if name in ("main", "__original_main"))
    profile.recorder._note(profile.recorder.began + 10**9, 10**9, "", (main,))  # as if a sample had found it
    busiest = profile.functions[0]
    assert busiest.place is not None
    assert busiest.place.file.endswith("guests/frames.cpp")
    assert f"guests/frames.cpp:{busiest.place.line}" in profile.to_html()
    (thread,) = json.loads(profile.to_json())["threads"]
    assert busiest.place.line in thread["funcTable"]["lineNumber"]


# -- JSON --------------------------------------------------------------------------------------------------------------


def test_the_json_is_a_processed_profile(processed: Any) -> None:
    assert processed["meta"]["preprocessedProfileVersion"] == 55
    (thread,) = processed["threads"]
    for table in ("samples", "markers", "frameTable", "funcTable", "stackTable", "nativeSymbols", "resourceTable"):
        columns = {name: value for name, value in thread[table].items() if isinstance(value, list)}
        assert {name: len(value) for name, value in columns.items()} == dict.fromkeys(columns, thread[table]["length"])
    strings, stacks, frames = thread["stringArray"], thread["stackTable"], thread["frameTable"]
    assert all(prefix is None or prefix < at for at, prefix in enumerate(stacks["prefix"]))
    assert set(stacks["frame"]) <= set(range(frames["length"]))
    assert set(thread["samples"]["stack"]) <= set(range(stacks["length"]))
    assert {ATTACK, "spin", "store::add(int)"} <= {strings[name] for name in thread["funcTable"]["name"]}
    categories = processed["meta"]["categories"]
    assert all(0 <= kind < len(categories) for kind in (*frames["category"], *thread["markers"]["category"]))


def test_the_json_has_the_times(processed: Any, profile: Profile) -> None:
    (thread,) = processed["threads"]
    samples, markers = thread["samples"], thread["markers"]
    assert samples["time"] == sorted(samples["time"])
    assert sum(samples["weight"]) == pytest.approx(profile.seconds * 1000)
    assert all(start <= end for start, end in zip(markers["startTime"], markers["endTime"], strict=True))
    names = [thread["stringArray"][name] for name in markers["name"]]
    assert names.count("fd_write") == 100
    paths = {one["path"] for one in markers["data"]}
    assert "/<b>&.txt" in paths
    memory = next(one for one in processed["counters"] if one["name"] == "Memory")
    assert sum(memory["samples"]["count"]) == 16 << 16


# -- the page ----------------------------------------------------------------------------------------------------------


class Parsed(HTMLParser):
    """What a page contains: its elements, and the text of those that have text only."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1] if self._open else "", data))


def test_names_and_paths_cannot_leave_their_place(profile: Profile) -> None:
    text = profile.to_html()
    page = Parsed(text)
    tags = [tag for tag, _ in page.elements]
    assert "img" not in tags
    assert "b" not in tags
    assert tags.count("script") == 2
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    shown = [data for tag, data in page.texts if tag == "td"]
    assert r"</script><img src=x onerror=alert(1)>\x07\u202e" in shown
    assert "/<b>&.txt" in shown
    assert all(one.isprintable() or one == "\n" for one in text)


def test_the_page_lets_its_own_script_run_and_loads_nothing(profile: Profile) -> None:
    page = Parsed(profile.to_html())
    policy = next(a["content"] for tag, a in page.elements if tag == "meta" and a.get("http-equiv"))
    data, script = (text for tag, text in page.texts if tag == "script")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}'" in policy
    links = [a[name] for _, a in page.elements for name in ("src", "href", "data") if name in a]
    assert links == ["#functions"]
    assert len(json.loads(data)["tree"]["nodes"]) > 5


def test_the_tree_adds_up(profile: Profile) -> None:
    page = Parsed(profile.to_html())
    tree = json.loads(next(text for tag, text in page.texts if tag == "script"))["tree"]
    names, nodes = tree["names"], tree["nodes"]
    assert nodes[0][2] == pytest.approx(profile.seconds * 1e6, rel=1e-3)
    below: dict[int, float] = {}
    for number, (name, host, spent, parent) in enumerate(nodes[1:], 1):
        assert 0 <= name < len(names)
        assert host in (0, 1)
        assert 0 <= parent < number
        below[parent] = below.get(parent, 0) + spent
    assert all(spent <= nodes[parent][2] * 1.001 + 1 for parent, spent in below.items())


def test_what_readers_and_keyboards_need_is_there(profile: Profile) -> None:
    page = Parsed(profile.to_html())
    assert ("html", {"lang": "en"}) in page.elements
    labelled = [a for tag, a in page.elements if tag == "svg" and a.get("role") == "img"]
    assert labelled
    assert all(a["aria-label"] for a in labelled)
    assert [tag for tag, _ in page.elements].count("caption") == 2
    assert all(a.get("scope") == "col" for tag, a in page.elements if tag == "th")
    ids = {a["id"] for _, a in page.elements if "id" in a}
    for _, a in page.elements:
        assert {*(a.get("aria-labelledby") or "").split(), *(a.get("aria-describedby") or "").split()} <= ids
