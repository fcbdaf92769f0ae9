"""What an open descriptor is, one file per kind, and the table that numbers them.

Rules of this package: those of `base` hold for every kind. No kind knows the table or, except for directories, which
open the others, another kind.

    base             the base class of every kind
    file_calls       system calls on an open file and their arguments, with the checks that kinds share
    positioned_file  what host files and virtual files share: a position, seek, tell
    host_file        a file of the host
    host_directory   a directory of the host
    limited          both below a mount with a quota
    host_stream      a pipe, a terminal, or a device
    inherited_stream a stream of this process
    python_stream    standard streams that are Python objects
    sockets          sockets passed to the guest
    virtual          files and directories of a virtual tree
    pipe_end         the guest's end of a pipe to its caller
    opening          from an entry of a config to an open descriptor
    overlaps         refuses mounts that would defeat a read-only mount
    table            descriptors by the guest's numbers
    reserve          keeps fds of this process free for the program around the guests
    rights           the rights of each kind
    hoststat         from a stat result of the host to the spec's records
    reported         what file systems report, made to fit these records
    oserrno          from host errors to WASI errnos
"""
