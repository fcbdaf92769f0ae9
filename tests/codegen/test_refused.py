"""Specifications that Python cannot serve, and packages that are committed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from witxgen.errors import WitxError
from witxgen.render import render
from witxgen.resolve import load

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(typename $x (record (field $a (tuple u8 u8))))", "`x` holds a tuple without a name"),
        ("(typename $l (list u8)) (typename $e (enum $ok)) (module $m (@interface func (export \"f\") "
         "(result $r (expected $l (error $e)))))", "`f` returns a list or text"),
        ("(module $m (@interface func (export \"f\") (param $p (variant (case $a u8)))))", "without a name"),
    ],
)  # fmt: skip
def test_specs_that_python_cannot_serve_are_refused_with_the_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "bad.witx"
    file.write_text(text)
    with pytest.raises(WitxError, match=message) as caught:
        render(load([file]), "bad")
    assert caught.value.line == 1
    assert caught.value.source_line == text


@pytest.mark.parametrize(
    ("spec", "package"),
    [("preview1/wasi_snapshot_preview1", "wasi_preview1"), ("preview0/wasi_unstable", "wasi_preview0")],
)
def test_committed_packages_are_what_the_generator_writes(spec: str, package: str) -> None:
    command = [sys.executable, "-m", "witxgen", "generate", "--check", f"witx/{spec}.witx", "-o", "generated"]
    command += ["--package", package]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout[:4000] + done.stderr
