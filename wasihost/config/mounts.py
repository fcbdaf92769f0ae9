"""The preopened directories of a guest.

Rules of this file: nothing is opened here; a configuration can be made before its directories exist.
"""

from __future__ import annotations

import os

from wasi_preview1.light_typing import NamedTuple

from wasihost.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from wasihost.vfs.mounting import VirtualSource


class Mount(NamedTuple):
    """A preopened directory: the guest's path for it, and a host directory or a file system that is a Python object.

    All but the first three are for host directories only: see `FSConfig.with_dir_mount`.
    """

    guest_path: str
    source: str | VirtualSource
    read_only: bool
    kernel_files: bool = False
    one_file_system: bool = False
    max_bytes: int | None = None
    max_entries: int | None = None
    max_file_size: int | None = None

    def __repr__(self) -> str:
        import reprlib

        more = "".join(
            f", {name}={value!r}"
            for name, value in zip(self._fields[3:], self[3:], strict=True)
            if value is not None and value is not False
        )
        return f"Mount({self.guest_path!r}, {reprlib.repr(self.source)}, read_only={self.read_only}{more})"


class FSConfig:
    """The preopened directories in order: the first becomes descriptor 3, the next 4, ...

    Immutable: each `with_*` method returns a copy with one directory added.
    """

    __slots__ = ("_mounts",)

    def __init__(self, mounts: Iterable[Mount] = ()) -> None:
        self._mounts = tuple(mounts)

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """The directories, in the order of their descriptors."""
        return self._mounts

    def with_dir_mount(
        self,
        guest_path: str,
        host_path: str | os.PathLike[str],
        *,
        kernel_files: bool = False,
        one_file_system: bool = False,
        max_bytes: int | str | None = None,
        max_entries: int | None = None,
        max_file_size: int | str | None = None,
    ) -> FSConfig:
        """Add a writable host directory, with everything in it that this process may use.

        The limits count what a guest adds to the directory from its start on, never what was there before; what it
        removes or cuts is given back. Beyond them it gets ENOSPC, for `max_file_size` EFBIG, and a write takes the part
        that fits. What other processes add is not seen. Each of them makes every write slower.

        Args:
            guest_path: The guest's path for it, such as "/" or "/data".
            host_path: The host directory; it need not exist before a guest starts.
            kernel_files: Also allow the kernel's file systems in it, such as /proc and /sys, and devices. Otherwise
                they fail with `Errno.ACCES`: a guest that has them can read and write this process's memory.
            one_file_system: Leave out other file systems that are mounted in it, as `find -xdev` does: they fail with
                `Errno.XDEV`.
            max_bytes: Bytes by which all files and links together may grow; a size as text, such as "64MiB", is
                allowed too. Default: no limit.
            max_entries: Names that may be added. Default: no limit.
            max_file_size: Bytes up to which a file can grow. Default: no limit.

        Raises:
            ConfigError: A path is not text, is empty or has a NUL, or `guest_path` is already in use; a limit is not a
                size or number of 0 or more. When the guest starts: the host directory cannot be opened, or has the
                cache of compiled modules in it.
        """
        limits: tuple[int | None, ...] = ()
        if (max_bytes, max_entries, max_file_size) != (None, None, None):
            from wasihost.common.sizes import checked_size

            given = {"max_bytes": max_bytes, "max_entries": max_entries, "max_file_size": max_file_size}
            limits = tuple(checked_size(name, value) for name, value in given.items())
        return self._add(guest_path, _host(host_path), False, kernel_files, one_file_system, *limits)

    def with_read_only_dir_mount(
        self,
        guest_path: str,
        host_path: str | os.PathLike[str],
        *,
        kernel_files: bool = False,
        one_file_system: bool = False,
    ) -> FSConfig:
        """Add a host directory that the guest cannot change: its attempts fail with `Errno.ROFS`.

        Args:
            guest_path: As for `with_dir_mount`.
            host_path: As for `with_dir_mount`.
            kernel_files: As for `with_dir_mount`.
            one_file_system: As for `with_dir_mount`.

        Raises:
            ConfigError: As `with_dir_mount`; also when the guest starts, if the directory lies in a writable one of the
                same guest.
        """
        return self._add(guest_path, _host(host_path), True, kernel_files, one_file_system)

    def with_fs_mount(
        self, guest_path: str, source: VirtualSource | os.PathLike[str], *, read_only: bool = False
    ) -> FSConfig:
        """Add a file system that is a Python object.

        Args:
            guest_path: The guest's path for it, such as "/" or "/data".
            source: A `MemoryFS`, an `Overlay` or a `wasihost.vfs.Directory`, writable as far as they support it. Always
                read-only: a dict of path -> bytes, an `importlib.resources` Traversable, a `zipfile.Path`, any fsspec
                file system, or a host path such as a `pathlib.Path`.
            read_only: Let no guest change it: its attempts fail with `Errno.ROFS`.

        Raises:
            ConfigError: `source` is none of these; `guest_path` as for `with_dir_mount`.
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
        *limits: int | None,
    ) -> FSConfig:
        _check_text("a directory's name for the guest", guest_path)
        if not guest_path or "\0" in guest_path:
            raise ConfigError(f"a guest path cannot be {guest_path!r}: give a path such as '/' or '/data'")
        if isinstance(source, str) and (not source or "\0" in source):
            raise ConfigError(f"a host path cannot be {source!r}")
        guest_path = guest_path.rstrip("/") or "/"
        if any(mount.guest_path == guest_path for mount in self._mounts):
            raise ConfigError(f"guest path {guest_path!r} is mounted twice")
        return FSConfig((*self._mounts, Mount(guest_path, source, read_only, kernel_files, one_file_system, *limits)))

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
