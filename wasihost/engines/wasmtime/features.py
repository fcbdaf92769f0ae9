"""WebAssembly features: which ones this engine has on, which it can switch, and which a refused module needs.

Rules of this file: the engine is asked by validating small modules, because it has no function that reports its
features, and the texts of its errors change. An engine that is made only for such a question is freed again. This
module is imported only if features are chosen, or a module was refused.
"""

import functools
from typing import Final

from wasihost.config.features import NEEDS, FeatureChoice, chosen, switched, text_of
from wasihost.engines.values import CompileMode
from wasihost.engines.wasmtime.engine import WasmtimeEngine, engine, feature_setter, new_config
from wasihost.engines.wasmtime.ffi import c, has
from wasihost.engines.wasmtime.library import load
from wasihost.errors import ConfigError

_HEAD: Final = b"\0asm\1\0\0\0"
_FUNCTION, _ONE = "600000", "03020100"  # the type of a function that takes nothing; one function of the first type
_PROBES: Final = {
    name: _HEAD + bytes.fromhex(sections)
    for name, sections in {
        "bulk-memory": f"010401{_FUNCTION} {_ONE} 0503010001 0a0d010b00 4100 4100 4100 fc0b00 0b",  # memory.fill
        "custom-page-sizes": "050401080100",  # pages of one byte
        "exceptions": f"010401{_FUNCTION} 0d03010000",  # a tag
        "function-references": "0109026000006001640000",  # a parameter that is (ref 0)
        "gc": "0103015f00",  # a struct
        "memory64": "0503010401",
        "multi-memory": "0505020001 0001",
        "multi-value": "01060160 00 027f7f",
        "reference-types": "01050160 016f 00",  # a parameter that is an externref
        "relaxed-simd": f"01060160 017b 017b {_ONE} 0a09010700 2000 fd8102 0b",  # i32x4.relaxed_trunc_f32x4_s
        "simd": "01050160 017b 00",  # a parameter that is a v128
        "tail-call": f"010401{_FUNCTION} {_ONE} 0a06010400 1200 0b",  # return_call
        "threads": f"010401{_FUNCTION} {_ONE} 0503010001 0a0b010900 4100 fe100200 1a 0b",  # i32.atomic.load
        "wide-arithmetic": f"010a0160 047e7e7e7e 027e7e {_ONE} 0a0e010c00 2000 2001 2002 2003 fc13 0b",  # i64.add128
    }.items()
}
"""For each feature, a module that is valid only if the feature, and those that it needs, are on."""
_EXTRA: Final = frozenset(("custom-page-sizes", "wide-arithmetic"))
"""Features that may be switched on if the engine has them off. Others are off only in engines where they are not
finished: there, a module could crash the process."""


def canonical(choice: FeatureChoice) -> str:
    """Return the choice for a `CompileMode`, without what is the engine's default anyway.

    Raises:
        ConfigError: The engine cannot switch one of the features.
    """
    return _settled(chosen(choice))


@functools.lru_cache(maxsize=64)
def _settled(features: str) -> str:
    wanted, kept = dict(switched(features)), {}
    for name in reversed(NEEDS):  # dependent features first: those are what the user asked for
        on = wanted.get(name)
        if on is None or _has(engine(), name) == on:
            continue
        if not has(feature_setter(name)) or (on and name not in _EXTRA):
            raise ConfigError(
                f"the engine (wasmtime {load().version}) cannot switch the feature {name!r} {'on' if on else 'off'}; "
                "a newer one may: pip install -U wasmtime"
            )
        kept[name] = on
    return text_of(kept)


def lacking(code: bytes, owner: WasmtimeEngine) -> list[str]:
    """Return the features that make a refused module valid if they are switched on; empty if no features do.

    Features that another one in the list needs are left out: they are switched on together with it.
    """
    off = [name for name in NEEDS if not _has(owner, name)]
    can = {name for name in off if _has(engine(), name) or (name in _EXTRA and has(feature_setter(name)))}
    if not can or not _valid(code, owner.mode, can):
        return []
    _reduce(code, owner.mode, can, [name for name in reversed(NEEDS) if name in can])
    return [name for name in NEEDS if name in can and not any(name in NEEDS[other] for other in can)]


def _reduce(code: bytes, mode: CompileMode, can: set[str], group: list[str]) -> None:
    """Remove from `can` the features of this group that the module does not need.

    All are tried at once, then halves of them: a module needs few of them, and each validation takes time.
    """
    rest = can.difference(group)
    if not any(name in group for other in rest for name in NEEDS[other]) and _valid(code, mode, rest):
        can.difference_update(group)
    elif len(group) > 1:
        middle = len(group) // 2
        _reduce(code, mode, can, group[:middle])
        _reduce(code, mode, can, group[middle:])


def _has(owner: WasmtimeEngine, name: str) -> bool:
    return _accepts(owner.ptr, _PROBES[name])


def _accepts(ptr: int, code: bytes) -> bool:
    error = c.wasmtime_module_validate(ptr, code, len(code))
    if error:
        c.wasmtime_error_delete(error)
    return not error


def _valid(code: bytes, mode: CompileMode, on: set[str]) -> bool:
    """Return whether the module is valid if these features are on, too."""
    features = text_of(dict(switched(mode.features)) | dict.fromkeys(on, True))
    ptr = c.wasm_engine_new_with_config(new_config(mode._replace(features=features), parallel=False))
    try:
        return _accepts(ptr, code)
    finally:
        c.wasm_engine_delete(ptr)
