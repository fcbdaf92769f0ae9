"""WebAssembly features that are switched: each is needed by a module here, and no choice of them ends the process."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

import wasihost
from tests.support.wheels import python
from wasihost import ConfigError, ModuleError
from wasihost.config.features import NEEDS, SETS, chosen, switched
from wasihost.engines.values import CompileMode
from wasihost.engines.wasmtime import features as of_engine
from wasihost.engines.wasmtime.engine import PLAIN, engine, feature_setter
from wasihost.engines.wasmtime.ffi import has
from wasihost.engines.wasmtime.library import load

FINE = '(module (func (export "f") (result i32) (i32.const 42)))'

# Each gives 42 by what the feature brings.
NEEDY = {
    "bulk-memory": """(module (memory 1) (func (export "f") (result i32)
        (memory.fill (i32.const 8) (i32.const 42) (i32.const 1)) (i32.load (i32.const 8))))""",
    "custom-page-sizes": """(module (memory 42 (pagesize 1)) (func (export "f") (result i32) (memory.size)))""",
    "exceptions": """(module (tag $t (param i32)) (func (export "f") (result i32)
        (block $caught (result i32) (try_table (catch $t $caught) (throw $t (i32.const 42))) (i32.const 0))))""",
    "function-references": """(module (type $t (func (result i32))) (func $g (type $t) (i32.const 42))
        (elem declare func $g) (func (export "f") (result i32) (call_ref $t (ref.func $g))))""",
    "gc": """(module (type $s (struct (field i32))) (func (export "f") (result i32)
        (struct.get $s 0 (struct.new $s (i32.const 42)))))""",
    "memory64": """(module (memory i64 1) (func (export "f") (result i32)
        (i32.store (i64.const 8) (i32.const 42)) (i32.load (i64.const 8))))""",
    "multi-memory": """(module (memory 1) (memory $other 1) (func (export "f") (result i32)
        (i32.store $other (i32.const 8) (i32.const 42)) (i32.load $other (i32.const 8))))""",
    "multi-value": """(module (func $two (result i32 i32) (i32.const 40) (i32.const 2))
        (func (export "f") (result i32) (call $two) (i32.add)))""",
    "reference-types": """(module (func $g (param externref) (result i32) (i32.const 42))
        (func (export "f") (result i32) (call $g (ref.null extern))))""",
    "relaxed-simd": """(module (func (export "f") (result i32) (i32x4.extract_lane 0
        (i32x4.relaxed_trunc_f32x4_s (f32x4.splat (f32.const 42))))))""",
    "simd": """(module (func (export "f") (result i32)
        (i32x4.extract_lane 3 (i32x4.splat (i32.const 42)))))""",
    "tail-call": """(module (func $g (result i32) (i32.const 42)) (func (export "f") (result i32) (return_call $g)))""",
    "threads": """(module (memory 1) (func (export "f") (result i32)
        (drop (i32.atomic.rmw.add (i32.const 8) (i32.const 42))) (i32.atomic.load (i32.const 8))))""",
    "wide-arithmetic": """(module (func (export "f") (result i32) (local i64)
        (i64.add128 (i64.const -1) (i64.const 20) (i64.const 1) (i64.const 21)) (local.set 0) (drop)
        (i32.wrap_i64 (local.get 0))))""",
}


def can_have(name: str) -> bool:
    return of_engine._has(engine(), name) or (name in of_engine._EXTRA and has(feature_setter(name)))


def call(text: str, features: wasihost.config.features.FeatureChoice) -> object:
    with wasihost.instantiate(text, features=features) as guest:
        return guest.call("f")


@pytest.mark.parametrize("name", NEEDS)
def test_a_feature_on_and_off(name: str) -> None:
    if not can_have(name):
        with pytest.raises(ConfigError, match=rf"cannot switch the feature '{name}' on; a newer one may"):
            call(FINE, f"+{name}")
    else:
        assert call(NEEDY[name], f"+{name}") == 42
        with pytest.raises(ModuleError) as caught:
            call(NEEDY[name], f"-{name}")
        assert str(caught.value) == (
            f"guest: needs the WebAssembly feature '{name}', switched off here: give features={{'{name}': True}}, "
            f"or --features +{name}"
        )
    assert call(FINE, f"-{name}") == 42


@pytest.mark.parametrize("name", NEEDS)
def test_switching_to_the_engine_s_default_needs_no_new_engine(name: str) -> None:
    assert of_engine.canonical(f"{'+' if of_engine._has(engine(), name) else '-'}{name}") == ""
    assert engine(CompileMode(features=of_engine.canonical({}))).mode == engine().mode


@pytest.mark.parametrize("version", SETS)
def test_features_outside_a_set_are_off(version: str) -> None:
    kind = CompileMode(features=of_engine.canonical(version))
    on = {name for name in NEEDS if of_engine._has(engine(kind), name)}
    assert on == {name for name in SETS[version] if of_engine._has(engine(), name)}
    assert (engine(kind).identity != engine(PLAIN).identity) == bool(kind.features)
    assert kind.features or version == "wasm-3.0"  # which the oldest engine has no more than


def test_every_feature_that_a_module_needs_is_named() -> None:
    text = "(module (memory 1) (memory 1) (func (param v128) (result i32 i32) (i32.const 0) (i32.const 0)))"
    with pytest.raises(ModuleError, match="features 'multi-value' and 'simd' and 'multi-memory', switched off"):
        wasihost.Module(text, features="wasm-1.0")
    with pytest.raises(ModuleError, match=r"--features \+multi-memory$"):
        wasihost.Module(text, features="wasm-2.0")
    wasihost.Module(text, features="wasm-2.0,+multi-memory")


def test_other_errors_of_modules_are_unchanged() -> None:
    with pytest.raises(ModuleError, match="not a valid module"):
        wasihost.Module(b"\0asm\1\0\0\0\1\1\7", features="-simd")
    for features in ("-threads", "-simd"):
        with pytest.raises((ModuleError, wasihost.LinkError), match="built for threads"):
            wasihost.instantiate('(module (memory (export "memory") 1 1 shared))', features=features)


@pytest.mark.skipif("not can_have('custom-page-sizes')", reason="no such engine")
def test_pages_of_another_size() -> None:
    random = """(import "wasi_snapshot_preview1" "random_get" (func $r (param i32 i32) (result i32)))"""
    text = f"""(module {random} (memory (export "memory") 100 (pagesize 1))
        (func (export "f") (result i32) (call $r (i32.const 90) (i32.const 10)))
        (func (export "over") (result i32) (call $r (i32.const 90) (i32.const 11)))
        (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"""
    with wasihost.instantiate(text, features="+custom-page-sizes", max_memory=150) as guest:
        assert guest.call("f") == 0
        assert (guest.call("grow", 51), guest.call("grow", 50)) == (-1, 100)
        assert guest.call("over") == 0
    guest = wasihost.instantiate(text, features="+custom-page-sizes")
    with guest, pytest.raises(wasihost.TrapError, match="outside the memory of 0x64 bytes"):
        guest.call("over")
    imported = '(module (import "env" "m" (memory 100000 (pagesize 1))) (export "memory" (memory 0)))'
    with pytest.raises(wasihost.LinkError, match="with pages of one byte; this host gives those with pages of 64 KiB"):
        wasihost.instantiate(imported, features="+custom-page-sizes")


# -- choices -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "means"),
    [
        ("", ""),
        ({}, ""),
        ("-simd", "-relaxed-simd,-simd"),
        ({"simd": False}, "-relaxed-simd,-simd"),
        (" -simd , +simd ", "+simd"),
        ("+relaxed-simd", "+relaxed-simd,+simd"),
        ({"gc": True}, "+bulk-memory,+function-references,+gc,+reference-types"),
        ("-bulk-memory", "-bulk-memory,-exceptions,-function-references,-gc,-reference-types,-threads"),
        ("wasm-3.0", "-custom-page-sizes,-threads,-wide-arithmetic"),
        ("wasm-3.0,+threads,-gc", "+bulk-memory,+threads,-custom-page-sizes,-gc,-wide-arithmetic"),
    ],
)
def test_a_choice(choice: wasihost.config.features.FeatureChoice, means: str) -> None:
    assert chosen(choice) == means
    assert chosen(means) == means


@pytest.mark.parametrize(
    ("choice", "error"),
    [
        ("-smid", "there is no feature 'smid'; did you mean 'simd'?"),
        ({"tail_call": True}, "there is no feature 'tail_call'; did you mean 'tail-call'?"),
        ({"Zq": True}, "there is no feature 'Zq': there are bulk-memory, multi-value, "),
        ({7: True}, "there is no feature '7'"),
        ("-\x1b[1m", "there is no feature '\\x1b[1m'"),
        ("+stack-switching", "is not for this host: a guest's stacks would have no limit"),
        ("simd", "'simd' is switched on by '+simd', off by '-simd'"),
        ("wasm-2", "there is no set 'wasm-2'; did you mean 'wasm-2.0'?"),
        ("?", "'?' is neither '+NAME' nor '-NAME' of a feature, nor one of the sets wasm-1.0, wasm-2.0, wasm-3.0"),
        ("-simd,wasm-2.0", "'wasm-2.0' comes first"),
        ({"simd": 0}, "the feature 'simd' is switched by True or False, not by 0"),
        ("-simd,+relaxed-simd", "'relaxed-simd' needs 'simd', which is switched off"),
        ({"gc": True, "bulk-memory": False}, "'gc' needs 'bulk-memory', which is switched off"),
        (["simd"], "features cannot be ['simd']: give a mapping"),
    ],
    ids=str,
)
def test_no_choice(choice: wasihost.config.features.FeatureChoice, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        wasihost.Module(FINE, features=choice)
    assert error in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(NEEDS, 2)))
def test_two_of_them(one: str, other: str) -> None:
    """Each is as it was asked for, and whatever goes with it fits."""
    for first, second in itertools.product((True, False), repeat=2):
        try:
            made = dict(switched(chosen(f"{'-+'[first]}{one},{'-+'[second]}{other}")))
        except ConfigError:
            assert first != second
            continue
        assert (made[one], made[other]) == (first, second)
        assert all(made[need] for name, on in made.items() if on for need in NEEDS[name])


EVERY = """
import itertools, sys
from wasihost.engines.values import CompileMode
from wasihost.engines.wasmtime.engine import new_config
from wasihost.engines.wasmtime.features import NEEDS, _PROBES, _accepts, canonical
from wasihost.engines.wasmtime.ffi import c
from wasihost.errors import ConfigError
related = [name for name, needs in NEEDS.items() if needs or any(name in others for others in NEEDS.values())]
alone = [name for name in NEEDS if name not in related]
one_off = [[name != off for name in alone] for off in alone]
def can(name):
    try:
        return canonical("+" + name) is not None
    except ConfigError:
        return False
lacking = [name for name in NEEDS if not can(name)]
made = set()
for values in itertools.product(*[(True, False)] * len(related), [[True] * len(alone), [False] * len(alone), *one_off]):
    choice = dict(zip(related, values)) | dict(zip(alone, values[-1])) | dict.fromkeys(lacking, False)
    try:
        features = canonical(choice)
    except ConfigError:
        continue
    if features in made:
        continue
    print(features, file=sys.stderr)
    ptr = c.wasm_engine_new_with_config(new_config(CompileMode(features=features, stack=1 << 19), parallel=False))
    assert {name: _accepts(ptr, probe) for name, probe in _PROBES.items()} == {
        name: on and all(choice[other] for other in ("multi-value",) if name == "wide-arithmetic")
        for name, on in choice.items()}, choice
    c.wasm_engine_delete(ptr)
    made.add(features)
print(len(made))
"""


def test_every_set_that_is_let_through_makes_an_engine() -> None:
    """The engine ends the process over one that it does not like. All of those that are related in any way, with all
    of the others, none, or all but one."""
    done = python(EVERY)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 40


LEFT_OUT = {
    "branch_hinting": "a hint, which changes nothing",
    "compact_imports": "another way to write imports",
    "component_model": "of components",
    "relaxed_simd_deterministic": "no feature",
    "stack_switching": "refused by name",
}


def test_features_of_new_engines_are_known() -> None:
    """A new wheel brings new ones: give them a place in NEEDS, or here."""
    bindings = Path(load().path).parents[1] / "_bindings.py"
    names = set(re.findall(r"dll\.wasmtime_config_wasm_(\w+)_set\b", bindings.read_text()))
    assert len(names) > 10
    known = {name.replace("-", "_") for name in NEEDS} | LEFT_OUT.keys()
    assert {name for name in names if not name.startswith("component_model_")} <= known
