"""A module that does not fit is refused before anything runs, by name, with what to do."""

import re

import pytest

from tests.support.engine import Host
from wasihost.engines.wasmtime import linker, module
from wasihost.engines.wasmtime.run import execute
from wasihost.errors import LinkError, ModuleError

OTHER = '(memory $own (export "memory") 1) (func (export "_start"))'
COMMAND = '(memory (export "memory") 1) (func (export "_start"))'


def refusal(text: str, start: str = "_start") -> str:
    guest = module.load(f"(module {text})".encode())
    with pytest.raises(LinkError) as caught:
        execute(guest, Host(), start)
    return str(caught.value)


@pytest.mark.parametrize(
    ("imported", "name", "advice"),
    [
        ('"wasi_snapshot_preview1" "fd_frobnicate" (func)', "wasi_snapshot_preview1.fd_frobnicate", "no such function"),
        ('"wasi" "thread-spawn" (func)', "wasi.thread-spawn", "wasi-threads"),
        ('"env" "emscripten_notify_memory_growth" (func)', "env.emscripten_notify_memory_growth", "STANDALONE_WASM"),
        ('"wasi:cli/exit@0.2.0" "exit" (func)', "wasi:cli/exit@0.2.0.exit", "preview2"),
        ('"gojs" "runtime.wasmExit" (func)', "gojs.runtime.wasmExit", "GOOS=wasip1"),
        ('"__wbindgen_placeholder__" "x" (func)', "__wbindgen_placeholder__.x", "wasm-bindgen"),
        ('"wbg" "__wbg_log_2" (func)', "wbg.__wbg_log_2", "wasm-bindgen"),
        ('"env" "napi_create_object" (func)', "env.napi_create_object", "Node-API"),
        ('"a" "a" (func)', "a.a", "Emscripten"),
        ('"GOT.mem" "x" (global i32)', "GOT.mem.x", "a shared library"),
        ('"wasi_snapshot_preview1" "fd_wriet" (func)', "wasi_snapshot_preview1.fd_wriet", "did you mean fd_write?"),
        ('"wasi_snapshot_preview_1" "f" (func)', "wasi_snapshot_preview_1.f", "the module wasi_snapshot_preview1?"),
        ('"mine" "f" (func)', "mine.f", "imports=[wasihost.Imports('mine')]"),
        ('"mine" "f" (func)', "mine.f", "--preload mine=FILE.wasm"),
        ('"mine" "f" (func)', "mine.f", "imports=[wasihost.Imports.stub('mine')]; --stub mine)"),
        (
            '"wasi_snapshot_preview1" "fd_dance" (func)',
            "wasi_snapshot_preview1.fd_dance",
            "--stub wasi_snapshot_preview1",
        ),
        ('"env" "table" (table 1 funcref)', "env.table", "statically"),
        ('"env" "base" (global i32)', "env.base", "statically"),
    ],
)
def test_an_import_nobody_provides(imported: str, name: str, advice: str) -> None:
    text = refusal(f"(import {imported})" + OTHER)
    assert f"import {name}: " in text
    assert advice in text


def test_an_imported_shared_memory() -> None:
    """Old wheels, which have no threads, refuse the module itself."""
    with pytest.raises((LinkError, ModuleError), match="built for threads"):
        execute(module.load(f'(module (import "env" "memory" (memory 1 2 shared)) {OTHER})'.encode()), Host())


def test_an_import_of_another_type_shows_both() -> None:
    text = refusal('(import "wasi_snapshot_preview1" "fd_read" (func (param i32 i64)))' + COMMAND)
    assert text == (
        "guest: import wasi_snapshot_preview1.fd_read: has type (i32, i64) -> (), "
        "the specification says (i32, i32, i32, i32) -> i32"
    )


def test_missing_exports() -> None:
    assert "export memory: missing" in refusal('(func (export "_start"))')
    assert "export memory: missing" in refusal('(func (export "_start")) (func (export "memory"))')
    assert re.search(
        "export _start: missing.*reactor", refusal('(memory (export "memory") 1) (func (export "_initialize"))')
    )
    assert "the functions a, b" in refusal('(memory (export "memory") 1) (func (export "b")) (func (export "a"))')
    assert "exports no function" in refusal('(memory (export "memory") 1)')
    assert "export other: missing; the module exports the functions _start" in refusal(COMMAND, "other")
    assert "(i32) -> ()" in refusal('(memory (export "memory") 1) (func (export "_start") (param i32))')


@pytest.mark.parametrize(
    "imported", ['"env" "emit" (func)', '"env" "invoker" (func)', '"go" "fish" (func)', '"a" "one" (func)',
                 '"wasi" "shout" (func)', '"./mine" "f" (func)', '"napi" "time" (func)'],
)  # fmt: skip
def test_no_module_is_somebody_s_because_of_a_name_alone(imported: str) -> None:
    assert "made for" not in refusal(f"(import {imported})" + COMMAND)


def test_link_errors_have_one_line_per_module_and_no_text_twice() -> None:
    text = refusal('(import "a" "one" (func)) (import "b" "two" (func))')
    assert [name in text for name in ("a.one", "b.two", "export memory")] == [True] * 3
    imports = [f'(import "m{number % 9}" "f{number}" (func))' for number in range(200)]
    lines = refusal("".join(imports) + COMMAND).splitlines()
    assert len(lines) == 11
    assert lines[1].strip() == "imports from m0: f0, f9, f18, f27, f36 and 18 more: unknown"
    assert lines[-1].count("Imports(") == 3
    lines = refusal("".join(f'(import "m{number}" "f" (func))' for number in range(200))).splitlines()
    assert len(lines) == 13
    assert "and 191 more" in lines[-2]
    bindgen = refusal(
        '(import "__wbindgen_placeholder__" "a" (func)) (import "__wbindgen_externref_xform__" "b" (func))'
    )
    assert bindgen.count("JavaScript") == 1


def test_a_module_s_names_do_nothing_to_a_terminal() -> None:
    text = refusal(r'(import "m\1b[31m" "a\0ab" (func)) (memory (export "memory") 1) (func (export "x\1b[2J"))')
    assert r"m\x1b[31m.a\nb" in text
    assert r"x\x1b[2J" in text
    assert "\x1b" not in text
    assert len(refusal(f'(import "m" "{"n" * 5000}" (func))' + COMMAND)) < 1000


def test_the_host_function_of_env_is_provided() -> None:
    guest = module.load(
        b"""(module (import "env" "call_host_function" (func $call (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "_start")
          (if (i32.ne (call $call (i32.const 3) (i32.const 4)) (i32.const 7)) (then unreachable))))
        """
    )
    execute(guest, Host())


def test_an_instance_that_the_engine_refuses() -> None:
    big = '(memory (export "memory") 1) (data (i32.const 65536) "x") (func (export "_start"))'
    with pytest.raises(Exception, match="out of bounds memory access") as caught:
        execute(module.load(f"(module {big})".encode()), Host())
    assert type(caught.value).__name__ == "TrapError"


@pytest.mark.parametrize("binding", ["unchecked", "define_func"])
def test_a_name_that_the_users_linker_has_already(binding: str) -> None:
    import wasmtime

    own = wasmtime.Linker(wasmtime.Engine())
    own.define_wasi()
    with pytest.raises(LinkError, match=r"args_get.*allow_shadowing"):
        linker.define(own, Host(), binding=binding)


def test_a_function_imported_twice_is_one_function() -> None:
    twice = '(import "wasi_snapshot_preview1" "sched_yield" (func {} (result i32)))'
    guest = module.load(
        f'(module {twice.format("$a")} {twice.format("$b")} (memory (export "memory") 1)'
        '(func (export "_start") (drop (call $a)) (drop (call $b))))'.encode()
    )
    answers = iter([0, 0])
    execute(guest, Host(sched_yield=lambda _host: next(answers)))
    assert list(answers) == []
