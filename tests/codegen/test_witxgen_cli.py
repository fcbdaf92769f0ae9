"""The command as a user runs it: exit statuses, what goes where, and that a fault changes nothing."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from importlib.metadata import version
from pathlib import Path

import pytest
from witxgen.__main__ import main

ROOT = Path(__file__).resolve().parents[2]

GOOD = """(typename $errno (enum (@witx tag u16) $success $bad))
(module $m (@interface func (export "f") (param $p u32) (result $r (expected (error $errno)))))
"""


def witxgen(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """The command, in this process: one of its own takes longer to start than to do its work."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with chdir(folder), redirect_stdout(stdout), redirect_stderr(stderr):
        try:
            status = main(args)
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 1
    return subprocess.CompletedProcess(args, status, stdout.getvalue(), stderr.getvalue())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a good spec, `good.witx`, and a bad one, `bad.witx`."""
    (tmp_path / "good.witx").write_text(GOOD)
    (tmp_path / "bad.witx").write_text("(typename $x\n\t$y)\n")
    return tmp_path


def test_dump(folder: Path) -> None:
    done = witxgen(folder, "dump", "good.witx")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "types": {"errno": {"kind": "enum", "size": 2, "align": 2, "repr": "u16", "cases": ["success", "bad"]}},
        "functions": {"f": {"module": "m", "params": ["i32"], "results": ["i32"]}},
    }


@pytest.mark.parametrize(
    "args",
    [
        ("dump", "bad.witx"),
        ("diff", "good.witx", "bad.witx"),
        ("generate", "bad.witx", "-o", "out"),
        ("generate", "good.witx", "bad.witx", "-o", "out"),
        ("generate", "--check", "bad.witx", "-o", "out"),
    ],
)
def test_a_faulty_spec(folder: Path, args: tuple[str, ...]) -> None:
    done = witxgen(folder, *args)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "bad.witx:2:2: error: unknown name `$y`\n\t$y)\n\t^\n"
    assert not (folder / "out").exists()


def test_a_faulty_spec_leaves_an_earlier_package_alone(folder: Path) -> None:
    assert witxgen(folder, "generate", "good.witx", "-o", "out").returncode == 0
    before = {path: path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file()}
    (folder / "good.witx").write_text(GOOD.replace("u16", "s16"))
    assert witxgen(folder, "generate", "good.witx", "-o", "out").returncode == 1
    assert {path: path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("compile",),
        ("dump",),
        ("diff", "good.witx"),
        ("generate", "good.witx"),
        ("generate", "good.witx", "-o", "out", "--package", "no-name"),
        ("generate", "good.witx", "-o", "out", "--package", "class"),
    ],
)
def test_bad_usage(folder: Path, args: tuple[str, ...]) -> None:
    done = witxgen(folder, *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: " in done.stderr
    assert not (folder / "out").exists()


def test_help_names_the_commands(folder: Path) -> None:
    """As a user runs it."""
    command = [sys.executable, "-m", "witxgen", "--help"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(command in done.stdout for command in ("generate", "dump", "diff"))


def test_version(folder: Path) -> None:
    done = witxgen(folder, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"witxgen, version {version('wasihost')}\n", "")


def test_help_and_version_do_not_need_the_extra() -> None:
    code = "import sys; sys.modules.update(lark=None, jinja2=None); from witxgen.__main__ import main; sys.exit(main())"
    for option in ("--help", "--version"):
        done = subprocess.run([sys.executable, "-c", code, option], capture_output=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


def test_make_generate_says_that_a_folder_is_wrong() -> None:
    command = ["make", "--no-print-directory", "-n", "generate", "WITX=/no/such/folder"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert 'there is no preview1/wasi_snapshot_preview1.witx in "/no/such/folder": give a folder' in done.stderr


def test_diff(folder: Path) -> None:
    (folder / "new.witx").write_text(GOOD.replace("$success $bad", "$bad $success"))
    same = witxgen(folder, "diff", "good.witx", "good.witx")
    assert (same.returncode, same.stdout, same.stderr) == (0, "no differences\n", "")
    other = witxgen(folder, "diff", "good.witx", "new.witx")
    assert (other.returncode, other.stderr) == (1, "")
    assert other.stdout == "errno: case bad moved from 1 to 0\nerrno: case success moved from 0 to 1\n"


def test_generate_then_check(folder: Path) -> None:
    made = witxgen(folder, "generate", "good.witx", "-o", "out")
    assert (made.returncode, made.stderr) == (0, "")
    assert "wrote out/good/__init__.py\n" in made.stdout
    assert (folder / "out/good/__init__.py").read_text().partition("\n")[0].find("generated by witxgen") > 0

    fine = witxgen(folder, "generate", "--check", "good.witx", "-o", "out")
    assert (fine.returncode, fine.stdout, fine.stderr) == (0, "", "")

    (folder / "good.witx").write_text(GOOD.replace("$bad", "$worse"))
    drifted = witxgen(folder, "generate", "--check", "good.witx", "-o", "out")
    assert drifted.returncode == 1
    assert "changed: out/good/types.py\n--- out/good/types.py\n" in drifted.stdout
    assert drifted.stderr == "witxgen: out/good is not what the spec says; run witxgen generate\n"


def test_the_name_of_the_package(folder: Path) -> None:
    (folder / "my-spec.1.witx").write_text(GOOD)
    assert witxgen(folder, "generate", "my-spec.1.witx", "-o", "out").returncode == 0
    assert witxgen(folder, "generate", "my-spec.1.witx", "-o", "out", "--package", "chosen").returncode == 0
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["chosen", "my_spec_1"]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("empty.witx", "empty.witx: error: it declares no type and no function, so there is nothing to generate\n"),
        (".", ".: error: cannot read this file: Is a directory"),
        ("gone.witx", "gone.witx: error: cannot read this file: No such file or directory"),
    ],
)
def test_a_file_that_no_package_can_come_from(folder: Path, file: str, message: str) -> None:
    (folder / "empty.witx").write_text(";; Nothing.")
    done = witxgen(folder, "generate", file, "-o", "out")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(message)
    assert not (folder / "out").exists()


def test_a_file_from_another_system(folder: Path) -> None:
    (folder / "good.witx").write_bytes(b"\xef\xbb\xbf" + GOOD.replace(" ", "\t").replace("\n", "\r\n").encode())
    assert witxgen(folder, "generate", "good.witx", "-o", "out").returncode == 0
    assert all(b"\r" not in file.read_bytes() for file in (folder / "out/good").iterdir())


def test_a_directory_of_somebody_else_is_refused(folder: Path) -> None:
    (folder / "good").mkdir()
    (folder / "good/notes.txt").write_text("mine")
    done = witxgen(folder, "generate", "good.witx", "-o", ".")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("witxgen: error: good/notes.txt would be removed, but its first line does not say")
    assert [path.name for path in (folder / "good").iterdir()] == ["notes.txt"]


def test_a_reader_that_stops_early_gets_no_traceback(folder: Path) -> None:
    types = "\n".join(f"(typename $t{index} (list u8))" for index in range(5000))
    (folder / "long.witx").write_text(types)
    command = [sys.executable, "-m", "witxgen", "dump", "long.witx"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


@pytest.mark.parametrize("missing", ["lark", "jinja2"])
def test_without_the_extra_it_says_what_to_install(folder: Path, missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from witxgen.__main__ import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "generate", "good.witx", "-o", "out"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f'witxgen: needs {missing}, which is not installed: pip install "wasihost[witxgen]"\n'
