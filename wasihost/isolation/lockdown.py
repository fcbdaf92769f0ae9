"""What a process gives up before a guest begins, and what of that this kernel has.

Rules of this file: each means is tried by itself, and what the kernel lacks is reported, not passed over. Everything
that the guest needs is open by then. There is no way back.
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
"""In the order in which they are taken up."""

_OWN_MEMORY: Final = 256 << 20
"""Bytes for Python and the engine, besides what the guest has."""
_OWN_FILES: Final = 64
_SECONDS: Final = 2


class IsolationReport(NamedTuple):
    """`held` names the means that a guest in a process is held by here; `missing` says why others are not there.

    The means are "rlimits", "no_new_privs", "capabilities", "landlock" and "seccomp".
    """

    held: tuple[str, ...]
    missing: dict[str, str]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing


def isolation_report() -> IsolationReport:
    """What this system has to hold a guest with that runs with `isolation="process"`. Nothing is changed."""
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
    """Give up everything else, permanently.

    `begin` was called before, and this process has no other thread.
    `mounts` are the directories that stay (descriptor, and whether to be read only), `files` is the size of the trees
    in memory (None: unbounded), `writes` says that the guest may have regular files to write to, and `given` how many
    descriptors came with it.
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
    """Try them all: which failed, and why."""
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
"""What of that which is given up at the beginning this process could not."""


class _Lacking(Exception):
    """There is no such means here."""


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
    """So that the kernel ends what the host's own limits should have ended. The process gets no second chance."""
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
    """Bytes of private memory that this process has already."""
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
    """Of a process that was just forked: end with the zygote, ignore what a terminal sends, let nobody look in, and
    give up what no guest needs: rights, and getting new ones.
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
