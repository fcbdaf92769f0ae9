"""What a call needs of a policy: paths and whether it changes them, clocks, random bytes, sockets, the environment.

Rules of this file: it knows every function of WASI that reaches beyond what is open already. A function that is not
here needs nothing: it works on a descriptor that was opened under the policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from wasi_preview1.types import Oflags, Rights, SubscriptionUClockCase

from wasihost.descriptors.base import Socket
from wasihost.policy.places import Mounts, Place, place_of
from wasihost.policy.rules import CLOCKS

if TYPE_CHECKING:
    from wasihost.host.functions import Host

_CHANGES: Final = Oflags.CREAT | Oflags.TRUNC
_NEW: Final = Oflags.CREAT | Oflags.EXCL


class PathUse(NamedTuple):
    """One path of a call: the names of its parameters, and what is done with it.

    `flags` is the parameter that says whether a link at the end is followed. `entry`: the call acts on the last name
    itself; `slash`: unless a slash follows it.
    """

    fd: str
    path: str
    flags: str | None = None
    entry: bool = True
    changes: bool = True
    slash: bool = False


PATHS: Final = {
    "path_create_directory": (PathUse("fd", "path"),),
    "path_filestat_get": (PathUse("fd", "path", "flags", entry=False, changes=False),),
    "path_filestat_set_times": (PathUse("fd", "path", "flags", entry=False),),
    "path_link": (PathUse("old_fd", "old_path", "old_flags", entry=False), PathUse("new_fd", "new_path", slash=True)),
    "path_open": (PathUse("fd", "path", "dirflags", entry=False, changes=False),),
    "path_readlink": (PathUse("fd", "path", changes=False, slash=True),),
    "path_remove_directory": (PathUse("fd", "path"),),
    "path_rename": (PathUse("fd", "old_path"), PathUse("new_fd", "new_path")),
    "path_symlink": (PathUse("fd", "new_path", slash=True),),
    "path_unlink_file": (PathUse("fd", "path"),),
}
"""Functions that take paths."""
OPEN: Final = {
    "fd_readdir": False,
    "fd_filestat_set_times": True,
    "fd_filestat_set_size": True,
    "fd_allocate": True,
}
"""Functions that do to a descriptor what it may not have been opened for -> whether they change it."""
CLOCK: Final = ("clock_time_get", "clock_res_get")
SOCKET: Final = ("sock_accept", "sock_recv", "sock_send", "sock_shutdown", "fd_read", "fd_write")
ENVIRONMENT: Final = ("environ_get",)


def changes(call: Any, use: PathUse) -> bool:
    """Return whether the call changes what is at this path, or opens it to be changed."""
    if call.function != "path_open":
        return use.changes
    return bool(
        call.oflags & _CHANGES or (call.fs_rights_base & Rights.FD_WRITE and not call.oflags & Oflags.DIRECTORY)
    )


def follows(call: Any, use: PathUse) -> bool:
    """Return whether the call follows a link at the end of this path."""
    if use.flags is None or not getattr(call, use.flags):
        return False
    return bool(call.function != "path_open" or call.oflags & _NEW != _NEW)


def place_for(host: Host, mounts: Mounts, call: Any, use: PathUse) -> Place | None:
    """Return where a path of the call leads, see `place_of`."""
    path = getattr(call, use.path)
    entry = use.entry and not (use.slash and path[-1:] == "/")
    return place_of(host, mounts, getattr(call, use.fd), path, follow=follows(call, use), entry=entry)


def clocks_of(call: Any, host: Host) -> set[str]:
    """Return the clocks that a call of `clock_*` or `poll_oneoff` uses."""
    if call.function in CLOCK:
        return {CLOCKS[call.id]}
    if call.nsubscriptions > host.max_subscriptions:
        return set()  # the call fails
    wanted = [one.u for one in call.in_.read(call.nsubscriptions)]
    return {CLOCKS[one.value.id] for one in wanted if isinstance(one, SubscriptionUClockCase)}


def socket_name(host: Host, fd: int) -> str | None:
    """Return the name in the config of an open socket, or of the listener that it came from; None for no socket."""
    if not isinstance(host.table.open.get(fd), Socket):
        return None
    name: str | None = (host.names or {}).get(fd, (None, None))[0]
    return name or "?"
