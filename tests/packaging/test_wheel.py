"""Wheels of modules: what is in them, and that they install and run in a clean environment.

That environment is a new one, whose pip-installed packages are the wheels of these tests; it borrows wasihost and what
that depends on from the environment of the tests by a `.pth` file, as installing them again takes long. `make packages`
does not borrow.
"""

from __future__ import annotations

import ast
import base64
import csv
import hashlib
import io
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import packaging.metadata
import pytest
from click.testing import CliRunner

import wasihost
from tests.packaging import programs
from tests.support.guests import build_c
from tests.support.typecheck import mypy
from wasihost.cli.click_app import main
from wasihost.packaging.api import read_api
from wasihost.packaging.wheel import Made, wheel

LIBRARY = b"""(module (memory (export "memory") 1) (global $top (mut i32) (i32.const 4096))
  (func (export "malloc") (param i32) (result i32)
    (global.get $top) (global.set $top (i32.add (global.get $top) (local.get 0))))
  (func (export "free") (param i32))
  (func (export "add-up") (param i32 f64) (result f64) (f64.add (f64.convert_i32_s (local.get 0)) (local.get 1)))
  (func (export "class") (result i64) (i64.const 7))
  (func (export "\\n\\22\\22\\22") (result i32) (i32.const 1))
  (func (export "str") (param i32) (result i32) (local.get 0))
  (func (export "crash") unreachable)
  (func (export "greet") (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1)))))"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of the environment."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False)
    (site,) = home.glob("lib/python*/site-packages")
    borrowed = [*(path for path in sys.path if path.endswith("site-packages")), ROOT, ROOT / "generated"]
    (site / "borrowed.pth").write_text("".join(f"{path}\n" for path in borrowed))
    return home / "bin" / "python"


ROOT = programs.ROOT


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    (folder / "sums.wat").write_bytes(LIBRARY)
    return folder / "sums.wat"


def read(made: Made, name: str) -> str:
    with zipfile.ZipFile(made.path) as packed:
        (found,) = (one for one in packed.namelist() if one.endswith(name))
        return packed.read(found).decode()


@pytest.mark.parametrize("program", [programs.ASSEMBLER, programs.MICROPYTHON], ids=lambda one: str(one.name))
def test_a_published_module_as_a_wheel(
    program: programs.Program, python: Path, compiled_apps: Path, tmp_path: Path
) -> None:
    programs.install(python, programs.build(program, tmp_path))
    programs.use(program, python, tmp_path / "work", compiled_apps)


def test_a_library_has_a_function_for_each_export_that_a_caller_can_use(library: Path, python: Path) -> None:
    made = wheel(library, library.parent, name="sums")
    assert made.functions == ("add_up", "class_", "crash", "greet", "str_")
    programs.install(python, made.path)
    code = """
import sums, wasihost
assert sums.add_up(1, 2.5) == 3.5 and sums.class_() == 7
try:
    sums.crash()
except wasihost.TrapError:
    pass
assert sums.add_up(x0=2, x1=2.0) == 4.0
assert sums.__all__ == ["add_up", "class_", "crash", "greet", "str_"]
"""
    subprocess.run([str(python), "-I", "-c", code], check=True, timeout=60)


def test_what_is_written_passes_the_strictest_type_check(library: Path, tmp_path: Path) -> None:
    api = """
[greet]
export = "greet"
returns = "str"
[greet.parameters]
name = "str"
times = { type = "int", default = 1 }
"""
    (tmp_path / "api.toml").write_text(api)
    sums = wheel(library, tmp_path, name="sums", typed=tmp_path / "api.toml")
    tool = wheel(build_c("tool"), tmp_path, name="a-tool", commands=["tool", "copy"], stubs=["env"])
    command = tmp_path / "command.toml"
    command.write_text(programs.ASSEMBLER.api)
    assembler = wheel(programs.ASSEMBLER.module(), tmp_path, name="asm", commands=["avr-as"], typed=command)
    for one in (sums, tool, assembler):
        with zipfile.ZipFile(one.path) as packed:
            packed.extractall(tmp_path)
    (tmp_path / "use.py").write_text(
        "import a_tool, asm, sums\n"
        "text: str = sums.greet('a', times=2)\n"
        "made: bytes = asm.assemble('', listing=True, more=['-g'])\n"
        "code: int = a_tool.copy('x', timeout=3).returncode\n"
        "sums.greet(1)  # wrong\n"
        "a_tool.tool(3)  # wrong\n"
        "asm.assemble(b'')  # wrong\n"
    )
    done = mypy("--no-error-summary", *(tmp_path / name for name in ("a_tool", "asm", "sums", "use.py")))
    wrong = [line for line in done.stdout.splitlines() if "error:" in line]
    assert [line.rpartition("use.py:")[2].partition(":")[0] for line in wrong] == ["5", "6", "7"], done.stdout


def test_a_wheel_is_well_formed_and_carries_its_licences(tmp_path: Path) -> None:
    module = tmp_path / "a module.wasm"
    module.write_bytes(build_c("tool").read_bytes())
    (tmp_path / "LICENSE.txt").write_text("beside\n")
    (tmp_path / "COPYING").write_text("also\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "THIRD-PARTY").write_text("given\n")
    made = wheel(
        module, tmp_path / "dist", name="A.Tool", version="1.0-1", commands=["tool"], summary="Ünï: 'x'",
        options=["--dir", '"""'], license_expression="mit", license_files=[tmp_path / "more" / "THIRD-PARTY"],
    )  # fmt: skip
    assert Path(made.path).name == "a_tool-1.0.post1-py3-none-any.whl"
    with zipfile.ZipFile(made.path) as packed:
        names = packed.namelist()
        contents = {name: packed.read(name) for name in names}
    info = "a_tool-1.0.post1.dist-info"
    record = list(csv.reader(io.StringIO(contents[f"{info}/RECORD"].decode())))
    assert sorted(name for name, _, _ in record) == sorted(names)
    for name, digest, size in record[:-1]:
        own = base64.urlsafe_b64encode(hashlib.sha256(contents[name]).digest()).rstrip(b"=").decode()
        assert (digest, int(size)) == (f"sha256={own}", len(contents[name]))
    assert record[-1] == [f"{info}/RECORD", "", ""]
    metadata = packaging.metadata.Metadata.from_email(contents[f"{info}/METADATA"], validate=True)
    assert (metadata.name, str(metadata.version), metadata.summary) == ("a-tool", "1.0.post1", "Ünï: 'x'")
    assert metadata.license_expression == "MIT"
    assert metadata.license_files == ["COPYING", "LICENSE.txt", "THIRD-PARTY"]
    assert contents[f"{info}/licenses/THIRD-PARTY"] == b"given\n"
    assert contents[f"{info}/entry_points.txt"] == b"[console_scripts]\ntool = a_tool._commands:tool\n"
    assert contents["a_tool/py.typed"] == b""
    assert ast.parse(contents["a_tool/_commands.py"])


def test_the_same_input_makes_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [wheel(build_c("tool"), tmp_path / folder, name="tool") for folder in "ab"]
    assert Path(made[0].path).read_bytes() == Path(made[1].path).read_bytes()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    later = wheel(build_c("tool"), tmp_path / "b", name="tool")
    assert Path(later.path).read_bytes() != Path(made[0].path).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--name", "../x"], "not a name of a project"),
        (["--name", "x y"], "not a name of a project"),
        (["--name", "1x"], "cannot be imported"),
        (["--name", "class"], "cannot be imported"),
        (["--name", "x", "--version", "one"], "'one' is invalid"),
        (["--name", "x", "--license", "My own"], "invalid for 'license-expression'"),
        (["--name", "x", "--commands", "a/b"], "a/b: not a name of a command"),
        (["--name", "x", "--commands", "a = x:y"], "not a name of a command"),
        (["--name", "x", "--commands", "-x"], "not a name of a command"),
        (["--name", "x", "--commands", "a-b", "--commands", "c, a.b"], "two of them have the same name in Python"),
        (["--name", "x", "--summary", "a\nName: y"], "printable text of one line"),
        (["--name", "x", "--license-file", "odd\nname"], "rename it"),
        (["--name", "x", "--license-file", "big"], "not a file of at most"),
        (["--name", "x", "--typed", "bad.toml"], "bad.toml: not TOML"),
        (["--name", "x", "--", "--fuel", "much"], "'much' is not N"),
    ],
)
def test_hostile_names_are_refused_in_one_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("odd\nname").touch()
    Path("bad.toml").write_text("[")
    with open("big", "wb") as file:
        file.truncate(2 << 20)
    done = CliRunner().invoke(main, ["wheel", str(build_c("tool")), *arguments])
    assert done.exit_code in (1, 2), done.output
    assert message in done.output
    assert done.output.strip().count("\n") <= 3  # with the line of usage
    assert not Path("dist").exists() or not list(Path("dist").iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('["a b"]\ncommand = "tool"', "not a name of a public Python function"),
        ('[class]\ncommand = "tool"', "not a name of a public"),
        ('[str]\ncommand = "tool"', "not a name of a public"),
        ("f = 1", "is a table"),
        ('[f]\ncommand = "rm"', "command: rm: not a command of this wheel"),
        ('[f]\nexport = "none"', "no such function"),
        ('[f]\ncommand = "tool"\nshell = "x"', "shell: unknown"),
        ('[f]\ncommand = "tool"\nargs = ["{x}"]', "{x}: no such parameter"),
        ('[f]\ncommand = "tool"\nargs = "x"', "args: a list"),
        ('[f]\ncommand = "tool"\nargs = [{ when = "x", arg = "-v" }]', "a parameter of type bool"),
        ('[f]\ncommand = "tool"\nargs = ["-{x}"]\nparameters = { x = "list[str]" }', "cannot be a part of a text"),
        ('[f]\ncommand = "tool"\nstdin = "{x}"\nparameters = { x = "list[str]" }', "not usable here"),
        ('[f]\ncommand = "tool"\nparameters = { x = "Any" }', "types are str, bytes"),
        ('[f]\ncommand = "tool"\nparameters = { "x = eval(1)" = "str" }', "not a name of a parameter"),
        ('[f]\ncommand = "tool"\nparameters = { x = { type = "int", default = "1" } }', "'1' is not int"),
        ('[f]\ncommand = "tool"\nfiles = { "../x" = "" }', "a name below"),
        ('[f]\ncommand = "tool"\nreturns = "list"', "one of bytes, str, none"),
        ('[f]\nexport = "run"\nargs = ["a{x}"]', "a parameter alone"),
        ('[f]\nexport = "run"\nparameters = { x = "bool" }', "an export takes"),
        ('[f]\nexport = "run"\nfree_result = 1', "true or false"),
        (f'[f]\ncommand = "tool"\ndoc = "{"x" * 20_000}"', "at most 10,000 characters"),
    ],
)
def test_a_mistake_in_an_api_file_is_named(text: str, message: str) -> None:
    with pytest.raises(wasihost.ConfigError) as caught:
        read_api(text, "api.toml", ["tool"], {"run": "() -> ()"})
    assert message in str(caught.value)
    assert str(caught.value).startswith("api.toml: ")
    assert "\n" not in str(caught.value)


def test_no_text_becomes_code(tmp_path: Path) -> None:
    """Whatever stands in docs, arguments and names of files: the source has these functions, and nothing else runs."""
    evil = '\\"\\"\\"\\nprint(1)\\n\\u2028\\\\'
    (tmp_path / "api.toml").write_text(
        f'[f]\ncommand = "tool"\ndoc = "{evil}"\nargs = ["{evil}"]\nstdin = "{evil}{{x}}"\noutput = "{evil}"\n'
        f'parameters = {{ x = {{ type = "str", default = "{evil}" }} }}\n'
    )
    made = wheel(build_c("tool"), tmp_path, name="tool", typed=tmp_path / "api.toml", summary='"""; x("')
    tree = ast.parse(read(made, "__init__.py"))
    kinds = {type(one) for one in tree.body}
    assert kinds <= {ast.Expr, ast.ImportFrom, ast.Import, ast.Assign, ast.AnnAssign, ast.If, ast.FunctionDef}
    assert all(isinstance(one.value, ast.Constant) for one in tree.body if isinstance(one, ast.Expr))
    (function,) = (one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == "f")
    calls = {ast.unparse(one.func) for one in ast.walk(function) if isinstance(one, ast.Call)}
    assert "print" not in calls


def test_a_module_without_functions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none.wat").write_text('(module (memory (export "memory") 1))')
    with pytest.raises(wasihost.ConfigError, match="exports no function that a wheel can have"):
        wheel(tmp_path / "none.wat", tmp_path, name="none")
    with pytest.raises(wasihost.ConfigError, match="has no _start, so it cannot be a command"):
        wheel(tmp_path / "none.wat", tmp_path, name="none", commands=["x"])
