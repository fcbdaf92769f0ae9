"""ARCHITECTURE.md, RATIONALE.md, the folders, the contract of imports and docstrings name the same modules."""

from __future__ import annotations

import ast
import pkgutil
import re
import tomllib
from pathlib import Path

import pytest
from wasi_preview1.signatures import WASI_SNAPSHOT_PREVIEW1

ROOT = Path(__file__).resolve().parents[2]
HOST = ROOT / "wasihost"
TABLE = re.compile(r"^\| room \|.*?\n\n", re.MULTILINE | re.DOTALL)
UNLISTED = (
    "engines",
    "handlers",
    "isolation",
)  # a sentence names the modules, or there is one for each group of the spec
PACKAGES = sorted(
    path.parent for path in HOST.rglob("__init__.py") if path.parent != HOST and path.parent.name not in UNLISTED
)
WITHOUT_TESTS = {"__init__", "__main__", "memory", "errors", "stats"}  # the tests of modules that use them test them
ELSEWHERE = {
    "PACKAGE",
    "PyThreadState_SetAsyncExc",
    "cc1plus",
    "napi_",
    "_abi",
    "wasmtime_config_host_memory_creator_set",
}
"""Names in the pages that are not ours, or are given as what we did not take."""


def rooms() -> list[list[str]]:
    """The rows of the table, each with the names in its first column."""
    table = TABLE.search((ROOT / "ARCHITECTURE.md").read_text())
    assert table
    rows = [line.split("|")[1:3] for line in table[0].splitlines()[2:] if line]
    return [[name.rstrip("/") for name in re.findall(r"`([\w/]+)`", first)] for first, _ in rows]


def children(folder: Path) -> set[str]:
    """The modules and packages in a package."""
    return {path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}


def test_every_room_has_its_row() -> None:
    named = [name for row in rooms() for name in row]
    assert sorted(named) == sorted(children(HOST))


def test_rows_are_in_the_order_of_imports() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = (one for one in contracts if one.get("exhaustive"))
    layers = [set(re.split(r" [|:] ", one)) for one in contract["layers"]]
    order = {name: number for number, layer in enumerate(layers) for name in layer}
    numbers = [order[name] for row in rooms() for name in row if name != "__init__"]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.relative_to(HOST)))
def test_a_package_lists_its_modules(package: Path) -> None:
    said = ast.get_docstring(ast.parse((package / "__init__.py").read_text()), clean=False)
    listed = re.findall(r"^    (\w+) +\S", said or "", re.MULTILINE)
    assert sorted(listed) == sorted(children(package) - {"__init__"})


def test_a_module_at_the_top_or_a_room_has_tests_of_its_name() -> None:
    missing = []
    for name in children(HOST) - WITHOUT_TESTS:
        folder, file = ROOT / "tests" / name, ROOT / "tests" / f"test_{name}.py"
        if not folder.is_dir() and not file.exists():
            missing.append(name)
    assert not missing


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "RATIONALE.md"])
def test_modules_that_a_page_names_are_there(page: str) -> None:
    """`room/`, `room/module`, `room.module` and `module.py`, as a page writes them."""
    text = (ROOT / page).read_text()
    places = [HOST, ROOT, ROOT / "codegen", ROOT / "codegen/witxgen", ROOT / "generated", ROOT / "tests"]
    for name in re.findall(r"`([a-z_]+(?:/[a-z_]+)*)/`", text):
        assert any((place / name).is_dir() for place in places), name
    for name in re.findall(r"`([a-z_]+(?:/[a-z_]+)+)`", text):
        assert any((place / name).with_suffix(".py").exists() or (place / name).exists() for place in places), name
    files = {path.name for place in places[1:] if place != ROOT for path in place.rglob("*.py")} | {
        path.name for path in HOST.rglob("*.py")
    }
    for name in re.findall(r"`([a-z_]+\.py)`", text):
        assert name in files, name


def written_words() -> set[str]:
    """Every word of the code, its configuration and its tests, and the names of all files."""
    words: set[str] = set()
    for top in ("wasihost", "codegen", "generated", "tests", "docs", "Makefile", "pyproject.toml", ".gitattributes"):
        for path in [ROOT / top, *(ROOT / top).rglob("*")]:
            if path != Path(__file__) and path.is_file() and path.suffix in (".py", ".c", ".wat", ".toml", ""):
                words |= {path.stem, *re.findall(r"\w+", path.read_text(errors="replace"))}
    return words


def test_names_in_backticks_are_in_the_code() -> None:
    words = written_words() | ELSEWHERE
    missing = []
    for page in ("ARCHITECTURE.md", "RATIONALE.md"):
        for quoted in re.findall(r"`([^`\n]+)`", (ROOT / page).read_text()):
            missing += [(page, quoted, word) for word in re.findall(r"[A-Za-z_]\w+", quoted) if word not in words]
    assert not missing


def test_dotted_names_of_modules_can_be_imported() -> None:
    rooms_ = sorted(children(HOST) - {"__init__", "__main__"})
    for page in ("ARCHITECTURE.md", "RATIONALE.md"):
        for name in re.findall(rf"`((?:{'|'.join(rooms_)})\.\w+(?:\.\w+)*)`", (ROOT / page).read_text()):
            assert pkgutil.resolve_name(f"wasihost.{name}"), name


@pytest.mark.parametrize("folder", [HOST / "isolation", ROOT / "codegen" / "witxgen"], ids=lambda path: path.name)
def test_modules_without_a_list_are_named_in_the_architecture(folder: Path) -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    missing = [name for name in children(folder) if f"`{name}`" not in text and not name.startswith("__")]
    assert not missing


def test_handlers_have_a_module_for_each_prefix_of_the_spec() -> None:
    prefixes = {name.partition("_")[0] for name in WASI_SNAPSHOT_PREVIEW1}
    elsewhere = {"environ", "sched"}  # with `args` and with `proc`
    assert children(HOST / "handlers") - {"__init__"} == prefixes - elsewhere


def test_names_of_tests_begin_with_what_they_test() -> None:
    """A pronoun at the start (`test_it_...`) leaves nothing for `-k` to find."""
    pronoun = re.compile(r"def (test_(?:it|its|they|their|and|who|nobody|somebody|everybody)_\w+)")
    found = [name for path in (ROOT / "tests").rglob("*.py") for name in pronoun.findall(path.read_text())]
    assert not found


def test_product_files_are_short_and_formatted() -> None:
    """At most 400 lines each, and nothing kept from the formatter."""
    files = [path for top in ("wasihost", "codegen") for path in (ROOT / top).rglob("*.py")]
    texts = {str(path.relative_to(ROOT)): path.read_text() for path in files}
    assert not [name for name, text in texts.items() if text.count("\n") > 400 and "/static/" not in name]
    assert not [name for name, text in texts.items() if "# fmt: " in text]
