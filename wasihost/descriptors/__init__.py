"""What an open descriptor is, one file per kind, and the table that numbers them.

Rules of this package: those of `base` hold for every kind; kinds know neither each other nor the table.

    base            the base class of every kind
    host_file       a file of the host
    host_directory  a directory of the host
    host_stream     a pipe, a terminal, a device, or standard streams as they are
    python_stream   standard streams that are Python objects
    sockets         sockets that a guest was given
    virtual         files and directories of a virtual tree
    pipe_end        the guest's end of a pipe to its caller
    opening         from what a config has to an open descriptor
    overlaps        mounts that would undo one another
    table           the numbers a guest knows its descriptors by
    reserve         the numbers of this process that guests do not get
    rights          which rights each kind has
    hoststat        between what a host says of a file and the spec's records
    reported        what file systems report, made to fit these records
    oserrno         from host errors to WASI errnos
"""
