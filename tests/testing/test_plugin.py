"""The plugin of pytest, as it is installed: pytest runs the tests of docs/testing.md and those below in a folder."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

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


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
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
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-rA"]
    command += ["--strict-markers", "-W", "error"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def test_all_others_pass(said: str) -> None:
    failed = re.findall(r"^(?:FAILED|ERROR) test_others\.py::(\w+)", said, re.MULTILINE)
    wrong = [
        "test_fails",
        "test_files_twice",
        "test_no_such_folder",
        "test_setting_without_a_name",
        "test_unknown_setting",
    ]
    assert sorted(failed) == wrong, said
    assert len(re.findall(r"^PASSED test_tool\.py", said, re.MULTILINE)) == 4
    assert len(re.findall(r"^PASSED test_others\.py", said, re.MULTILINE)) == 3


def test_a_failed_test_shows_its_guests(said: str) -> None:
    (section,) = re.findall(r"^-+ Guests of the fixture wasi -+\n(.*?)^(?:_|=)", said, re.MULTILINE | re.DOTALL)[:1]
    assert "exit status 0\nstdout:\nto output\nstderr:\nto error\nTimeoutExpired: " in section


def test_mistakes_say_what_is_right(said: str) -> None:
    for line in (
        "the marker wasi: Wasi.__init__() got an unexpected keyword argument 'sed'; it has the settings wasi(files=, ",
        "the marker wasi has settings by name only, not 5: wasi(files=, ",
        "wasihost.errors.ConfigError: none is not a folder: its files would be those of the guest",
        "files= cannot be passed here, since / is the fixture's own fs: put files there, or pass config= with mounts",
    ):
        assert line in said


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
