;; What a profile shows: functions that compute, one of them deep down, a function with the name of C++, one with a name
;; that attacks pages, calls of the host that write, fail and wait, and a memory that grows.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1 100)
  (data (i32.const 0) "<b>&.txt")
  (data (i32.const 8) "absent")
  (data (i32.const 16) "\00\08\00\00\e8\03\00\00")                ;; one buffer: 1,000 bytes at 2048
  (data (i32.const 64) "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00")  ;; a subscription: a clock,
  (data (i32.const 88) "\80\c3\c9\01")                            ;; in 30 ms

  (func $spin (param $times i32)
    (loop $more
      (local.set $times (i32.sub (local.get $times) (i32.const 1)))
      (br_if $more (local.get $times))))

  (func $deep (param $levels i32)
    (if (local.get $levels)
      (then (call $deep (i32.sub (local.get $levels) (i32.const 1))))
      (else (call $spin (i32.const 20000000)))))

  (func $_ZN5store3addEi (param $number i32)                      ;; store::add(int)
    (call $spin (i32.const 20000000)))

  (func $attack (@name "</script><img src=x onerror=alert(1)>\07\e2\80\ae")
    (call $spin (i32.const 20000000)))

  (func $write (local $times i32) (local $fd i32)
    (drop (call $path_open (i32.const 3) (i32.const 0) (i32.const 8) (i32.const 6) (i32.const 0) (i64.const 2)
      (i64.const 0) (i32.const 0) (i32.const 32)))
    (drop (call $path_open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 9) (i64.const 64)
      (i64.const 0) (i32.const 0) (i32.const 32)))
    (local.set $fd (i32.load (i32.const 32)))
    (local.set $times (i32.const 100))
    (loop $more
      (drop (call $fd_write (local.get $fd) (i32.const 16) (i32.const 1) (i32.const 40)))
      (local.set $times (i32.sub (local.get $times) (i32.const 1)))
      (br_if $more (local.get $times)))
    (drop (call $fd_close (local.get $fd))))

  (func $wait
    (drop (call $poll_oneoff (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 48))))

  (func (export "_start")
    (call $write)
    (call $_ZN5store3addEi (i32.const 1))
    (drop (memory.grow (i32.const 15)))
    (call $attack)
    (call $deep (i32.const 300))
    (call $wait)))
