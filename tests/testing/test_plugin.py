"""The plugin of pytest, as it is installed: pytest runs the tests of docs/testing.md and those below in a folder."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.guests import build_c
from wasihost.testing import Wasi

WRONG = ["test_fails", "test_unknown_setting", "test_setting_without_a_name", "test_no_such_folder", "test_files_twice"]
PAGE = Path(__file__).resolve().parents[2] / "docs/testing.md"
OTHERS = """
import pytest
import wasihost

pytestmark = pytest.mark.wasi(seed=1, files={"f": "of the module"})


class TestMarkers:
    @pytest.mark.wasi(folder="data")
    def test_of_the_module_and_of_the_test(self, wasi):
        assert dict(wasi.fs) == {"f": b"of the module", "in/g": b"of the folder"}
        assert wasi.fs.readlink("link") == "in"

    @pytest.mark.wasi(files={"f": "of the test"}, start_ns=5)
    def test_the_nearest_one_counts(self, wasi):
        assert wasi.fs["f"] == b"of the test"
        assert wasi.clock.walltime() == 5


def test_other_ways(wasi):
    with wasi.start("tool.wasm", "cat", text=True) as process:
        assert process.communicate("x")[0] == "x"
    assert wasi.run("tool.wasm", "both", text=False).stderr == b"to error\\n"
    module = '(module (memory (export "memory") 1) (func (export "f") (result i32) (i32.const 7)))'
    with wasi.instantiate(module) as guest:
        assert guest.call("f") == 7
    assert [run.returncode for run in wasi.runs] == [0]


def test_fails(wasi):
    wasi.run("tool.wasm", "both")
    with pytest.raises(wasihost.TimeoutExpired):
        wasi.run("tool.wasm", "spin", timeout=0.1)
    assert wasi.runs == []


@pytest.mark.wasi(cassette="once", files={"in": "first"})
@pytest.mark.parametrize("name", ["in", "./in"])
def test_recorded(wasi, name):
    assert wasi.run("tool.wasm", "show", name).stdout == "first"


@pytest.mark.wasi(cassette="once", scrub="hunter2")
def test_secret(wasi):
    assert wasi.run("tool.wasm", "cat", input="hunter2").stdout == "hunter2"


@pytest.mark.wasi(sed=1)
def test_unknown_setting(wasi):
    pass


@pytest.mark.wasi(5)
def test_setting_without_a_name(wasi):
    pass


@pytest.mark.wasi(folder="none")
def test_no_such_folder(wasi):
    pass


def test_files_twice(wasi):
    wasi.run("tool.wasm", files={})
"""


class Said(NamedTuple):
    """What pytest said, and where the tests are."""

    text: str
    folder: Path


def run_pytest(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-rA"]
    command += ["--strict-markers", "-W", "error", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Said:
    """What pytest says of all of them."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(build_c("tool"), folder / "tool.wasm")
    blocks = re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert [name for name, _ in blocks] == ["test_tool.py"]
    for name, content in [*blocks, ("test_others.py", OTHERS)]:
        (folder / name).write_text(content)
    (folder / "data" / "in").mkdir(parents=True)
    (folder / "data" / "in" / "g").write_text("of the folder")
    (folder / "data" / "link").symlink_to("in")
    done = run_pytest(folder)
    assert done.returncode == 1, done.stdout + done.stderr
    return Said(done.stdout, folder)


def test_all_others_pass(said: Said) -> None:
    failed = re.findall(r"^(?:FAILED|ERROR) test_others\.py::(\w+)", said.text, re.MULTILINE)
    wrong = [
        "test_fails",
        "test_files_twice",
        "test_no_such_folder",
        "test_setting_without_a_name",
        "test_unknown_setting",
    ]
    assert sorted(failed) == wrong, said
    assert len(re.findall(r"^PASSED test_tool\.py", said.text, re.MULTILINE)) == 4
    assert len(re.findall(r"^PASSED test_others\.py", said.text, re.MULTILINE)) == 6


def test_a_failed_test_shows_its_guests(said: Said) -> None:
    sections = re.findall(r"^-+ Guests of the fixture wasi -+\n(.*?)^(?:_|=)", said.text, re.MULTILINE | re.DOTALL)
    assert "exit status 0\nstdout:\nto output\nstderr:\nto error\nTimeoutExpired: " in sections[0]


def test_mistakes_say_what_is_right(said: Said) -> None:
    for line in (
        "the marker wasi: Wasi.__init__() got an unexpected keyword argument 'sed'; it has the settings wasi(files=, ",
        "the marker wasi has settings by name only, not 5: wasi(files=, ",
        "wasihost.errors.ConfigError: none is not a folder: its files would be those of the guest",
        "files= cannot be passed here, since / is the fixture's own fs: put files there, or pass config= with mounts",
    ):
        assert line in said.text


def test_cassettes_are_beside_the_test(said: Said) -> None:
    folder = said.folder / "cassettes" / "test_others"
    names = ["test_recorded[._in].cassette", "test_recorded[in].cassette", "test_secret.cassette"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert "hunter2" not in (folder / "test_secret.cassette").read_text()
    others = said.folder / "test_others.py"
    others.write_text(
        others.read_text().replace('"in": "first"', '"in": "other"')
    )  # which a replayed guest does not see
    done = run_pytest(said.folder, "-k", "test_recorded", "--wasi-cassettes=none")
    assert "2 passed" in done.stdout, done.stdout
    done = run_pytest(said.folder, "-k", "test_recorded", "--wasi-cassettes=all")
    assert "2 failed" in done.stdout, done.stdout


def test_the_same_without_pytest() -> None:
    world = Wasi(files={"f": "text"}, seed=3)
    other = Wasi(files={"f": "text"}, seed=3)
    assert world.run(build_c("tool"), "show", "/f").stdout == other.run(build_c("tool"), "show", "/f").stdout == "text"


def test_an_import_of_the_plugin_loads_no_guest() -> None:
    """Every run of pytest pays for it."""
    code = "import sys; import wasihost.testing.plugin; print([n for n in sys.modules if n.startswith('wasihost.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[1] for name in re.findall(r"wasihost\.[\w.]+", done.stdout)}
    assert loaded.isdisjoint({"embedding", "guest", "engines", "host", "handlers", "descriptors", "vfs"}), loaded
