"""The page of a profile in a real browser: `make browser`. It needs Chromium (Debian: chromium).

Screenshots are left in build/browser, to be looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import wasihost
from tests.browser.chromium import NAMES, Browser, find
from tests.support.guests import GUESTS

SHOTS = Path(__file__).resolve().parents[2] / "build" / "browser"


@pytest.fixture(scope="module")
def profile() -> wasihost.Profile:
    for _ in range(20):  # until each function was sampled
        made = wasihost.Profile()
        wasihost.run(GUESTS / "profiled.wat", files={}, profile=made)
        if {"store::add(int)", "deep", "wait"} <= {one.name for one in made.functions}:
            break
    return made


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    executable = find()
    assert executable, f"no browser is installed under the name {', '.join(NAMES)}: apt install chromium"
    with Browser(executable, tmp_path_factory.mktemp("browser")) as made:
        yield made


@pytest.fixture
def browser(started: Browser, profile: wasihost.Profile, tmp_path: Path) -> Browser:
    """With the page open."""
    page = tmp_path / "profile.html"
    profile.write(page)
    started.scheme("light")
    started.open(page)
    return started


def test_no_script_fails_and_nothing_is_loaded(browser: Browser) -> None:
    assert browser.value("document.querySelectorAll('#flame [role=treeitem]').length") > 5
    assert browser.value("document.images.length") == 0
    wrong = [one for one in browser.events if one.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown")]
    assert not wrong
    wanted = [
        one["params"]["request"]["url"] for one in browser.events if one.get("method") == "Network.requestWillBeSent"
    ]
    assert len(wanted) == 1
    assert wanted[0].startswith("file:")


def test_the_policy_stops_scripts_that_are_not_its_own(browser: Browser) -> None:
    browser.value("""(() => { const one = document.createElement('script');
        one.textContent = 'window.attacked = 1'; document.body.append(one); })()""")
    assert browser.value("window.attacked === undefined")


CONTRAST = """(() => {
  const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => numbers(color).slice(0, 3).map((one) => one / 255)
    .map((one) => one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = getComputedStyle(one).backgroundColor;
      if (numbers(color)[3] !== 0) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const found = [];
  const all = "h1, h2, dt, dd, p, th button, td, caption, .key, .notes li, label, button, #flame div:not(.above)";
  for (const one of document.querySelectorAll(all)) {
    const [high, low] = [light(getComputedStyle(one).color), light(behind(one))].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) found.push(one.tagName + " " + one.textContent.slice(0, 20) + " " + ratio.toFixed(2));
  }
  return found;
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(browser: Browser, scheme: str) -> None:
    browser.scheme(scheme)
    back = browser.value("getComputedStyle(document.body).backgroundColor")
    assert back == {"light": "rgb(255, 255, 255)", "dark": "rgb(15, 19, 24)"}[scheme]
    assert browser.value(CONTRAST) == []
    SHOTS.mkdir(parents=True, exist_ok=True)
    browser.screenshot(SHOTS / f"{scheme}.png")


def focused(browser: Browser) -> Any:
    return browser.value(
        "({role: document.activeElement.getAttribute('role') || document.activeElement.tagName,"
        " label: document.activeElement.getAttribute('aria-label') || document.activeElement.textContent.slice(0, 40)})"
    )


def test_everything_is_reached_by_the_keyboard(browser: Browser) -> None:
    seen: list[Any] = []
    while not seen or seen[-1] != seen[0] or len(seen) == 1:
        browser.press("Tab")
        seen.append(focused(browser))
        assert len(seen) < 50
    seen.pop()
    roles = [one["role"] for one in seen]
    assert roles[0] == "A"
    assert roles.index("slider") < roles.index("INPUT") < roles.index("treeitem") < roles.index("region")
    assert roles.count("treeitem") == 1  # the arrow keys go on from there
    assert roles.count("BUTTON") == 1 + 6 + 9  # one of the flame graph, and one for each column


def test_the_keys_of_the_flame_graph(browser: Browser) -> None:
    browser.value("document.querySelector('#flame [tabindex=\"0\"]').focus()")
    assert focused(browser)["label"].startswith("all, ")
    browser.press("ArrowDown")
    assert focused(browser)["label"].startswith("_start, ")
    browser.press("ArrowDown")
    first = focused(browser)["label"]
    browser.press("ArrowRight")
    second = focused(browser)["label"]
    assert second != first
    browser.press("ArrowLeft")
    assert focused(browser)["label"] == first
    narrow = browser.value("document.activeElement.offsetWidth")
    browser.press("Enter")
    assert focused(browser)["label"] == first
    assert browser.value("document.activeElement.offsetWidth") > narrow
    browser.press("ArrowUp")
    assert focused(browser)["label"].startswith("_start, ")
    browser.press("Escape")
    browser.press("Home")
    assert focused(browser)["label"].startswith("all, ")
    assert browser.value("document.getElementById('frame').textContent").startswith("all, ")


def test_finding_functions(browser: Browser) -> None:
    browser.value("document.getElementById('find').focus()")
    for letter in "store":
        browser.press(letter)
    assert browser.value("document.getElementById('found').textContent").startswith("1 box matches, ")
    assert browser.value("document.querySelector('#flame .match').textContent") == "store::add(int)"


def test_the_moment_of_the_run_is_read_aloud(browser: Browser) -> None:
    browser.value("document.querySelector('[role=slider]').focus()")
    browser.press("End")
    text = browser.value("document.activeElement.getAttribute('aria-valuetext')")
    assert "memory 1.0 MiB" in text
    assert "written 97.7 KiB" in text
    assert browser.value("document.getElementById('slice').textContent") == text
    browser.press("ArrowLeft")
    assert browser.value("document.activeElement.getAttribute('aria-valuetext')") != text


def test_tables_are_sorted_by_a_column(browser: Browser) -> None:
    head = "document.querySelectorAll('table')[1].tHead.rows[0].cells[3]"
    browser.value(f"{head}.querySelector('button').focus()")
    browser.press("Enter")
    assert browser.value(f"{head}.getAttribute('aria-sort')") == "descending"
    first = "document.querySelectorAll('table')[1].tBodies[0].rows[0].cells[0].textContent"
    assert browser.value(first) == "fd_write"
    browser.press("Enter")
    assert browser.value(f"{head}.getAttribute('aria-sort')") == "ascending"
    assert browser.value(first) != "fd_write"


def test_what_a_screen_reader_gets(browser: Browser) -> None:
    nodes = browser.do("Accessibility.getFullAXTree")["nodes"]
    shown = [(one["role"]["value"], one.get("name", {}).get("value", "")) for one in nodes if not one.get("ignored")]
    roles = [role for role, _ in shown]
    assert roles.count("heading") == 5
    assert ("tree", "Flame graph") in shown
    assert any(role == "treeitem" and name.startswith("spin, ") and name.endswith("%") for role, name in shown)
    assert any(role == "image" and name.startswith("Memory: memory, from 64.0 KiB to 1.0 MiB") for role, name in shown)
    assert ("slider", "Moment of the run") in shown
    assert any(role in ("columnheader", "ColumnHeader") and "own time" in name for role, name in shown)
    unnamed = [
        role for role, name in shown if role in ("button", "slider", "treeitem", "image", "searchbox") and not name
    ]
    assert not unnamed


def test_a_small_window_needs_no_scrolling_sideways(browser: Browser) -> None:
    browser.do("Emulation.setDeviceMetricsOverride", width=400, height=800, deviceScaleFactor=1, mobile=False)
    try:
        assert browser.value("document.documentElement.scrollWidth") <= 400
    finally:
        browser.do("Emulation.clearDeviceMetricsOverride")


def test_without_scripts_the_charts_and_tables_are_there(browser: Browser, tmp_path: Path) -> None:
    browser.do("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(tmp_path / "profile.html")
        nodes = browser.do("Accessibility.getFullAXTree")["nodes"]
    finally:
        browser.do("Emulation.setScriptExecutionDisabled", value=False)
    names = [one.get("name", {}).get("value", "") for one in nodes if not one.get("ignored")]
    assert "store::add(int)" in names
    assert any(name.startswith("Memory: ") for name in names)
    assert any("needs JavaScript" in name for name in names)


def test_in_a_notebook_it_is_in_a_frame_of_its_own(started: Browser, profile: wasihost.Profile, tmp_path: Path) -> None:
    page = tmp_path / "notebook.html"
    page.write_text(f"<!doctype html><meta charset=utf-8><title>notebook</title>{profile._repr_html_()}")
    started.do("Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=False, flatten=True)
    started.open(page)
    (frame,) = (one["params"] for one in started.events if one.get("method") == "Target.attachedToTarget")
    what = "[document.querySelectorAll('#flame div').length, self.origin]"
    found = started.do("Runtime.evaluate", session=frame["sessionId"], expression=what, returnByValue=True)
    boxes, origin = found["result"]["value"]
    assert boxes > 5
    assert origin == "null"  # it can reach nothing of the notebook
