"""File systems that are Python objects: `MemoryFS`, and the base classes for file systems of your own.

Rules of this package: nodes and names, never descriptors, rights or guest memory; every failure is an `OSError`, as
the host's own file system would raise it. Path rules are those of `wasihost.sandbox`, kept by one resolver.

    names         which names and link targets are allowed
    nodes         the base classes `Directory`, `File`, `Link`: what a tree does not support fails with ENOTSUP
    resolve       where a path leads in a tree
    operations    POSIX calls on a path: open, mkdir, rename, link ... on any tree
    read_only     the errors of these calls below a read-only mount
    mounting      from the object that a user mounts to the root of its tree
    memoryfs      `MemoryFS`, which is also a dict of its files
    memory_file   its files
    memory_nodes  its directories and links
    quota         what it may hold; lazy content
    sparse        the content of large files, and of files with holes
    changes       which of its files a guest changed
    snapshot      its tree as a flat value, for pickle and copy
    host_tree     read-only: a folder of the host, for overlays
    listed        what the read-only trees have in common
    archive       read-only: `zipfile.Path`
    traversable   read-only: `importlib.resources` and the like
    fsspec_tree   read-only: any fsspec file system
    foreign       exceptions of other people's code as errnos
    dates         dates of archives as times of files
    interruption  long steps within a tree that end with their guest
"""

from .memoryfs import MemoryFS
from .nodes import Directory, File, Link, Node, Stat
from .quota import Lazy

__all__ = ["Directory", "File", "Lazy", "Link", "MemoryFS", "Node", "Stat"]
