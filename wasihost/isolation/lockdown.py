"""What access a process drops before a guest begins, and which means this kernel has.

Rules of this file: each means is tried by itself, and a missing one is reported, not ignored. Everything that the guest
needs is open before. Nothing can be undone.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from wasihost.config.limits import Limits
from wasihost.isolation import landlock, seccomp, system

MEANS: Final = ("rlimits", "no_new_privs", "capabilities", "landlock", "seccomp")
"""In the order in which they are applied."""

_OWN_MEMORY: Final = 256 << 20
"""Bytes for Python and the engine, besides what the guest has."""
_OWN_FILES: Final = 64
_SECONDS: Final = 2


class IsolationReport(NamedTuple):
    """`held` names the means that confine a guest in a process here; `missing` says why the others are not available.

    The means are "rlimits", "no_new_privs", "capabilities", "landlock" and "seccomp".
    """

    held: tuple[str, ...]
    missing: dict[str, str]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing


def isolation_report() -> IsolationReport:
    """Report how this system can confine a guest that runs with `isolation="process"`. Changes nothing."""
    missing = {}
    if sys.platform != "linux":
        missing = dict.fromkeys(MEANS[1:], "only Linux has it")
    else:
        try:
            if (version := system.landlock_version()) < landlock.LEAST:
                missing["landlock"] = _too_old(version)
        except OSError as error:
            missing["landlock"] = _why(error)
        if not seccomp.known():
            missing["seccomp"] = f"no table of system calls for {os.uname().machine}"
        elif not os.path.exists("/proc/sys/kernel/seccomp/actions_avail") and os.path.isdir("/proc/sys/kernel"):
            missing["seccomp"] = "the kernel was built without it"
    return IsolationReport(tuple(one for one in MEANS if one not in missing), missing)


def lock_down(
    mounts: Iterable[tuple[int, bool]],
    *,
    sockets: bool,
    limits: Limits,
    files: int | None,
    timeout: float | None,
    writes: bool,
    given: int = 0,
) -> IsolationReport:
    """Drop all other access, permanently.

    `begin` was called before, and this process has no other thread. `mounts` are the directories that stay accessible
    (descriptor, and whether read-only), `files` is the size of the trees in memory (None: unbounded), `writes` says
    whether the guest may write to regular files, and `given` how many descriptors came with it.
    """
    mounts = list(mounts)
    _limit_resources(limits, files, timeout, writes, given + len(mounts))
    if sys.platform != "linux":
        return IsolationReport(MEANS[:1], dict.fromkeys(MEANS[1:], "only Linux has it"))
    if not system.one_thread():  # which would keep what this one gives up
        raise RuntimeError("a process that locks itself in has another thread")
    missing = {
        **_missing,
        **_taken_up({"landlock": lambda: _restrict_paths(mounts), "seccomp": lambda: _filter(sockets)}),
    }
    return IsolationReport(tuple(one for one in MEANS if one not in missing), missing)


def _taken_up(steps: dict[str, Callable[[], None]]) -> dict[str, str]:
    """Try each step. Returns those that failed, and why."""
    missing = {}
    for name, step in steps.items():
        try:
            step()
        except OSError as error:
            missing[name] = _why(error)
        except _Lacking as reason:
            missing[name] = str(reason)
    return missing


_missing: dict[str, str] = {}
"""Steps of `begin` that failed in this process, and why."""


class _Lacking(Exception):
    """This system does not have the means."""


def _restrict_paths(mounts: Iterable[tuple[int, bool]]) -> None:
    version = system.landlock_version()
    if version < landlock.LEAST:
        raise _Lacking(_too_old(version))
    landlock.restrict(version, mounts)


def _filter(sockets: bool) -> None:
    if not seccomp.known():
        raise _Lacking(f"no table of system calls for {os.uname().machine}")
    system.filter_calls(seccomp.program(sockets))


def _too_old(version: int) -> str:
    return f"the kernel's is of version {version}, which cannot let a guest move files between directories"


def _why(error: OSError) -> str:
    if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP):
        return "the kernel does not have it, or has it switched off"
    return f"refused: {error.strerror}"


def _limit_resources(limits: Limits, files: int | None, timeout: float | None, writes: bool, given: int) -> None:
    """Set rlimits as a second line behind the host's own limits: the kernel then kills the process."""
    _limit("RLIMIT_NOFILE", None if limits.open_files is None else limits.open_files + given + _OWN_FILES)
    if not writes:
        _limit("RLIMIT_FSIZE", 0)
    if timeout is not None:
        _limit("RLIMIT_CPU", int(min(timeout, 1 << 30)) + _SECONDS)
    if limits.memory is not None and files is not None:
        # Content of trees may be there twice while it is sent back, and memory is sent in pieces.
        _limit("RLIMIT_DATA", _used() + limits.memory + 3 * files + _OWN_MEMORY)


def _limit(name: str, most: int | None) -> None:
    number = getattr(resource, name, None)
    if number is None or most is None:
        return
    _, hard = resource.getrlimit(number)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(number, (most, most))


def _used() -> int:
    """Bytes of private memory that this process uses already."""
    try:
        fd = os.open("/proc/self/statm", os.O_RDONLY)
        try:
            return int(os.read(fd, 256).split()[5]) * resource.getpagesize()
        finally:
            os.close(fd)
    except (OSError, IndexError):
        return 0


def prepare() -> None:
    """Make what is the same for every process that locks itself down later."""
    if seccomp.known():
        for sockets in (False, True):
            seccomp.program(sockets)


def begin() -> None:
    """Prepare a process that was just forked: end when the zygote ends, ignore Ctrl-C of a terminal, let no other
    process inspect this one, and drop capabilities and the way to get new privileges.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _limit("RLIMIT_CORE", 0)
    if sys.platform == "linux":
        system.die_with_parent(signal.SIGKILL)
        system.no_dumps()
        _missing.update(
            _taken_up(
                {
                    "no_new_privs": system.no_new_privileges,
                    "capabilities": lambda: system.drop_capabilities(system.CAP_DAC_OVERRIDE | system.CAP_FOWNER),
                }
            )
        )
