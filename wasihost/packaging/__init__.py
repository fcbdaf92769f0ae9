"""Modules in the forms in which they are shipped: compiled ahead of time, as one executable file, as a wheel.

Rules of this package: compiled code runs as it is, so it is loaded from a place that the caller names, and only if no
other user and no guest can have written it. Names and texts that come from a module or a file are checked before they
become names of files, Python or metadata. The same input makes the same bytes.

    precompiled      a folder with a module and its compiled code: what is in it, and loading it
    ahead            makes such folders, and fills the cache
    wheel            a module as a wheel
    api              the functions of a wheel, as a TOML file describes them
    source           the Python of a wheel
    archive          zip files with the same bytes for the same content
    executable       a program as one file
    unpacked         what that file looks for first
    unpacking        what it does if that is not there
    module           a precompiled module as a `Module`
"""
