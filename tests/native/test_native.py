"""Whether the extension is there and in use, and what is said of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wasihost import native

QUESTION = "from wasihost import native; print(native.extension is not None, native.why)"


def report(code: str = QUESTION, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def version(**environment: str) -> str:
    command = [sys.executable, "-m", "wasihost", "--version"]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True)
    return done.stdout.strip().partition(", version ")[2].partition(", ")[2]


def test_there_is_an_extension_or_a_reason() -> None:
    assert (native.extension is None) == bool(native.why)


@pytest.mark.skipif(native.extension is None, reason=f"this is the pure path: {native.why}")
def test_version_names_the_extension() -> None:
    assert version() == "with its native extension"


def test_wasihost_pure_turns_the_extension_off() -> None:
    assert report(WASIHOST_PURE="1") == "False WASIHOST_PURE is set"
    assert version(WASIHOST_PURE="1") == "pure Python: WASIHOST_PURE is set"


@pytest.mark.parametrize("value", ["", "0"])
def test_wasihost_pure_can_be_empty_or_zero(value: str) -> None:
    assert "WASIHOST_PURE" not in report(WASIHOST_PURE=value)


def test_an_extension_that_cannot_be_loaded_is_a_reason_and_not_an_error(tmp_path: Path) -> None:
    """Such as one that was built for another libc."""
    (tmp_path / "_native.abi3.so").write_bytes(b"no library")
    code = f"""
import sys, wasihost
sys.path_importer_cache.clear()
import importlib.util
real = importlib.util.find_spec("wasihost.native").origin
package = importlib.util.module_from_spec(importlib.util.spec_from_file_location(
    "wasihost.native", real, submodule_search_locations=[{str(tmp_path)!r}]))
sys.modules["wasihost.native"] = package
package.__spec__.loader.exec_module(package)
print(package.extension, package.why)
"""
    assert report(code, WASIHOST_PURE="").startswith("None the extension cannot be loaded: ")
