"""Which file systems a path may reach that are mounted below the directory of a mount.

Rules of this file: checks are made on open descriptors, never on paths. Linux says of each file system what it is; on
other systems all count as ordinary ones.

- The kernel's own file systems give power over this process: `/proc/self/mem` is its memory, `/dev/pts` its terminal,
  `/sys` the machine. Without `kernel_files` nothing on them can be reached (EACCES), and of devices only the harmless.
- With `one_file_system` nothing that is mounted below can be reached (EXDEV), as with `find -xdev`.

If nothing is mounted below, which the kernel reports while it resolves a path, these checks cost nothing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

from .names import os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

INSIDE: Final = 0x02 | 0x08  # RESOLVE_NO_MAGICLINKS | RESOLVE_BENEATH, for openat2
_NO_XDEV: Final = 0x01
NO_LINKS: Final = 0x04  # RESOLVE_NO_SYMLINKS

_KERNELS: Final = {
    0x9FA0: "procfs",
    0x62656572: "sysfs",
    0x1CD1: "devpts",
    0x64626720: "debugfs",
    0x74726163: "tracefs",
    0x73636673: "securityfs",
    0x27E0EB: "cgroup",
    0x63677270: "cgroup2",
    0xCAFE4A11: "bpf",
    0x62656570: "configfs",
    0xF97CFF8C: "selinuxfs",
    0x43415D53: "smackfs",
    0x5A3C69F0: "apparmorfs",
    0xDE5E81E4: "efivarfs",
    0x6165676C: "pstore",
    0x6E736673: "nsfs",
    0x42494E4D: "binfmt_misc",
    0x65735543: "fusectl",
    0x67596969: "rpc_pipefs",
    0x6E667364: "nfsd",
    0x7655821: "resctrl",
    0xABBA1974: "xenfs",
    0x9FA1: "openpromfs",
    0x9FA2: "usbdevfs",
}
"""`f_type` of statfs(2) -> name. devtmpfs has no number of its own and is not here: see `is_harmless`."""

_HARMLESS: Final = frozenset(os.makedev(1, minor) for minor in (3, 5, 7, 8, 9))
"""null, zero, full, random, urandom."""


class _All(set[int]):
    """The set of all devices."""

    def __contains__(self, device: object) -> bool:
        return True


class Bounds:
    """What paths may reach below the directory of one mount.

    `root` is the device and inode number of the directory, `known` the devices that may be reached, `resolve` the
    RESOLVE_* flags for openat2. `crosses`: a path has reached another file system that is allowed, so every result is
    checked from then on. `plain`: the flags with which openat2 alone decides about a path, 0 if it cannot, and -1 if
    single names need more than a look at the device too. `links`: whether links may be followed.
    """

    __slots__ = ("_mount", "crosses", "kernel_files", "known", "links", "one_file_system", "plain", "resolve", "root")

    def __init__(
        self,
        root: tuple[int, int],
        *,
        kernel_files: bool = False,
        one_file_system: bool = False,
        mount: int | None = None,
    ) -> None:
        free = kernel_files and not one_file_system
        self.root: tuple[int, int] = root
        self.known: _All | set[int] = _All() if free else {root[0]}
        self.kernel_files: bool = kernel_files
        self.one_file_system: bool = one_file_system
        self.crosses: bool = False
        self.links: bool = True
        self.resolve: int = INSIDE if free else INSIDE | _NO_XDEV
        self.plain: int = -1 if one_file_system else self.resolve
        self._mount = mount if one_file_system else None

    def admit(self, fd: int, device: int, path: str) -> None:
        """Check a file that `path` led to, on a `device` not in `known`, and add that. Raises: EXDEV, EACCES."""
        if self.one_file_system:
            raise os_error(errno.EXDEV, path)
        if kernel_file_system(fd, device):
            raise os_error(errno.EACCES, path)
        self.known.add(device)

    def check(self, fd: int, path: str) -> None:
        """Check any open file; with `one_file_system` also for a bind mount of the same device. Raises: as `admit`."""
        device = os.fstat(fd).st_dev
        if device not in self.known:
            self.admit(fd, device, path)
        elif self._mount is not None and mount_number(fd) != self._mount:
            raise os_error(errno.EXDEV, path)

    def note_crossing(self) -> None:
        """Note that a path reached another file system that is allowed: every result is checked from now on."""
        self.crosses, self.resolve, self.plain = True, self.inside, min(self.plain, 0)

    def forbid_links(self) -> None:
        """Refuse every link on the way with ELOOP from now on: the caller resolves paths before."""
        self.links = False
        self.resolve |= NO_LINKS
        if self.plain > 0:
            self.plain |= NO_LINKS

    @property
    def inside(self) -> int:
        """The RESOLVE_* flags for a path that may reach every file system."""
        return INSIDE if self.links else INSIDE | NO_LINKS


class NotForGuests(PermissionError):
    """The directory is on a file system of the kernel's (such as /proc), which a mount must ask for."""


def bounds_of(fd: int, *, kernel_files: bool, one_file_system: bool) -> Bounds:
    """Return the bounds of a mount whose directory is open as `fd`.

    Raises: NotForGuests if it is on a file system of the kernel's and not `kernel_files`.
    """
    st = os.fstat(fd)
    if not kernel_files and (name := kernel_file_system(fd, st.st_dev)):
        raise NotForGuests(
            errno.EACCES,
            f"it is on {name}, through which a guest could reach this process; to allow that, ask for it",
        )
    return Bounds(
        (st.st_dev, st.st_ino),
        kernel_files=kernel_files,
        one_file_system=one_file_system,
        mount=mount_number(fd) if one_file_system else None,
    )


ANYWHERE: Final = Bounds((-1, -1), kernel_files=True)
"""No bounds: everything that is mounted below may be reached."""


def is_harmless(device: int) -> bool:
    """Whether a character device (its `st_rdev`) gives no access to terminals, memory or hardware."""
    return device in _HARMLESS or sys.platform != "linux"


def kernel_file_system(fd: int, device: int) -> str | None:
    """Return the name of the kernel's file system that an open file is on; None for an ordinary file system."""
    if sys.platform != "linux" or os.major(device):  # a file system on a disk
        return None
    about = _Statfs()
    while _fstatfs(fd, about) < 0:
        if (code := ctypes.get_errno()) != errno.EINTR:
            raise OSError(code, os.strerror(code))
    return _KERNELS.get(about[0] >> _SHIFT & 0xFFFFFFFF)


def mount_number(fd: int) -> int | None:
    """Return the number of the mount through which a file was opened; None before Linux 5.8 (statx), or elsewhere."""
    if _statx is None:
        return None
    about = ctypes.create_string_buffer(256)
    if _statx(fd, b"", _AT_EMPTY_PATH, _STATX_MNT_ID, about) < 0:
        return None
    if not int.from_bytes(about.raw[:4], sys.byteorder) & _STATX_MNT_ID:
        return None
    return int.from_bytes(about.raw[144:152], sys.byteorder)


_AT_EMPTY_PATH, _STATX_MNT_ID = 0x1000, 0x1000
_Statfs = ctypes.c_ulong * 32  # larger than struct statfs, whose first field is the type
_SHIFT = 32 if sys.platform == "linux" and os.uname().machine == "s390x" else 0  # where that field is an int
_libc = ctypes.CDLL(None, use_errno=True)
_fstatfs = _libc.fstatfs
_fstatfs.argtypes, _fstatfs.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_int
_statx = getattr(_libc, "statx", None)
if _statx is not None:
    _statx.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p)
    _statx.restype = ctypes.c_int
