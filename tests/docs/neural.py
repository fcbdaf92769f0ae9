"""`make nn`: the examples of docs/wasi-nn.md, those over ONNX Runtime too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.test_examples import ROOT, run_examples


def test_a_guest_uses_a_network_of_onnx_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_examples(ROOT / "docs" / "wasi-nn.md", tmp_path, "onnxruntime")
