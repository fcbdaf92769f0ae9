"""What is taken for a module, and what is refused with which words."""

import threading
from pathlib import Path

import pytest

from tests.support.engine import Host, wat
from wasihost.engines.values import Item
from wasihost.engines.wasmtime import module
from wasihost.engines.wasmtime.run import execute
from wasihost.errors import ModuleError

EMPTY = bytes.fromhex("0061736d01000000")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\x7fELF\x02\x01\x01\0", r"begins with b'\\x7fELF"),
        (b"#!/bin/sh\n", "not WebAssembly"),
        (bytes.fromhex("0061736d0d000100"), "component.*wasm32-wasip1"),
        (bytes.fromhex("0061736d02000000"), "unknown WebAssembly version 02000000"),
        (b"\0asm", "unknown WebAssembly version"),
        (EMPTY + b"\xff\xff", "not a valid module"),
        (b"(module (func (result i32)))", "not a valid module"),
        (b"(module\n  (func (param i33)))", "not valid WebAssembly text.*2:"),
        (b"(module (memory 1)", "not valid WebAssembly text"),
    ],
)
def test_files_that_are_not_modules(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "guest.wasm"
    path.write_bytes(content)
    for cache in (True, False):
        with pytest.raises(ModuleError, match=f"(?s)^guest.wasm: .*{words}"):
            module.load(path, cache=cache)
    with pytest.raises(ModuleError, match=f"(?s)^guest: .*{words}"):
        module.load(content)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        module.load(tmp_path / "none.wasm")


def test_module_sources() -> None:
    text = Path(wat("empty")).read_bytes()
    for source in (text, bytearray(text), memoryview(text), wat("empty"), Path(wat("empty"))):
        execute(module.load(source), Host())


def test_a_module_shows_its_imports_and_exports() -> None:
    guest = module.load(wat("exit"))
    assert guest.imports[0] == Item(
        "wasi_snapshot_preview1", "args_sizes_get", "func", ("i32", "i32"), ("i32",)
    )  # fmt: skip
    assert {name: item.kind for name, item in guest.exports.items()} == {"memory": "memory", "_start": "func"}


def test_the_same_content_is_one_module_and_a_changed_file_is_another(tmp_path: Path) -> None:
    path = tmp_path / "guest.wat"
    path.write_bytes(Path(wat("empty")).read_bytes())
    first = module.load(path)
    assert module.load(path) is first
    assert module.load(path.read_bytes()) is first
    assert module.load(path, cache=False) is not first
    path.write_bytes(Path(wat("exit")).read_bytes())
    assert module.load(path).imports


def test_memory_holds_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT", 3)
    module.clear_memory()
    texts = [f'(module (memory (export "memory") 1) (func (export "f{number}")))'.encode() for number in range(5)]
    loaded = [module.load(text) for text in texts]
    assert module.load(texts[4]) is loaded[4]
    assert module.load(texts[0]) is not loaded[0]
    execute(loaded[0], Host(), "f0")


def test_threads_share_a_module() -> None:
    guest = module.load(wat("empty"))
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(50):
                execute(guest, Host())
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
