"""The preopened directories of a guest.

Rules of this file: nothing is opened here; a configuration can be made before its directories exist.
"""

from __future__ import annotations

import os
import reprlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from wasihost.errors import ConfigError

if TYPE_CHECKING:
    from wasihost.vfs.mounting import VirtualSource


class Mount(NamedTuple):
    """A preopened directory: the guest's path of it, and a host directory or a file system of Python's.

    For a host directory: whether files of the kernel's and devices in it are given, and whether what is mounted in it
    is left out.
    """

    guest_path: str
    source: str | VirtualSource
    read_only: bool
    kernel_files: bool = False
    one_file_system: bool = False

    def __repr__(self) -> str:
        more = "".join(f", {name}=True" for name in ("kernel_files", "one_file_system") if getattr(self, name))
        return f"Mount({self.guest_path!r}, {reprlib.repr(self.source)}, read_only={self.read_only}{more})"


class MountOptions(TypedDict, total=False):
    """How a host directory is mounted, as `FSConfig.with_dir_mount` has it."""

    kernel_files: bool
    one_file_system: bool


class FSConfig:
    """The preopened directories, in order: the first becomes descriptor 3."""

    __slots__ = ("_mounts",)

    def __init__(self, mounts: Iterable[Mount] = ()) -> None:
        self._mounts = tuple(mounts)

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """What is mounted."""
        return self._mounts

    def with_dir_mount(
        self,
        guest_path: str,
        host_path: str | os.PathLike[str],
        *,
        kernel_files: bool = False,
        one_file_system: bool = False,
    ) -> FSConfig:
        """Add a writable host directory, with all that is in it and may be used by this process.

        `one_file_system` leaves out what is mounted in it, as `find -xdev` does: XDEV. `kernel_files` gives file
        systems of the kernel's too, such as /proc and /sys, and devices, which are ACCES otherwise: whoever has these
        can read and write this process' memory. ConfigError if a guest would have the cache of compiled modules.
        """
        return self._add(guest_path, _host(host_path), False, kernel_files, one_file_system)

    def with_read_only_dir_mount(
        self,
        guest_path: str,
        host_path: str | os.PathLike[str],
        *,
        kernel_files: bool = False,
        one_file_system: bool = False,
    ) -> FSConfig:
        """Add a host directory that the guest cannot change: ROFS. The options are those of `with_dir_mount`.

        It may not lie in a writable one of the same guest: ConfigError when the guest starts.
        """
        return self._add(guest_path, _host(host_path), True, kernel_files, one_file_system)

    def with_fs_mount(
        self, guest_path: str, source: VirtualSource | os.PathLike[str], *, read_only: bool = False
    ) -> FSConfig:
        """Add a file system of Python's: a `MemoryFS` or a `wasihost.vfs.Directory`, writable as far as it can be, or
        to be read only: a dict of path -> bytes, an `importlib.resources` Traversable, a `zipfile.Path`, any fsspec
        file system.

        A path of the host, as a `pathlib.Path` is, is mounted as a read-only directory.
        """
        if isinstance(source, os.PathLike):
            return self._add(guest_path, os.fspath(source), True)
        from wasihost.vfs.mounting import can_change, is_source

        if not is_source(source):
            from wasihost.config.mistakes import not_a_file_system

            raise not_a_file_system(guest_path, source)
        return self._add(guest_path, source, read_only or not can_change(source))

    def _add(
        self,
        guest_path: str,
        source: str | VirtualSource,
        read_only: bool,
        kernel_files: bool = False,
        one_file_system: bool = False,
    ) -> FSConfig:
        _check_text("a directory's name for the guest", guest_path)
        if not guest_path or "\0" in guest_path:
            raise ConfigError(f"a guest path cannot be {guest_path!r}: give a path such as '/' or '/data'")
        if isinstance(source, str) and (not source or "\0" in source):
            raise ConfigError(f"a host path cannot be {source!r}")
        guest_path = guest_path.rstrip("/") or "/"
        if any(mount.guest_path == guest_path for mount in self._mounts):
            raise ConfigError(f"guest path {guest_path!r} is mounted twice")
        return FSConfig((*self._mounts, Mount(guest_path, source, read_only, kernel_files, one_file_system)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FSConfig) and self._mounts == other._mounts

    def __hash__(self) -> int:
        return hash(tuple(mount.guest_path for mount in self._mounts))  # a dict, as a source, has no hash

    def __repr__(self) -> str:
        return f"FSConfig({list(self._mounts)!r})"


def _host(path: str | os.PathLike[str]) -> str:
    try:
        return os.fspath(path)
    except TypeError:
        from wasihost.config.mistakes import not_a_path

        raise not_a_path("a host directory", path) from None


def _check_text(what: str, given: object) -> None:
    if not isinstance(given, str):
        from wasihost.config.mistakes import not_a_path

        raise not_a_path(what, given)
    try:
        os.fsencode(given)
    except UnicodeEncodeError:
        raise ConfigError(f"{what} cannot be {given!a}: it has characters that no file can be called by") from None
