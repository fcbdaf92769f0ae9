"""Opening what a guest is given of file systems, and refusing what would give it more than that: ConfigError."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Sequence

from wasihost import auditing, cachefolder
from wasihost.descriptors.base import Directory
from wasihost.descriptors.host_directory import NotForGuests, open_host_directory
from wasihost.errors import ConfigError
from wasihost.fsconfig import Mount


def _is_root() -> bool:
    """Root's guests can write to any file. What others' can make is no entry of the cache: `engines.wasmtime.cache`."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def open_mount(mount: Mount, guest: int) -> Directory:
    """The directory that a guest starts from, known by the `id` of its host."""
    auditing.mounted(mount.guest_path, mount.source, mount.read_only)
    try:
        if isinstance(mount.source, str):
            made = open_host_directory(
                mount.source,
                mount.guest_path,
                mount.read_only,
                kernel_files=mount.kernel_files,
                one_file_system=mount.one_file_system,
            )
            if not mount.read_only and _is_root():
                if place := cachefolder.lies_in(made.bounds.root):
                    made.close()
                    raise _holds_cache(mount, place)
                cachefolder.guests.setdefault(guest, []).append(made.bounds.root)
            return made
        from wasihost.descriptors.virtual import open_virtual

        return open_virtual(mount.source, mount.guest_path, mount.read_only)
    except (OSError, TypeError) as error:
        advice = "; give a directory that exists and can be read" if isinstance(mount.source, str) else ""
        if isinstance(error, NotForGuests):
            advice = ": kernel_files=True, --kernel-files"
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"cannot mount {reprlib.repr(mount.source)} as {mount.guest_path!r}: {reason}{advice}"
        ) from error


def check_read_only(opened: Sequence[tuple[Mount, Directory]]) -> None:
    """Refuse a read-only mount that could be changed by another one."""
    from wasihost import overlaps

    overlaps.check_read_only(opened)


def _holds_cache(mount: Mount, place: str) -> ConfigError:
    advice = "keep the cache elsewhere (WASIHOST_CACHE_DIR)" if place == cachefolder.folder() else "remove that"
    return ConfigError(
        f"cannot mount {mount.source!r} as {mount.guest_path!r} to be written by a guest of root's: the cache of "
        f"compiled modules is in it ({place}), and these are run as machine code; mount it read-only, mount a folder "
        f"in it, or {advice}"
    )
