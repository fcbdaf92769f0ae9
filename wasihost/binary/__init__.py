"""What the bytes of a module say, without an engine.

Rules of this package: bytes are not to be trusted; what is wrong with them is a ModuleError, or nothing at all.

    sections     a core module's sections
    components   what is in a component
    toolchains   which host a module was made for, if not for this one
    backtrace    from a trap's frames to names and lines of the source
    dwarf        lines of the source by the module's DWARF
"""
