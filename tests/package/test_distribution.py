"""What is uploaded: the metadata that PyPI shows, what wheel and sdist hold; what strangers look for."""

from __future__ import annotations

import email
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


COMPILED = r"wasihost/native/\w+\.[ch]|wasi_preview[01]/\w+\.[ch]"
NOT_IN_A_WHEEL = ("hatch_build.py", "wheels.py")
"""They make wheels."""


def tool(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], cwd=cwd, capture_output=True, text=True, check=False)


def names_in(dist: Path) -> tuple[set[str], set[str]]:
    """The files of the source distribution, and those of the wheel."""
    (sdist,) = dist.glob("*.tar.gz")
    (wheel,) = dist.glob("*.whl")
    with tarfile.open(sdist) as archive:
        files = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    with zipfile.ZipFile(wheel) as archive:
        return files, set(archive.namelist())


def test_pypi_takes_and_shows_it(dist: Path) -> None:
    done = tool("twine", "check", "--strict", *dist.iterdir())
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("PASSED") == 2


def test_the_wheel_has_no_strange_contents(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    done = tool("check_wheel_contents", "--config", ROOT / "pyproject.toml", wheel)
    assert done.returncode == 0, done.stdout


def test_the_source_distribution_is_the_repository(dist: Path) -> None:
    """All that is needed to change, test and build it, and nothing that a tool left behind."""
    files, _ = names_in(dist)
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        kept = {name for name in listed.stdout.splitlines() if not name.startswith(".ci/") and (ROOT / name).exists()}
        assert kept - files == set()
    tops = {name.partition("/")[0] for name in files}
    assert {name for name in tops if not name.endswith(".md")} == {
        "wasihost", "generated", "codegen", "witx", "tests", "docs", ".github",
        "Makefile", "LICENSE", "pyproject.toml", "PKG-INFO", ".gitattributes", ".gitignore", ".pre-commit-config.yaml",
        ".clang-format",
    }  # fmt: skip
    assert [name for name in files if "__pycache__" in name or name.endswith((".pyc", ".wasm", ".so"))] == []


def test_the_wheel_has_each_module_and_the_licence(dist: Path) -> None:
    files, wheel = names_in(dist)
    for source in ("wasihost/", "generated/", "codegen/"):
        inside = {name for name in files if name.startswith(source)}
        assert inside
        missing = {name.removeprefix("generated/").removeprefix("codegen/") for name in inside} - wheel
        assert {name for name in missing if not re.fullmatch(COMPILED, name)} == {*NOT_IN_A_WHEEL} & missing
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel)


def test_the_metadata_says_what_people_look_for(dist: Path) -> None:
    (built,) = dist.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Author"] == "the wasihost authors"
    assert {url.partition(",")[0] for url in metadata.get_all("Project-URL", [])} >= {
        "Documentation",
        "Source",
        "Issues",
    }
    assert "Operating System :: POSIX :: Linux" in metadata.get_all("Classifier", [])


def test_files_of_an_open_source_project_are_there() -> None:
    assert (ROOT / "LICENSE").read_text().startswith(" " * 33 + "Apache License")
    assert "## Report a hole" in (ROOT / "SECURITY.md").read_text()
    for name in ("CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "CHANGELOG.md"):
        assert (ROOT / name).stat().st_size > 500, name


def test_the_workflows_run_all_that_is_supported() -> None:
    text = (ROOT / ".github/workflows/ci.yml").read_text()
    versions = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    listed = ", ".join(f'"{version}"' for version in versions)
    assert f"python: [{listed}]" in text
    (engine,) = (re.fullmatch(r"wasmtime>=(\d+)", need) for need in PROJECT["dependencies"] if "wasmtime" in need)
    assert engine is not None
    assert f'wasmtime: "{engine[1]}.0.0"' in text
    assert re.search(r"os: \[ubuntu", text)
    assert re.search(r"os: macos", text)


def test_the_workflows_name_what_exists() -> None:
    """Actions by commit, since a tag can be moved; targets that the Makefile has."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for workflow in (ROOT / ".github/workflows").glob("*.yml"):
        text = workflow.read_text()
        for used in re.findall(r"uses: (\S+)", text):
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", used), f"{workflow.name}: {used}"
        assert set(re.findall(r"\bmake ([a-z-]+)", text)) <= targets, workflow.name
        assert "permissions:" in text
