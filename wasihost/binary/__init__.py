"""What the bytes of a module contain, read without an engine.

Rules of this package: bytes are not trusted; what is wrong with them raises ModuleError, or is ignored.

    sections        a core module's sections
    components      what is in a component
    toolchains      which other host a module was made for
    backtrace       from a trap's frames to names and lines of the source
    function_names  names of functions by index, for profiles
    exposed         a module whose whole state can be read and written, for snapshots
    dwarf           lines of the source by the module's DWARF
"""
