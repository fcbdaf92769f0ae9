;; Passes numbers at the edges of their types, with the upper halves of 32-bit values dirty.
(module
  (import "wasi_snapshot_preview1" "fd_seek" (func $seek (param i32 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_allocate" (func $allocate (param i32 i64 i64) (result i32)))
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $sum i32)
    (local.set $sum (call $seek
      (i32.wrap_i64 (i64.const 0x12345678ffffffff)) (i64.const -5) (i32.const 255) (i32.const 8)))
    (local.set $sum (i32.add (local.get $sum) (call $allocate
      (i32.const 0x80000000) (i64.const -1) (i64.const 0x8000000000000000))))
    (local.set $sum (i32.add (local.get $sum) (call $yield)))
    (call $exit (local.get $sum))))
