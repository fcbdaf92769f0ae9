"""From an entry of a config (a stream, a mount, a socket) to an open descriptor. Raises ConfigError if that fails.

Rules of this file: a guest gets nothing that the config does not name; a combination that would give it more is
refused.
"""

from __future__ import annotations

import os
import stat

from wasi_preview1.types import Rights

from wasihost.common import auditing
from wasihost.config import Inherit
from wasihost.config.mounts import Mount
from wasihost.descriptors.base import Descriptor, Directory
from wasihost.descriptors.inherited_stream import inherit
from wasihost.errors import ConfigError, raise_if_from_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal

    from wasihost.config import Stdin, Stdout
    from wasihost.config.sockets import NamedSocket

_NO_LIMITS = (None, None, None)


def open_mount(mount: Mount) -> Directory:
    """Open a mount as a preopened directory."""
    auditing.mounted(mount.guest_path, mount.source, mount.read_only)
    try:
        if isinstance(mount.source, str):
            limits = mount.max_bytes, mount.max_entries, mount.max_file_size
            if limits != _NO_LIMITS:
                from wasihost.descriptors.limited import LimitedPreopen, Usage

                return LimitedPreopen(
                    mount.source,
                    mount.guest_path,
                    Usage(*limits),
                    kernel_files=mount.kernel_files,
                    one_file_system=mount.one_file_system,
                )
            from wasihost.descriptors.host_directory import open_host_directory

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
        if type(mount.source).__module__.partition(".")[0] in (
            "builtins",
            "wasihost",
        ):  # others may raise what they like
            raise_if_from_handler(error)
        import reprlib

        from wasihost.sandbox.bounds import NotForGuests

        advice = "; give a directory that exists and can be read" if isinstance(mount.source, str) else ""
        if isinstance(error, NotForGuests):
            advice = ": kernel_files=True, --kernel-files"
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"cannot mount {reprlib.repr(mount.source)} as {mount.guest_path!r}: {reason}{advice}"
        ) from error


def check_read_only(opened: Sequence[tuple[Mount, Directory]]) -> None:
    """Raise ConfigError for a read-only mount that the guest could change through another mount."""
    from wasihost.descriptors import overlaps

    overlaps.check_read_only(opened)


def input_of(stdin: Stdin | None) -> Descriptor:
    """Make the descriptor of standard input. Raises ConfigError for an object that cannot be read."""
    if isinstance(stdin, Inherit):
        return _inherited(stdin, 0, Rights.FD_READ)
    from wasihost.descriptors.python_stream import BytesInput, NullStream, ReaderInput

    if stdin is None:
        return NullStream(Rights.FD_READ)
    if isinstance(stdin, bytes):
        return BytesInput(stdin)
    from wasihost.waiting.stream_objects import CallableReader, TextReader, is_text

    _refuse(stdin, "input", "read")
    reader: Any = stdin
    if not hasattr(reader, "read"):
        return ReaderInput(CallableReader(reader))
    return ReaderInput(TextReader(reader) if is_text(reader) else reader)


def output_of(stdout: Stdout | None, fd: int) -> Descriptor:
    """Make the descriptor of an output; `fd` is 1 or 2. Raises ConfigError for an object that cannot be written to."""
    if isinstance(stdout, Inherit):
        return _inherited(stdout, fd, Rights.FD_WRITE)
    from wasihost.descriptors.python_stream import NullStream, WriterOutput

    if stdout is None:
        return NullStream(Rights.FD_WRITE)
    from wasihost.waiting.stream_objects import underlying_fd

    _refuse(stdout, "output", "write")
    plain = underlying_fd(stdout)
    if plain is None or not _waits(plain):
        return WriterOutput(stdout)
    return inherit(plain, Rights.FD_WRITE, stdout)


def _refuse(stream: object, name: str, use: Literal["read", "write"]) -> None:
    """Raise ConfigError for an object that cannot be read or written, before the guest has started."""
    from wasihost.waiting.stream_objects import why_not

    if reason := why_not(stream, use):
        raise ConfigError(f"standard {name} cannot be {stream!r}: {reason}")


def _waits(fd: int) -> bool:
    """True if writing to `fd` may block: not for a regular file, nor for an fd that was closed meanwhile."""
    try:
        return not stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError as error:
        raise_if_from_handler(error)
        return False


def _inherited(stream: Inherit, own: int, direction: Rights) -> Descriptor:
    fd = own if stream.fd is None else stream.fd
    try:
        if stream.budget is None and stat.S_ISSOCK(os.fstat(fd).st_mode):
            return _inherited_socket(fd, direction)
        end: Any = stream if stream.owned else None  # a PipeEnd
        return inherit(fd, direction, budget=stream.budget, end=end)
    except OSError as error:  # this process was started with the fd closed
        raise_if_from_handler(error)
        from wasihost.descriptors.python_stream import NullStream

        return NullStream(direction)


def _inherited_socket(fd: int, direction: Rights) -> Descriptor:
    """Make a descriptor of a standard stream that is a socket, as in a server that is started for each connection."""
    from wasihost.descriptors.sockets import inherited

    made = inherited(fd)
    made.rights &= ~(Rights.FD_READ | Rights.FD_WRITE) | direction
    return made


def open_socket(one: NamedSocket) -> Descriptor:
    """Make the descriptor of a socket in a config."""
    from wasihost.descriptors.sockets import duplicate_of

    try:
        return duplicate_of(one.socket)
    except OSError as error:
        raise_if_from_handler(error)
        raise ConfigError(f"the socket {one.name} cannot be given: {error.strerror}; is it closed?") from error
