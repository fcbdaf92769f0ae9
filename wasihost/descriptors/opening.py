"""From what a config has (a stream, a mount, a socket) to an open descriptor; what cannot be is a ConfigError.

Rules of this file: nothing is given that was not named, and what would give a guest more than it was given is
refused.
"""

from __future__ import annotations

import os
import reprlib
import stat
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

from wasi_preview1.types import Rights

from wasihost.common import auditing
from wasihost.config import Inherit, Stdin, Stdout
from wasihost.config.mounts import Mount
from wasihost.descriptors.base import Descriptor, Directory
from wasihost.descriptors.host_directory import NotForGuests, open_host_directory
from wasihost.descriptors.host_stream import inherit
from wasihost.descriptors.python_stream import BytesInput, NullStream, ReaderInput, WriterOutput
from wasihost.errors import ConfigError
from wasihost.waiting.stream_objects import CallableReader, TextReader, is_text, underlying_fd, why_not

if TYPE_CHECKING:
    from wasihost.config.sockets import NamedSocket
    from wasihost.descriptors.pipe_end import PipeEnd


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
    from wasihost.descriptors import overlaps

    overlaps.check_read_only(opened)


def input_of(stdin: Stdin | None) -> Descriptor:
    """The descriptor of a standard input. ConfigError for an object that cannot be read."""
    if stdin is None:
        return NullStream(Rights.FD_READ)
    if isinstance(stdin, Inherit):
        return _inherited(stdin, 0, Rights.FD_READ)
    if isinstance(stdin, bytes):
        return BytesInput(stdin)
    _refuse(stdin, "input", "read")
    reader: Any = stdin
    if not hasattr(reader, "read"):
        return ReaderInput(CallableReader(reader))
    return ReaderInput(TextReader(reader) if is_text(reader) else reader)


def output_of(stdout: Stdout | None, fd: int) -> Descriptor:
    """The descriptor of an output, which is `fd` by its number. ConfigError for an object that cannot be written to."""
    if stdout is None:
        return NullStream(Rights.FD_WRITE)
    if isinstance(stdout, Inherit):
        return _inherited(stdout, fd, Rights.FD_WRITE)
    _refuse(stdout, "output", "write")
    plain = underlying_fd(stdout)
    if plain is None or not _waits(plain):
        return WriterOutput(stdout)
    return inherit(plain, Rights.FD_WRITE, stdout)


def _refuse(stream: object, name: str, use: Literal["read", "write"]) -> None:
    """ConfigError for an object that cannot be used so, before the guest has done anything."""
    if reason := why_not(stream, use):
        raise ConfigError(f"standard {name} cannot be {stream!r}: {reason}")


def _waits(fd: int) -> bool:
    """Whether writing to it may wait: not for a regular file, or one that was closed behind its object's back."""
    try:
        return not stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:
        return False


def _inherited(stream: Inherit, own: int, direction: Rights) -> Descriptor:
    fd = own if stream.fd is None else stream.fd
    try:
        if stream.budget is None and stat.S_ISSOCK(os.fstat(fd).st_mode):
            return _inherited_socket(fd, direction)
        return inherit(fd, direction, budget=stream.budget, end=cast("PipeEnd", stream) if stream.owned else None)
    except OSError:  # this process was started with it closed
        return NullStream(direction)


def _inherited_socket(fd: int, direction: Rights) -> Descriptor:
    """A server that is started for each connection has the peer as its streams."""
    from wasihost.descriptors.sockets import inherited

    made = inherited(fd)
    made.rights &= ~(Rights.FD_READ | Rights.FD_WRITE) | direction
    return made


def open_socket(one: NamedSocket) -> Descriptor:
    """The descriptor of a socket that a config has."""
    from wasihost.descriptors.sockets import duplicate_of

    try:
        return duplicate_of(one.socket)
    except OSError as error:
        raise ConfigError(f"the socket {one.name} cannot be given: {error.strerror}; is it closed?") from error
