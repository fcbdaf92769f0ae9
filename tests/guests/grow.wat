;; Starts with no memory at all, grows to three pages, and has the host write behind each border.
(module
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 0)
  (func $must (param i32) (if (i32.eqz (local.get 0)) (then unreachable)))
  (func (export "_start")
    (call $must (i32.eq (memory.grow (i32.const 1)) (i32.const 0)))
    (call $must (i32.eqz (call $random (i32.const 65528) (i32.const 8))))
    (call $must (i64.eq (i64.load (i32.const 65528)) (i64.const 0x0101010101010101)))
    (call $must (i32.eq (memory.grow (i32.const 2)) (i32.const 1)))
    (call $must (i32.eqz (call $random (i32.const 196600) (i32.const 8))))
    (call $must (i64.eq (i64.load (i32.const 196600)) (i64.const 0x0101010101010101)))))
