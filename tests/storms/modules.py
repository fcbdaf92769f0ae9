"""Modules that storms make: each is in no cache, and takes as long to compile as a storm wants."""

from __future__ import annotations

SPIN = '(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))'
TRAP = '(module (memory (export "memory") 1) (func (export "_start") unreachable))'
EMPTY = '(module (memory (export "memory") 1) (func (export "_start")))'
_BODY = "(local.set 0 (i64.mul (i64.add (local.get 0) (i64.const {one})) (i64.const {two})))"


def status(number: int, functions: int = 1) -> bytes:
    """In the text format: exits with `number` modulo 100; no two numbers give the same bytes. A function takes about
    half a millisecond to be compiled."""
    body = "".join(_BODY.format(one=number * 1000 + one, two=one + 3) for one in range(40))
    more = "".join(f"(func (param i64) (result i64) {body} (i64.add (local.get 0) (i64.const {one})))"
                   for one in range(functions))  # fmt: skip
    return f"""(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1) (data (i32.const 0) "{number}") {more}
        (func (export "_start") (call $exit (i32.const {number % 100}))))""".encode()
