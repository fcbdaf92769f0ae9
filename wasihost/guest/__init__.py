"""A guest as Python code holds it: a module, its instance, what goes in and what comes out.

Rules of this package: it joins a State, a compiled module and a deadline, and knows no descriptor, path or file.

    module         a WebAssembly module, compiled once
    instance       a guest that stays; `run` is one whose `_start` is called
    options        keyword options to a config, and to what is kept
    capture        output that is kept, as bytes or text
    results        what a guest has produced so far, wherever it runs
    exports        exported functions and globals as attributes
    calling        calls of exports with text and bytes
    guest_exports  one guest's exports as another's imports
    providers      who provides which import: the user, the State, stubs
    preloading     what runs import late
"""
