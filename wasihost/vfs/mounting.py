"""From the object that a user mounts to the root of a virtual tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from wasihost.vfs.fsspec_tree import FsspecDirectory, FsspecFileSystem, is_fsspec
from wasihost.vfs.memoryfs import MemoryFS
from wasihost.vfs.nodes import Directory, FileSystem
from wasihost.vfs.quota import Lazy
from wasihost.vfs.traversable import Traversable, directory_of, is_traversable

VirtualSource: TypeAlias = FileSystem | Directory | Mapping[str, bytes | Lazy] | Traversable | FsspecFileSystem
"""What can be mounted besides a host directory."""


def is_source(given: object) -> bool:
    """Whether `given` looks like something that can be mounted."""
    return isinstance(given, (FileSystem, Directory, Mapping)) or is_fsspec(given) or is_traversable(given)


def can_change(source: VirtualSource) -> bool:
    """Whether a guest can write to it. Not to a plain dict: the caller could not find there what was written."""
    return isinstance(source, (FileSystem, Directory))


def root_of(source: VirtualSource) -> Directory:
    """Return the root of the tree of `source`.

    Raises: NotADirectoryError for a Traversable that is a file, TypeError for anything that cannot be mounted.
    """
    if isinstance(source, FileSystem):
        return source.root
    if isinstance(source, Directory):
        return source
    if isinstance(source, Mapping):
        return MemoryFS(source, max_bytes=None, max_entries=None).root
    if is_fsspec(source):
        return FsspecDirectory(source)
    if not is_traversable(source):
        raise TypeError(
            "not a MemoryFS, Overlay, dict, Traversable, zipfile.Path, fsspec file system or wasihost.vfs.Directory"
        )
    if not source.is_dir():
        raise NotADirectoryError(f"{source!r} is not a directory")
    return directory_of(source)
