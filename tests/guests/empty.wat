;; The least that a WASI command is.
(module
  (memory (export "memory") 1)
  (func (export "_start")))
