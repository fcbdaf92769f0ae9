"""The least that runs a WASI program with wasmtime-py, and starts as soon as it can: minimal.py MODULE [ARGUMENTS]"""

import os
import sys

from wasmtime import Config, Engine, Func, Linker, Module, Store, WasiConfig

config = Config()
config.cache = True
engine = Engine(config)
store, linker, wasi = Store(engine), Linker(engine), WasiConfig()
wasi.argv = sys.argv[1:]
wasi.inherit_stdin()
wasi.inherit_stdout()
wasi.inherit_stderr()
store.set_wasi(wasi)
linker.define_wasi()
start = linker.instantiate(store, Module.from_file(engine, sys.argv[1])).exports(store)["_start"]
assert isinstance(start, Func)
start(store)
os._exit(0)
