"""The wasmtime engine: the only package that knows it.

Two doors: `module.load` and `run.execute` drive the C library inside the wasmtime wheel through our own declarations,
without `import wasmtime`; `linker.define` wires a State into a `wasmtime.Linker` of the user's. Modules are imported by
name, nothing is re-exported here, so that a cold start loads only what it uses.

    library           finds and loads the C library
    ffi               its functions, declared on first use
    engine            the engines of this process, and their settings
    features          features of WebAssembly: what can be switched, what a module lacks
    module            from a file or bytes to a compiled module
    module_limits     what a module may have to be compiled within this process
    compiling         what goes with compiling
    compile_process   compiling in a process of its own
    compile_lock      one compilation at a time for each key
    cache             compiled modules on disk
    file_keys         which content a file had when it was last read
    artifact          a compiled module for a process that may not write to the cache
    outline           what the heads of a module's sections say
    function_types    function types, read from a module's own sections
    loops             how many loops its functions have
    checks            whether a module and a host fit
    link_errors       what to say of a module that does not
    instance          our own door: an instance, its calls, and its end
    run               one run of a command
    linker            the second door: a `wasmtime.Linker` of the user's
    trampolines       from a wasm import to a stub: the hot path of every call
    export_slots      how numbers are passed to an export
    globals           exported globals
    memory            views of a guest's memory
    memory_limits     how its limit is kept
    stack             how much of its thread's stack a guest may use
    exclusive         one thread at a time in an instance
    nesting           guests within guests
    epoch             ends guests that compute
    traps             how a guest ended
    signals           the engine's signal handlers come first while a guest runs
    deferred_signals  Python's are put off until what they raise can be caught
    tracing           debuggers and profilers while a guest runs
"""
