;; A program for `wasi_unstable` (preview0) that also imports from preview1: it writes a file, seeks, stats and polls by
;; the older layouts, and exits with 0, or with the number of the first step whose answer is not as it has to be.
(module
  (import "wasi_unstable" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_unstable" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_unstable" "fd_seek" (func $fd_seek (param i32 i64 i32 i32) (result i32)))
  (import "wasi_unstable" "fd_filestat_get" (func $fd_filestat_get (param i32 i32) (result i32)))
  (import "wasi_unstable" "path_filestat_get" (func $path_filestat_get (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_unstable" "fd_fdstat_get" (func $fd_fdstat_get (param i32 i32) (result i32)))
  (import "wasi_unstable" "fd_close" (func $fd_close (param i32) (result i32)))
  (import "wasi_unstable" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "file")
  (data (i32.const 0x200) "\00\03\00\00\05\00\00\00")
  (data (i32.const 0x300) "hello")
  ;; Two subscriptions of 56 bytes: userdata 7, the monotonic clock, 5 ms; userdata 9, reading from descriptor 4.
  (data (i32.const 0x600)
    "\07\00\00\00\00\00\00\00" "\00\00\00\00\00\00\00\00"
    "\2a\00\00\00\00\00\00\00" "\01\00\00\00\00\00\00\00" "\40\4b\4c\00\00\00\00\00" "\00\00\00\00\00\00\00\00"
    "\00\00\00\00\00\00\00\00"
    "\09\00\00\00\00\00\00\00" "\01\00\00\00\00\00\00\00" "\04\00\00\00\00\00\00\00")
  (func $check (param $step i32) (param $good i32)
    (if (i32.eqz (local.get $good)) (then (call $proc_exit (local.get $step)))))
  (func $seek (param $offset i64) (param $whence i32) (result i64)
    (call $check (i32.const 20)
      (i32.eqz (call $fd_seek (i32.const 4) (local.get $offset) (local.get $whence) (i32.const 0x408))))
    (i64.load (i32.const 0x408)))
  (func (export "_start")
    (call $check (i32.const 1) (i32.eqz (call $path_open (i32.const 3) (i32.const 0) (i32.const 0x100) (i32.const 4)
      (i32.const 1) (i64.const 0x1fffffff) (i64.const 0) (i32.const 0) (i32.const 0x400))))
    (call $check (i32.const 2) (i32.eq (i32.load (i32.const 0x400)) (i32.const 4)))
    (call $check (i32.const 3)
      (i32.eqz (call $fd_write (i32.const 4) (i32.const 0x200) (i32.const 1) (i32.const 0x404))))
    (call $check (i32.const 4) (i32.eq (i32.load (i32.const 0x404)) (i32.const 5)))
    ;; whence: 0 is the position, 1 the end, 2 the start
    (call $check (i32.const 5) (i64.eq (call $seek (i64.const -2) (i32.const 1)) (i64.const 3)))
    (call $check (i32.const 6) (i64.eq (call $seek (i64.const 1) (i32.const 0)) (i64.const 4)))
    (call $check (i32.const 7) (i64.eq (call $seek (i64.const 2) (i32.const 2)) (i64.const 2)))
    ;; a status of 56 bytes, its link count of 32 bits
    (i32.store8 (i32.const 0x538) (i32.const 0x5a))
    (call $check (i32.const 8) (i32.eqz (call $fd_filestat_get (i32.const 4) (i32.const 0x500))))
    (call $check (i32.const 9) (i32.eq (i32.load8_u (i32.const 0x510)) (i32.const 4)))
    (call $check (i32.const 10) (i32.eq (i32.load (i32.const 0x514)) (i32.const 1)))
    (call $check (i32.const 11) (i64.eq (i64.load (i32.const 0x518)) (i64.const 5)))
    (call $check (i32.const 12) (i32.eq (i32.load8_u (i32.const 0x538)) (i32.const 0x5a)))
    (call $check (i32.const 13) (i32.eqz (call $path_filestat_get
      (i32.const 3) (i32.const 0) (i32.const 0x100) (i32.const 4) (i32.const 0x580))))
    (call $check (i32.const 14) (i64.eq (i64.load (i32.const 0x598)) (i64.const 5)))
    ;; rights without sock_accept
    (call $check (i32.const 15) (i32.eqz (call $fd_fdstat_get (i32.const 3) (i32.const 0x900))))
    (call $check (i32.const 16) (i64.eqz (i64.and (i64.load (i32.const 0x910)) (i64.const -0x20000000))))
    (call $check (i32.const 17) (i64.ne (i64.load (i32.const 0x910)) (i64.const 0)))
    ;; a file is ready at once; then the clock alone
    (call $check (i32.const 18)
      (i32.eqz (call $poll_oneoff (i32.const 0x600) (i32.const 0x700) (i32.const 2) (i32.const 0x800))))
    (call $check (i32.const 19) (i64.eq (i64.load (i32.const 0x700)) (i64.const 9)))
    (call $check (i32.const 21) (i32.eq (i32.load8_u (i32.const 0x70a)) (i32.const 1)))
    (call $check (i32.const 22) (i64.eq (i64.load (i32.const 0x710)) (i64.const 3)))
    (call $check (i32.const 23)
      (i32.eqz (call $poll_oneoff (i32.const 0x600) (i32.const 0x700) (i32.const 1) (i32.const 0x800))))
    (call $check (i32.const 24) (i64.eq (i64.load (i32.const 0x700)) (i64.const 7)))
    (call $check (i32.const 25) (i32.eq (i32.load (i32.const 0x800)) (i32.const 1)))
    ;; an errno is an errno, a bad pointer a trap
    (call $check (i32.const 26) (i32.eq (call $fd_close (i32.const 99)) (i32.const 8)))
    (call $check (i32.const 27) (i32.eqz (call $fd_close (i32.const 4))))
    (call $proc_exit (i32.const 0))))
