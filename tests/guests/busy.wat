;; Computes for about a second without a call, then calls once, then spins for ever if that call lets it.
(module
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $n i64)
    (loop $again
      (local.set $n (i64.add (local.get $n) (i64.const 1)))
      (i64.store (i32.const 0) (local.get $n))
      (br_if $again (i64.lt_u (local.get $n) (i64.const 400000000))))
    (drop (call $yield))
    unreachable))
