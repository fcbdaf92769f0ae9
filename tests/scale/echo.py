"""A guest that costs little, for tests of many runs."""

ECHO = """(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 64))
    (i32.store (i32.const 4) (i32.const 1000))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))
    (if (i32.eq (i32.load8_u (i32.const 64)) (i32.const 33)) (then unreachable))  ;; !
    (if (i32.eq (i32.load8_u (i32.const 64)) (i32.const 64)) (then (loop (br 0))))  ;; @
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
"""
"""Copies its input; traps for one that begins with "!", and never ends for one that begins with "@"."""
