"""Packages, handlers and modules that wasihost.bind refuses, each in one line."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import wasi_preview1

from tests.binding.conftest import SPEC, made
from wasihost import (
    ConfigError,
    LinkError,
    Module,
    bind,
    run,
)

GUEST = Module("""(module (import "first" "say" (func (param i32 i32))) (memory (export "memory") 1)
  (func (export "_start")))""")


def refused(error: type[Exception], *args: Any, **options: Any) -> str:
    with pytest.raises(error) as caught:
        bind(*args, **options)
    return str(caught.value)


def test_what_is_not_a_generated_package_is_refused(kind: Any, folder: Path) -> None:
    assert refused(ConfigError, "binding_abi", kind()) == (
        "bind takes the package that `witxgen generate` wrote, not 'binding_abi': import it first"
    )
    assert refused(ConfigError, json, kind()) == (
        "json is not a package that `witxgen generate` wrote: bind has nothing to serve"
    )
    types = made(folder, "(typename $size u32)", "binding_types")
    assert refused(ConfigError, types, kind()) == "binding_types has types and no functions: bind has nothing to serve"
    assert "wasi_snapshot_preview1 is WASI's own" in refused(ConfigError, wasi_preview1, kind())


def test_a_package_of_another_version_of_the_generator_is_refused(folder: Path, kind: Any) -> None:
    made(folder, SPEC, "binding_old")
    runtime = folder / "binding_old" / "guest.py"
    runtime.write_text(runtime.read_text().replace("\nINTERFACE = ", "\nINTERFACE = 1000 + "))
    old = importlib.import_module("binding_old")
    assert refused(ConfigError, old, kind()) == (
        "binding_old was written by another version of witxgen: write it again, by `witxgen generate` of this version"
    )


def test_handlers_that_lack_functions_are_refused(abi: Any, kind: Any) -> None:
    class Half(abi.Handlers):  # type: ignore[misc]  # as above
        def twice(self, value: float) -> float:
            return value

    assert refused(ConfigError, abi, Half) == (
        "Half lacks area, centre, fd_read, fill, next and 3 more: binding_abi.Handlers says what is needed"
    ).replace("Half", Half.__qualname__)
    assert "None has no handlers for binding_abi" in refused(ConfigError, abi, None)
    assert "subclass binding_abi.Handlers" in refused(ConfigError, abi, json)
    assert "json has no stubs of binding_abi in C" in refused(ConfigError, abi, kind(), stubs=json)


def test_two_bindings_for_one_module_are_refused(abi: Any, kind: Any) -> None:
    served = bind(abi, kind)
    with pytest.raises(ConfigError, match=r"^imports has two bindings for the import module first: pass one$"):
        run(GUEST, imports=[served, served])
    assert repr(served) == "<binding of binding_abi for first, second>"


def test_what_is_no_import_is_refused(abi: Any, kind: Any) -> None:
    others: list[Any] = [abi, kind(), [kind()], "first"]
    for one in others:
        with pytest.raises(
            ConfigError, match=r"^imports takes Imports\(\), bind\(\), Instance.as_imports\(\) or a list"
        ):
            run(GUEST, imports=one)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ('"nexxt" (func (param i32) (result i32))', "import first.nexxt: unknown; did you mean next?"),
        ('"compute" (func)', "import first.compute: unknown; what is given for first has area, centre, fd_read, fill"),
        ('"next" (func)', "import first.next: has type () -> (), the specification says (i32) -> i32"),
    ],
)
def test_a_module_that_wants_what_the_specification_does_not_have(
    abi: Any, kind: Any, wanted: str, message: str
) -> None:
    guest = f'(module (import "first" {wanted}) (memory (export "memory") 1) (func (export "_start")))'
    with pytest.raises(LinkError) as caught:
        run(guest, imports=bind(abi, kind))
    assert message in str(caught.value)
