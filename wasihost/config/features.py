"""WebAssembly features as users choose them: their names, their dependencies, and the named sets.

Rules of this file: a choice becomes one text, the same for all choices that mean the same. The text is consistent: the
engine would end the process for a set that is not. Whether an engine supports a feature is not checked here. Features
have the names of their proposals. Imported only when features are chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal, TypeAlias

from wasihost.common.names import near, shown
from wasihost.errors import ConfigError

Feature: TypeAlias = Literal[
    "bulk-memory",
    "custom-page-sizes",
    "exceptions",
    "function-references",
    "gc",
    "memory64",
    "multi-memory",
    "multi-value",
    "reference-types",
    "relaxed-simd",
    "simd",
    "tail-call",
    "threads",
    "wide-arithmetic",
]
"""A feature of WebAssembly that can be switched off, or on."""

FeatureChoice: TypeAlias = Mapping[Feature, bool] | str
"""Which features are on and off: a mapping, or a text such as "-simd,+wide-arithmetic" or "wasm-2.0,+tail-call"."""

NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "bulk-memory": (),
    "multi-value": (),
    "reference-types": ("bulk-memory",),
    "simd": (),
    "relaxed-simd": ("simd",),
    "tail-call": (),
    "multi-memory": (),
    "memory64": (),
    "function-references": ("reference-types",),
    "gc": ("function-references",),
    "exceptions": ("reference-types",),
    "threads": ("bulk-memory",),
    "wide-arithmetic": (),
    "custom-page-sizes": (),
}
"""Feature -> the features that it requires."""

_OF_2: Final = {"bulk-memory", "multi-value", "reference-types", "simd"}
_NEW_IN_3: Final = {"exceptions", "function-references", "gc", "memory64", "multi-memory", "relaxed-simd", "tail-call"}
SETS: Final[dict[str, set[str]]] = {"wasm-1.0": set(), "wasm-2.0": _OF_2, "wasm-3.0": _OF_2 | _NEW_IN_3}
"""Versions of the specification -> the features that are on; all others are off."""


def chosen(choice: FeatureChoice) -> str:
    """Return the text for a choice, with all that follows from it: "-simd" becomes "-relaxed-simd,-simd".

    Raises:
        ConfigError: There is no such feature or set, or a feature is on that requires one that is off.
    """
    if isinstance(choice, str):
        off, wanted = _read(choice)
    elif isinstance(choice, Mapping):
        off, wanted = set(), {_known(name): _switch(name, on) for name, on in choice.items()}
    else:
        raise ConfigError(
            f"features cannot be {choice!r:.60}: give a mapping as {{'simd': False}}, or a text as '-simd,+tail-call'"
        )
    made = dict.fromkeys(off, False) | wanted
    for name in [name for name, on in wanted.items() if on]:
        for other in _needed(name):
            if wanted.get(other) is False:
                raise ConfigError(f"the feature {name!r} needs {other!r}, which is switched off: leave one of both out")
            made[other] = True
    for name, needs in NEEDS.items():
        if any(made.get(other) is False for other in needs):
            made[name] = False
    return text_of(made)


def text_of(features: Mapping[str, bool]) -> str:
    """Return the text for a mapping of features that are on and off."""
    return ",".join(sorted(f"{'+' if on else '-'}{name}" for name, on in features.items()))


def switched(features: str) -> Iterator[tuple[str, bool]]:
    """Yield each feature of a text made by `text_of`, and whether it is on."""
    for item in filter(None, features.split(",")):
        yield item[1:], item[0] == "+"


def _needed(name: str) -> set[str]:
    return {name for other in NEEDS[name] for name in (other, *_needed(other))}


def _read(text: str) -> tuple[set[str], dict[str, bool]]:
    """Return what the named set leaves out, and what is switched by name: the last word for a feature counts."""
    off: set[str] = set()
    wanted: dict[str, bool] = {}
    for number, item in enumerate(filter(None, (part.strip() for part in text.split(",")))):
        if item[0] in "+-":
            wanted[_known(item[1:])] = item[0] == "+"
        elif item not in SETS:
            raise _no_item(item)
        elif number:
            raise ConfigError(f"features '{shown(text)}': {item!r} comes first, and what is switched after it")
        else:
            off = NEEDS.keys() - SETS[item]
    return off, wanted


def _known(name: object) -> str:
    if isinstance(name, str) and name in NEEDS:
        return name
    text = shown(str(name))
    if text == "stack-switching":
        raise ConfigError(f"the feature '{text}' is not for this host: a guest's stacks would have no limit")
    meant = near(text.replace("_", "-").lower(), NEEDS)
    raise ConfigError(
        f"there is no feature '{text}'" + (f"; did you mean {meant!r}?" if meant else f": there are {', '.join(NEEDS)}")
    )


def _switch(name: object, on: object) -> bool:
    if not isinstance(on, bool):
        raise ConfigError(f"the feature {name!r} is switched by True or False, not by {on!r:.60}")
    return on


def _no_item(item: str) -> ConfigError:
    text = shown(item)
    if item in NEEDS:
        return ConfigError(f"features: '{text}' is switched on by '+{text}', off by '-{text}'")
    if meant := near(item, SETS):
        return ConfigError(f"features: there is no set '{text}'; did you mean {meant!r}?")
    return ConfigError(
        f"features: '{text}' is neither '+NAME' nor '-NAME' of a feature, nor one of the sets {', '.join(SETS)}"
    )
