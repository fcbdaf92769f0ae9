"""System calls by which a process drops rights: prctl, capset, Landlock's three. Python has no functions for them.

Rules of this file: Linux only; nothing is decided here; each function raises OSError if the kernel refuses.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from typing import Final

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522
_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446  # the same everywhere
_LANDLOCK_CREATE_RULESET_VERSION = 1
_LANDLOCK_RULE_PATH_BENEATH = 1
_CLONE_THREAD = 0x00010000

_libc = ctypes.CDLL(None, use_errno=True)
_long = ctypes.c_long
_prctl = _libc.prctl
_syscall = _libc.syscall
_syscall.restype = _long


def _checked(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)
    return result


def _control(option: int, first: int = 0, second: object = 0) -> None:
    args = (
        ctypes.c_int(option),
        ctypes.c_ulong(first),
        second or ctypes.c_ulong(0),
        ctypes.c_ulong(0),
        ctypes.c_ulong(0),
    )
    _checked(_prctl(*args), f"prctl {option}")


def die_with_parent(signal: int) -> None:
    """Get this signal when the thread that forked this process ends."""
    _control(_PR_SET_PDEATHSIG, signal)


def no_dumps() -> None:
    """Allow no core dumps, and no other process of this user to inspect this one."""
    _control(_PR_SET_DUMPABLE, 0)


def no_new_privileges() -> None:
    """No program that this process executes gets more rights than it has. Landlock and seccomp require this."""
    _control(_PR_SET_NO_NEW_PRIVS, 1)


def one_thread() -> bool:
    """Whether this process has no other thread than the calling one."""
    if not sys.platform.startswith("linux") or _libc.unshare(ctypes.c_int(_CLONE_THREAD)) == 0:
        return True  # this unshare does nothing, and fails if there are several threads
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:  # unknown
        return True


def drop_capabilities(kept: int) -> None:
    """Drop all capabilities but those in the bit set `kept`. Without root there are none to drop."""
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0))
    data = ctypes.create_string_buffer(24)
    _checked(_libc.capget(header, data), "capget")
    low = [one & kept for one in struct.unpack("=6I", data.raw)[:2]]
    new = ctypes.create_string_buffer(struct.pack("=6I", *low, 0, 0, 0, 0), 24)
    _checked(_libc.capset(header, new), "capset")


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def filter_calls(program: bytes) -> None:
    """Have the kernel run a BPF program before each system call of this thread and of threads that it starts."""
    code = ctypes.create_string_buffer(program, len(program))
    whole = _Program(len(program) // 8, ctypes.addressof(code))
    _control(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(whole))


def landlock_version() -> int:
    """The version of the kernel's Landlock, from 1 on. OSError if there is none, or it is switched off."""
    return _checked(
        _syscall(_long(_LANDLOCK_CREATE_RULESET), None, _long(0), _long(_LANDLOCK_CREATE_RULESET_VERSION)), "landlock"
    )


def landlock_ruleset(attributes: bytes) -> int:
    """A descriptor of a new ruleset."""
    return _checked(
        _syscall(_long(_LANDLOCK_CREATE_RULESET), attributes, _long(len(attributes)), _long(0)),
        "landlock_create_ruleset",
    )


def landlock_allow(ruleset: int, rights: int, directory: int) -> None:
    """Allow `rights` beneath a directory."""
    rule = struct.pack("=Qi", rights, directory)
    _checked(
        _syscall(_long(_LANDLOCK_ADD_RULE), _long(ruleset), _long(_LANDLOCK_RULE_PATH_BENEATH), rule, _long(0)),
        "landlock_add_rule",
    )


def landlock_restrict(ruleset: int) -> None:
    """Enforce the ruleset for this thread and the threads that it starts."""
    _checked(_syscall(_long(_LANDLOCK_RESTRICT_SELF), _long(ruleset), _long(0)), "landlock_restrict_self")


CAP_DAC_OVERRIDE: Final = 1 << 1
CAP_FOWNER: Final = 1 << 3
