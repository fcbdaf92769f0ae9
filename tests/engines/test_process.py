"""What concerns a whole process: what is imported, which library is found, fork, signals."""

import sys
from pathlib import Path

import pytest

from tests.support.engine import GUESTS
from tests.support.wheels import python

RUN = f"""
import sys
sys.path.insert(0, {str(Path(GUESTS).parents[1])!r})
from tests.support.engine import *
from wasihost.engines.wasmtime import module
from wasihost.engines.wasmtime.run import execute
from wasihost.errors import *
def go(name="exit", number=3):
    try:
        execute(module.load(wat(name), cache=False), Host(args_sizes_get=telling(number)))
    except Exception as end:
        return end
"""


def said(code: str, site: Path | None = None) -> str:
    done = python(RUN + code, site=site)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_run_imports_no_wasmtime() -> None:
    heavy = ("wasmtime", "dataclasses", "inspect", "logging", "tempfile", "importlib.metadata", "subprocess")
    assert said(f"print(go().code, [name for name in {heavy!r} if name in sys.modules])") == "3 []"


def test_no_wheel_is_reported(tmp_path: Path) -> None:
    (tmp_path / "wasmtime.py").write_text("raise RuntimeError('imported')")  # found first, and no package
    text = said("print(repr(go()))", tmp_path)
    assert "not installed" in text
    assert "pip install" in text
    assert text.startswith("ConfigError(")


def wheel(site: Path, version: str) -> None:
    """A wheel of this version without a library."""
    (site / "wasmtime").mkdir()
    (site / "wasmtime" / "__init__.py").write_text("raise RuntimeError('imported')")
    (site / f"wasmtime-{version}.dist-info").mkdir()
    (site / f"wasmtime-{version}.dist-info" / "METADATA").write_text(f"Name: wasmtime\nVersion: {version}\n")


@pytest.mark.parametrize(
    ("version", "words"), [("24.0.0", "24.0.0 is too old, wasihost needs 25"), ("99.0.0", "has no library for")]
)
def test_a_wheel_that_cannot_be_used_is_reported(tmp_path: Path, version: str, words: str) -> None:
    wheel(tmp_path, version)
    text = said("print(repr(go()))", tmp_path)
    assert words in text
    assert text.startswith("ConfigError(")


def test_two_metadata_folders_do_not_confuse(tmp_path: Path) -> None:
    wheel(tmp_path, "24.0.0")
    (tmp_path / "wasmtime-23.0.0.dist-info").mkdir()
    assert "is too old" in said("print(repr(go()))", tmp_path)


FORK = """
import os, signal
guest = module.load(wat("exit"), cache=False)
assert go().code == 3
child = os.fork()
if not child:
    signal.alarm(20)  # a child that hangs ends here
    try:
        execute(guest, Host(args_sizes_get=telling(1)))
    except ExitError as end:
        os._exit(40 + end.code + go("exit", 1).code)
    os._exit(1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), go().code)
"""


@pytest.mark.skipif(not hasattr(sys, "getdlopenflags"), reason="fork is of POSIX systems")
def test_a_forked_child_runs_and_compiles() -> None:
    assert said(FORK) == "42 3"


@pytest.mark.skipif(sys.platform != "linux", reason="traps are signals there")
def test_faulthandler_may_be_enabled_before_and_after_the_engine_starts() -> None:
    """After it, its handlers would be first to see a trap, and end the process."""
    trap = "print(go('trap', 0).kind)\n"
    on, off = "faulthandler.enable()\n", "faulthandler.disable()\n"
    for code in (on + trap, trap + on + trap + trap + off + trap + on + trap):
        assert set(said("import faulthandler\n" + code).split()) == {"unreachable"}


@pytest.mark.skipif(sys.platform != "linux", reason="traps are signals there")
def test_faulthandler_still_reports_a_crash_after_a_run() -> None:
    crash = "print(go('trap', 0).kind, flush=True); import ctypes; ctypes.string_at(0)"
    done = python(RUN + "import faulthandler\ngo()\nfaulthandler.enable()\n" + crash)
    assert done.stdout == "unreachable\n"
    assert "Fatal Python error: Segmentation fault" in done.stderr
