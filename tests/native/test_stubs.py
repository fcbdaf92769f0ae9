"""The stubs in C do what those in Python do, for every function of both specs."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.native.both_stubs import Package
from wasihost import native

if native.extension is None:
    pytest.skip(f"this is the pure path: {native.why}", allow_module_level=True)

PACKAGES = {name: Package(name, native.extension) for name in ("wasi_preview1", "wasi_preview0")}
FUNCTIONS = [(package, *name) for package, made in PACKAGES.items() for name in made.names]


def test_every_function_has_a_stub_in_c() -> None:
    assert len(FUNCTIONS) == 46 + 45
    for name, package in PACKAGES.items():
        assert sorted(package.native.functions(name)) == package.names


@pytest.mark.parametrize(("package", "module", "name"), FUNCTIONS)
def test_random_calls_do_the_same_in_both_languages(package: str, module: str, name: str) -> None:
    random = Random(f"{package} {name}")
    both = PACKAGES[package]
    for _ in range(100):
        both.compare(both.draw(random, module, name))


@given(st.randoms(use_true_random=False), st.sampled_from(FUNCTIONS))
def test_calls_that_hypothesis_chooses_do_the_same(random: Random, function: tuple[str, str, str]) -> None:
    package, module, name = function
    both = PACKAGES[package]
    both.compare(both.draw(random, module, name))
