"""File systems that are Python objects: one of its own in memory, and the means to mount whatever else.

Rules of this package: nodes and names, never descriptors, rights or guest memory; every failure is an `OSError`, as
the host's own file system would raise it. Path rules are those of `wasihost.sandbox`, kept by one resolver.

    names        which names and links there can be
    nodes        what a tree is made of: `Directory`, `File`, `Link`, with a default for all that a tree cannot do
    resolve      where a path leads in a tree
    operations   what POSIX calls do with a path: open, mkdir, rename, link ... on any tree
    quota        what a `MemoryFS` may hold; lazy content
    sparse       the content of large files, and of those with holes
    memory_file  the files of `MemoryFS`
    memory_nodes its directories and links
    memoryfs     `MemoryFS`, which is also a dict of its files
    changes      what a guest changed in one
    snapshot     a `MemoryFS` as a flat value, for pickle and copy
    foreign      what code of others raises while it reads, as an errno
    interruption what takes long within a tree can be interrupted
    dates        times of archives, as file systems have them
    listed       what the read-only trees have in common
    archive      read-only: `zipfile.Path`
    traversable  read-only: `importlib.resources` and its like
    fsspec_tree  read-only: any fsspec file system
    read_only    what operations say below a read-only mount
    mounting     from what a user hands over to the root of a tree
"""

from .memoryfs import MemoryFS
from .nodes import Directory, File, Link, Node, Stat
from .quota import Lazy

__all__ = ["Directory", "File", "Lazy", "Link", "MemoryFS", "Node", "Stat"]
