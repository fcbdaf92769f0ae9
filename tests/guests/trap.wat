;; Traps in the way that args_sizes_get chooses, two named functions deep.
(module $trapper
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (table 1 funcref)
  (type $nothing (func))
  (func $endless (call $endless))
  (func $inner (param $way i32)
    (block $indirect (block $divide (block $outside (block $stack (block $plain
      (br_table $plain $stack $outside $divide $indirect (local.get $way)))
      unreachable)
      (return (call $endless)))
      (return (drop (i32.load (i32.const -4)))))
      (return (drop (i32.div_u (i32.const 1) (i32.const 0)))))
    (call_indirect (type $nothing) (i32.const 0)))
  (func $outer (call $inner (i32.load (i32.const 0))))
  (func (export "_start")
    (drop (call $sizes (i32.const 0) (i32.const 4)))
    (call $outer)))
