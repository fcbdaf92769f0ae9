"""A process that locks itself in as a worker does, and then tries what a guest that took it over might try.

Prints JSON: what holds, and for each attempt how it ended: the name of an errno, or "done".
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from wasihost.config.limits import Limits
from wasihost.isolation import lockdown

SYSCALLS = {
    "ptrace": {"x86_64": 101, "aarch64": 117}, "process_vm_readv": {"x86_64": 310, "aarch64": 270},
    "bpf": {"x86_64": 321, "aarch64": 280}, "mount": {"x86_64": 165, "aarch64": 40},
    "keyctl": {"x86_64": 250, "aarch64": 219}, "open_by_handle_at": {"x86_64": 304, "aarch64": 265},
    "kexec_load": {"x86_64": 246, "aarch64": 104}, "unshare": {"x86_64": 272, "aarch64": 97},
    "setns": {"x86_64": 308, "aarch64": 268}, "io_uring_setup": {"x86_64": 425, "aarch64": 425},
    "perf_event_open": {"x86_64": 298, "aarch64": 241}, "userfaultfd": {"x86_64": 323, "aarch64": 282},
    "pidfd_open": {"x86_64": 434, "aarch64": 434}, "execveat": {"x86_64": 322, "aarch64": 281},
    "clone3": {"x86_64": 435, "aarch64": 435}, "init_module": {"x86_64": 175, "aarch64": 105},
    "chroot": {"x86_64": 161, "aarch64": 51}, "setuid": {"x86_64": 105, "aarch64": 146},
}  # fmt: skip
"""Each is called with zeros, which a process without a filter is told something else about."""

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str) -> None:
    """A system call by its number."""
    if libc.syscall(SYSCALLS[name][os.uname().machine], 0, 0, 0, 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), name)


def write(path: str) -> None:
    with open(path, "w") as file:
        file.write("x")


def executable_memory() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def attempts(mount: str, fixed: str, outside: str) -> dict[str, Callable[[], Any]]:
    """What is tried, by name."""
    parent, held = os.getppid(), os.open(mount, os.O_RDONLY)
    return {
        "read in the mount": lambda: open(f"{mount}/a").read(),
        "write in the mount": lambda: write(f"{mount}/b"),
        "move in the mount": lambda: os.rename("b", "sub/b", src_dir_fd=held, dst_dir_fd=held),
        "read what is read-only": lambda: open(f"{fixed}/a").read(),
        "thread": lambda: threading.Thread(target=int).start(),
        "random": lambda: os.urandom(8),
        "write what is read-only": lambda: write(f"{fixed}/b"),
        "read outside": lambda: open(outside).read(),
        "read passwd": lambda: open("/etc/passwd").read(),
        "list the root": lambda: os.listdir("/"),
        "memory of the parent": lambda: open(f"/proc/{parent}/mem", "rb"),
        "own memory": lambda: open("/proc/self/mem", "r+b", buffering=0),
        "make a device": lambda: os.mknod(f"{mount}/device", 0o20666, os.makedev(1, 1)),
        "execute": lambda: os.execv(sys.executable, [sys.executable, "-c", ""]),
        "subprocess": lambda: subprocess.run([sys.executable, "-c", ""], check=True),
        "fork": os.fork,
        "socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
        "unix socket": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
        "kill the parent": lambda: os.kill(parent, 0),
        "kill all": lambda: os.kill(-1, 0),
        "executable memory": executable_memory,
        "raise a limit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20)),
        "chdir": lambda: os.chdir("/"),
        **{name: partial(call, name) for name in SYSCALLS},
    }  # fmt: skip


def main(mount: str, fixed: str, outside: str) -> None:
    tried = attempts(mount, fixed, outside)
    lockdown.begin()
    mounts = [(os.open(mount, os.O_RDONLY), False), (os.open(fixed, os.O_RDONLY), True)]
    report = lockdown.lock_down(mounts, sockets=False, limits=Limits(), files=0, timeout=60, writes=True)
    ends = {}
    for name, attempt in tried.items():
        try:
            attempt()
        except OSError as error:
            ends[name] = errno.errorcode.get(error.errno or 0, str(error))
        except ValueError as error:  # what `resource` makes of EPERM
            ends[name] = "EPERM" if "not allowed" in str(error) else str(error)
        else:
            ends[name] = "done"
    print(json.dumps({"held": report.held, "missing": report.missing, "ends": ends}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
