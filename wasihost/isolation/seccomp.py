"""The system call filter: allows what CPython and the engine need while a guest runs, and nothing else.

Everything a guest needs was opened, loaded and compiled before, so no listed call executes a program, makes a process
or a socket, inspects another process, or maps executable memory. Other calls fail with EPERM; a call by the numbers of
another architecture kills the process.

Rules of this file: numbers are those of the kernel's tables (arch/x86/entry/syscalls/syscall_64.tbl, and
include/uapi/asm-generic/unistd.h for aarch64), by name, so that both architectures have one list of what is allowed.
"""

from __future__ import annotations

import errno
import functools
import os
import struct
from collections.abc import Iterator, Mapping
from typing import Final

# name: x86_64, aarch64; None where the architecture has no such call.
NUMBERS: Final[Mapping[str, tuple[int | None, int | None]]] = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "fstat": (5, 80),
    "poll": (7, None),
    "lseek": (8, 62),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "ioctl": (16, 29),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "readv": (19, 65),
    "writev": (20, 66),
    "pipe": (22, None),
    "select": (23, None),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "mincore": (27, 232),
    "madvise": (28, 233),
    "dup": (32, 23),
    "dup2": (33, None),
    "nanosleep": (35, 101),
    "getpid": (39, 172),
    "accept": (43, 202),
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "sendmsg": (46, 211),
    "recvmsg": (47, 212),
    "shutdown": (48, 210),
    "getsockname": (51, 204),
    "getpeername": (52, 205),
    "setsockopt": (54, 208),
    "getsockopt": (55, 209),
    "clone": (56, 220),
    "exit": (60, 93),
    "uname": (63, 160),
    "fcntl": (72, 25),
    "fsync": (74, 82),
    "fdatasync": (75, 83),
    "ftruncate": (77, 46),
    "gettimeofday": (96, 169),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "getuid": (102, 174),
    "getgid": (104, 176),
    "geteuid": (107, 175),
    "getegid": (108, 177),
    "sigaltstack": (131, 132),
    "fstatfs": (138, 44),
    "prctl": (157, 167),
    "gettid": (186, 178),
    "time": (201, None),
    "futex": (202, 98),
    "sched_getaffinity": (204, 123),
    "getdents64": (217, 61),
    "restart_syscall": (219, 128),
    "fadvise64": (221, 223),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "tgkill": (234, 131),
    "openat": (257, 56),
    "mkdirat": (258, 34),
    "newfstatat": (262, 79),
    "unlinkat": (263, 35),
    "renameat": (264, 38),
    "linkat": (265, 37),
    "symlinkat": (266, 36),
    "readlinkat": (267, 78),
    "faccessat": (269, 48),
    "pselect6": (270, 72),
    "ppoll": (271, 73),
    "set_robust_list": (273, 99),
    "utimensat": (280, 88),
    "fallocate": (285, 47),
    "accept4": (288, 242),
    "dup3": (292, 24),
    "pipe2": (293, 59),
    "preadv": (295, 69),
    "pwritev": (296, 70),
    "prlimit64": (302, 261),
    "renameat2": (316, 276),
    "getrandom": (318, 278),
    "memfd_create": (319, 279),
    "membarrier": (324, 283),
    "preadv2": (327, 286),
    "pwritev2": (328, 287),
    "statx": (332, 291),
    "rseq": (334, 293),
    "clone3": (435, 435),
    "openat2": (437, 437),
    "faccessat2": (439, 439),
}
_ARCHITECTURES: Final[Mapping[str, tuple[int, int]]] = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Index in the table, and AUDIT_ARCH_*."""

_ONLY_SOCKETS: Final = frozenset(
    {"accept", "accept4", "sendmsg", "recvmsg", "getsockname", "getpeername", "setsockopt"}
)
"""Allowed if the guest was given a socket."""

_PROT_EXEC = 4
_CLONE_OF_THREADS = 0x00010000 | 0x00000100 | 0x00000800  # CLONE_THREAD | CLONE_VM | CLONE_SIGHAND
_PR_SET_NAME = 15
_IOCTLS: Final = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX."""
_FCNTLS: Final = (0, 1, 2, 3, 4, 1030, 1033, 1034)
"""F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_ADD_SEALS, F_GET_SEALS."""

_LOAD, _JUMP_EQUAL, _JUMP_ANY, _AND, _RETURN = 0x20, 0x15, 0x45, 0x54, 0x06  # BPF_LD|W|ABS, JMP|JEQ|K, JMP|JSET|K, ...
_JUMP, _JUMP_AT_LEAST = 0x05, 0x35
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_X32 = 0x40000000
"""Set in the numbers of x86_64's x32 interface, which the table does not have."""

_OWN = 0x7FFF_FFF1
"""A placeholder for the pid."""

_Instruction = tuple[int, int, int, int]


def known() -> bool:
    """Whether there is a table for this machine's architecture."""
    return os.uname().machine in _ARCHITECTURES


def program(sockets: bool) -> bytes:
    """The filter of this process as BPF, an array of `struct sock_filter`. `sockets`: whether the guest has sockets."""
    return for_any(sockets, os.uname().machine).replace(struct.pack("=I", _OWN), struct.pack("=I", os.getpid()))


@functools.cache
def for_any(sockets: bool, machine: str) -> bytes:
    """The same with a placeholder for the pid, so that it can be cached."""
    place, architecture = _ARCHITECTURES[machine]
    code: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _KILL),
    ]
    refused = [_refused(errno.EPERM)]
    bodies = {
        number: list(_body(name))
        for name, numbers in NUMBERS.items()
        if (number := numbers[place]) is not None and (sockets or name not in _ONLY_SOCKETS)
    }
    ranges = [(0, refused)]
    for number in range(max(bodies) + 2):
        if (body := bodies.get(number, refused)) != ranges[-1][1]:
            ranges.append((number, body))
    code += _among(ranges)
    return b"".join(struct.pack("=HBBI", *one) for one in code)


def _among(ranges: list[tuple[int, list[_Instruction]]]) -> list[_Instruction]:
    """A binary search for the range that a call's number is in, followed by what that range does. Short, because the
    kernel tries all numbers when it installs the filter."""
    if len(ranges) == 1:
        return ranges[0][1]
    middle = len(ranges) // 2
    low, high = _among(ranges[:middle]), _among(ranges[middle:])
    if len(low) < 256:
        return [(_JUMP_AT_LEAST, len(low), 0, ranges[middle][0]), *low, *high]
    return [(_JUMP_AT_LEAST, 0, 1, ranges[middle][0]), (_JUMP, 0, 0, len(low)), *low, *high]


def _refused(code: int) -> _Instruction:
    return _RETURN, 0, 0, _ERRNO | code


def _body(name: str) -> Iterator[_Instruction]:
    """The instructions for a call of this name; they end by returning."""
    if name in ("mmap", "mprotect"):  # all executable memory was mapped before
        yield from (_argument(2), (_JUMP_ANY, 0, 1, _PROT_EXEC), _refused(errno.EPERM))
    elif name == "clone":  # only a thread, which shares everything with this process
        yield from (
            _argument(0),
            (_AND, 0, 0, _CLONE_OF_THREADS),
            (_JUMP_EQUAL, 1, 0, _CLONE_OF_THREADS),
            _refused(errno.EPERM),
        )
    elif name == "clone3":  # its flags are in memory, which a filter cannot read: the C library falls back to clone
        yield _refused(errno.ENOSYS)
        return
    elif name == "tgkill":
        yield from _one_of(0, (_OWN,))
    elif name == "prctl":
        yield from _one_of(0, (_PR_SET_NAME,))
    elif name == "ioctl":
        yield from _one_of(1, _IOCTLS)
    elif name == "fcntl":
        yield from _one_of(1, _FCNTLS)
    elif name == "sendto":  # only to the peer of a connected socket
        yield from _zero(4)
    elif name == "prlimit64":  # only to read limits
        yield from _zero(2)
    yield _RETURN, 0, 0, _ALLOW


def _argument(at: int, high: int = 0) -> _Instruction:
    return _LOAD, 0, 0, _ARGUMENTS + 8 * at + 4 * high  # both are little-endian


def _one_of(at: int, values: tuple[int, ...]) -> Iterator[_Instruction]:
    yield _argument(at)
    for left, value in zip(range(len(values), 0, -1), values, strict=True):
        yield _JUMP_EQUAL, left, 0, value  # over the rest, and the refusal
    yield _refused(errno.EPERM)


def _zero(at: int) -> Iterator[_Instruction]:
    yield from (_argument(at), (_JUMP_EQUAL, 1, 0, 0), _refused(errno.EPERM))
    yield from (_argument(at, high=1), (_JUMP_EQUAL, 1, 0, 0), _refused(errno.EPERM))
