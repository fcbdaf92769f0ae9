"""What is fuzzed: random inputs, what must hold of each, and how an input is written down in the corpus.

The tests run `check` on a few inputs that are always the same, and on the corpus; `make fuzz` runs it on new ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from hypothesis import strategies as st

from tests.differential import scripts
from tests.fuzz import agreement, module_checks, modules, raw_script, worlds

T = TypeVar("T")


@dataclass(frozen=True)
class Target(Generic[T]):
    """`check` raises where something does not hold; `parse` reads what `text` writes."""

    name: str
    inputs: st.SearchStrategy[T]
    check: Callable[[T], object]
    text: Callable[[T], str]
    parse: Callable[[str], T]
    examples: int
    """How many are tried in the tests."""


def _raw(script: list[raw_script.Line]) -> None:
    for back_end in worlds.BACK_ENDS:
        worlds.run(script, back_end)


def _memory(script: list[raw_script.Line]) -> None:
    for back_end in worlds.BACK_ENDS:
        worlds.run(script, back_end, measured=True)


TARGETS: tuple[Target[Any], ...] = (
    Target("raw", raw_script.scripts, _raw, raw_script.text, raw_script.parse, 50),
    Target("memory", raw_script.scripts, _memory, raw_script.text, raw_script.parse, 15),
    Target("agreement", scripts.scripts, agreement.check, scripts.text, scripts.parse, 40),
    Target("modules", modules.modules, module_checks.check, modules.text, modules.parse, 40),
)
