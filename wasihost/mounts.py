"""Opening what a guest is given of file systems, and refusing what would give it more than that: ConfigError."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence

from wasihost import auditing
from wasihost.descriptors.base import Directory
from wasihost.descriptors.host_directory import NotForGuests, open_host_directory
from wasihost.errors import ConfigError
from wasihost.fsconfig import Mount


def open_mount(mount: Mount) -> Directory:
    """The directory that a guest starts from."""
    auditing.mounted(mount.guest_path, mount.source, mount.read_only)
    try:
        if isinstance(mount.source, str):
            return open_host_directory(
                mount.source,
                mount.guest_path,
                mount.read_only,
                kernel_files=mount.kernel_files,
                one_file_system=mount.one_file_system,
            )
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
