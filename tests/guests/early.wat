;; Calls the host from its wasm start function, before anybody can have asked for its memory.
(module
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func $first (drop (call $random (i32.const 0) (i32.const 8))))
  (start $first)
  (func (export "_start")))
