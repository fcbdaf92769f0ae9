"""Where a guest path leads on the host, and nothing else: every host path operation goes through this package.

Directories are host descriptors, guest paths are `str` relative to one of them, errors are plain `OSError`. A path
stays beneath its directory, whatever links, `..` and other processes do, or the call fails with EPERM.

    names        checks and splitting of a path without system calls; the proof of a single name
    held         how a new descriptor has an owner from its system call on
    bounds       which file systems that are mounted below a directory may be reached
    openat2      Linux: the kernel resolves a path beneath a directory
    walk         elsewhere: one component at a time
    resolve      the choice between the two; open, stat, the parent of a name
    times        utimensat, with UTIME_NOW and UTIME_OMIT
    operations   mkdir, rmdir, unlink, rename, readlink, symlink, link, utime
    read_only    the errors of these operations below a read-only mount
"""
