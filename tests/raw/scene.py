"""One world for all raw calls, and a call of every function in it that gets as far as it can.

`CALLS` says what each parameter is, so that the tests of pointers and of values can spoil them one at a time.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

from tests.support.raw import Raw
from wasihost import ModuleConfig

FILE = 4
"""The descriptor of `file`, open for everything."""
ALL_RIGHTS = (1 << 30) - 1


class Pointer(NamedTuple):
    """An address of `size` bytes. `result` is one that is looked at last, and only if the call has succeeded."""

    name: str
    size: int
    align: int
    result: bool = False


class Buffer(NamedTuple):
    """An address and a length that the guest chooses."""

    name: str
    size: int


class Text(NamedTuple):
    """A path: address and length."""

    name: str
    text: str


class Vectors(NamedTuple):
    """An array of one buffer: address and count."""

    name: str
    size: int


class Value(NamedTuple):
    """A number; `bad` are numbers that its type does not have."""

    good: int
    bad: tuple[int, ...] = ()


class Fd(NamedTuple):
    """A descriptor."""

    number: int


class Places(NamedTuple):
    """Where the subscriptions of `poll_oneoff` are."""

    name: str


Parameter = Pointer | Buffer | Text | Vectors | Value | Fd | Places

RIGHTS = Value(ALL_RIGHTS, (1 << 30, 1 << 63, -1))
CLOCK = Value(1, (4, 0x100, -1))
LOOKUP = Value(1, (2, -1))
FDFLAGS = Value(0, (0x20, 0x10000, -1))
FSTFLAGS = Value(0, (0x10, -1))
ZERO = Value(0)


def result(size: int, align: int | None = None, name: str = "result") -> Pointer:
    return Pointer(name, size, align or size, True)


CALLS: dict[str, tuple[Parameter, ...]] = {
    "args_get": (Pointer("argv", 8, 4), Pointer("argv_buf", 9, 1)),
    "args_sizes_get": (result(4, name="result_0"), result(4, name="result_1")),
    "environ_get": (Pointer("environ", 8, 4), Pointer("environ_buf", 9, 1)),
    "environ_sizes_get": (result(4, name="result_0"), result(4, name="result_1")),
    "clock_res_get": (CLOCK, result(8)),
    "clock_time_get": (CLOCK, ZERO, result(8)),
    "fd_advise": (Fd(FILE), ZERO, ZERO, Value(0, (6, 0x100, -1))),
    "fd_allocate": (Fd(FILE), ZERO, Value(1)),
    "fd_close": (Fd(FILE),),
    "fd_datasync": (Fd(FILE),),
    "fd_fdstat_get": (Fd(FILE), result(24, 8)),
    "fd_fdstat_set_flags": (Fd(FILE), FDFLAGS),
    "fd_fdstat_set_rights": (Fd(FILE), Value(0, RIGHTS.bad), Value(0, RIGHTS.bad)),
    "fd_filestat_get": (Fd(FILE), result(64, 8)),
    "fd_filestat_set_size": (Fd(FILE), ZERO),
    "fd_filestat_set_times": (Fd(FILE), ZERO, ZERO, FSTFLAGS),
    "fd_pread": (Fd(FILE), Vectors("iovs", 3), ZERO, result(4)),
    "fd_prestat_get": (Fd(3), result(8, 4)),
    "fd_prestat_dir_name": (Fd(3), Buffer("path", 5)),
    "fd_pwrite": (Fd(FILE), Vectors("iovs", 3), ZERO, result(4)),
    "fd_read": (Fd(FILE), Vectors("iovs", 3), result(4)),
    "fd_readdir": (Fd(3), Buffer("buf", 64), ZERO, result(4)),
    "fd_renumber": (Fd(FILE), Fd(0)),
    "fd_seek": (Fd(FILE), ZERO, Value(0, (3, 0x100, -1)), result(8)),
    "fd_sync": (Fd(FILE),),
    "fd_tell": (Fd(FILE), result(8)),
    "fd_write": (Fd(FILE), Vectors("iovs", 3), result(4)),
    "path_create_directory": (Fd(3), Text("path", "new")),
    "path_filestat_get": (Fd(3), LOOKUP, Text("path", "file"), result(64, 8)),
    "path_filestat_set_times": (Fd(3), LOOKUP, Text("path", "file"), ZERO, ZERO, FSTFLAGS),
    "path_link": (Fd(3), Value(0, LOOKUP.bad), Text("old_path", "file"), Fd(3), Text("new_path", "new")),
    "path_open": (
        *(Fd(3), LOOKUP, Text("path", "file"), Value(0, (0x10, 0x10000, -1)), RIGHTS, RIGHTS, FDFLAGS),
        result(4),
    ),
    "path_readlink": (Fd(3), Text("path", "link"), Buffer("buf", 4), result(4)),
    "path_remove_directory": (Fd(3), Text("path", "folder")),
    "path_rename": (Fd(3), Text("old_path", "file"), Fd(3), Text("new_path", "new")),
    "path_symlink": (Text("old_path", "file"), Fd(3), Text("new_path", "new")),
    "path_unlink_file": (Fd(3), Text("path", "file")),
    "poll_oneoff": (Places("in"), Pointer("out", 32, 8), Value(1), result(4)),
    "proc_exit": (Value(7),),
    "proc_raise": (Value(16, (31, 0x100, -1)),),  # chld, which is ignored
    "sched_yield": (),
    "random_get": (Buffer("buf", 16),),
    "sock_accept": (Fd(FILE), FDFLAGS, result(4)),
    "sock_recv": (Fd(FILE), Vectors("ri_data", 3), Value(0, (4, 0x10000, -1)), result(4), result(2, name="result_1")),
    "sock_send": (Fd(FILE), Vectors("si_data", 3), Value(0, (0x10000, -1)), result(4)),
    "sock_shutdown": (Fd(FILE), Value(1, (4, 0x100, -1))),
}
"""Every function, its parameters in order."""

FAILING = {"sock_accept": 57, "sock_recv": 57, "sock_send": 57, "sock_shutdown": 57}
"""What the functions answer that there is nothing for here: NOTSOCK, as the file is no socket."""


def make(folder: Path) -> Raw:
    """A guest with two arguments and variables, known clocks and random bytes, and a folder as descriptor 3."""
    (folder / "folder").mkdir()
    (folder / "file").write_bytes(b"content")
    (folder / "link").symlink_to("file")
    config = (
        ModuleConfig()
        .with_args("prog", "x y")
        .with_env("A", "1")
        .with_env_raw("B=22")
        .with_stdin(b"input")
        .with_walltime(lambda: 1_700_000_000_123_456_789, 1000)
        .with_nanotime(lambda: 42, 7)
        .with_nanosleep(lambda _duration: None)
        .with_rand_source(io.BytesIO(bytes(range(100))))
        .with_host_directory_preopen("/data", folder)
    )
    raw = Raw(config)
    assert raw.open("file") == FILE
    return raw
