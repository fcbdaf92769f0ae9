"""The wasmtime engine: the only package that knows it.

Two doors: `module.load` and `run.execute` drive the C library inside the wasmtime wheel through our own declarations,
without `import wasmtime`; `linker.define` wires a State into a `wasmtime.Linker` of the user's. Modules are imported by
name, nothing is re-exported here, so that a cold start loads only what it uses.
"""
