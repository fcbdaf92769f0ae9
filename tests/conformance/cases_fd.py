"""Descriptors themselves: `fd_close`, `fd_renumber`, `fd_fdstat_*`, `fd_prestat_*`, `fd_readdir`; and for every `fd_*`
function, that the descriptor is not open."""

from __future__ import annotations

from wasi_preview1.types import Errno, Fdflags, Filetype, Oflags, Rights

from tests.conformance.case import GONE, Link, case
from tests.conformance.steps import (
    ALL,
    FOLDER,
    TOP,
    Entries,
    fd_advise,
    fd_allocate,
    fd_close,
    fd_datasync,
    fd_fdstat_get,
    fd_fdstat_set_flags,
    fd_fdstat_set_rights,
    fd_filestat_get,
    fd_filestat_set_size,
    fd_filestat_set_times,
    fd_pread,
    fd_prestat_dir_name,
    fd_prestat_get,
    fd_pwrite,
    fd_read,
    fd_readdir,
    fd_renumber,
    fd_seek,
    fd_sync,
    fd_tell,
    fd_write,
    opened,
    opened_directory,
    path_create_directory,
    path_filestat_get,
    path_open,
    path_remove_directory,
    path_unlink_file,
)
from tests.support.raw import number

FILE, DIRECTORY, LINK = Filetype.REGULAR_FILE, Filetype.DIRECTORY, Filetype.SYMBOLIC_LINK
APPEND, DSYNC, NONBLOCK, RSYNC, SYNC = (
    Fdflags.APPEND, Fdflags.DSYNC, Fdflags.NONBLOCK, Fdflags.RSYNC, Fdflags.SYNC,
)  # fmt: skip
READ, WRITE = Rights.FD_READ, Rights.FD_WRITE
FOR_FILES = (
    Rights.FD_DATASYNC | READ | Rights.FD_SEEK | Rights.FD_FDSTAT_SET_FLAGS | Rights.FD_SYNC | Rights.FD_TELL | WRITE
    | Rights.FD_ADVISE | Rights.FD_ALLOCATE | Rights.FD_FILESTAT_GET | Rights.FD_FILESTAT_SET_SIZE
    | Rights.FD_FILESTAT_SET_TIMES | Rights.POLL_FD_READWRITE
)  # fmt: skip
NOT_OPEN = "the descriptor is not open"
DOTS = {".": DIRECTORY, "..": DIRECTORY}

# fmt: off
CASES = [
    *(case(call, NOT_OPEN, opened("f"), fd_close(4), *(call(fd, *rest) for fd in (4, 99, 2**31, 2**32 - 1)),
           errno=Errno.BADF) for call, *rest in (
        (fd_advise, 0, 0, 0), (fd_allocate, 0, 1), (fd_datasync,), (fd_fdstat_get,), (fd_fdstat_set_flags, 0),
        (fd_fdstat_set_rights, 0, 0), (fd_filestat_get,), (fd_filestat_set_size, 0), (fd_filestat_set_times, 0, 0, 0),
        (fd_pread, 0, 4), (fd_prestat_get,), (fd_prestat_dir_name, 5), (fd_pwrite, 0, b"x"), (fd_read, 4),
        (fd_readdir, 99), (fd_seek, 0, 0), (fd_sync,), (fd_tell,), (fd_write, b"x"))),
    # -- fd_close
    case(fd_close, "the number is free for the next, the others stay", opened("f"), opened("d/g", fd=5), fd_close(4),
         fd_read(5, 9).gives(b"inner"), opened_directory("d"), fd_close(4), fd_close(2), opened("f", fd=2),
         fd_read(2, 9).gives(b"text")),
    case(fd_close, "a preopened directory can be closed too", fd_close(TOP), path_open("f").fails(Errno.BADF),
         fd_prestat_get(TOP).fails(Errno.BADF)),
    case(fd_close, NOT_OPEN, opened("f"), fd_close(4).gives(0), fd_close(4), fd_close(99), fd_close(2**31),
         fd_close(2**32 - 1), errno=Errno.BADF),
    # -- fd_renumber
    case(fd_renumber, "the descriptor moves to the number, and what was there is closed", opened("f"),
         opened("d/g", fd=5), fd_read(4, 2).gives(b"te"), fd_renumber(4, 5), fd_read(5, 9).gives(b"xt"),
         fd_read(4, 9).fails(Errno.BADF), opened("f", fd=4), fd_renumber(5, 2), fd_tell(2).gives(4),
         fd_tell(5).fails(Errno.BADF)),
    case(fd_renumber, "a preopened directory can be moved and replaced", opened_directory("d"), fd_renumber(4, TOP),
         opened("g"), fd_read(4, 9).gives(b"inner"), fd_prestat_get(TOP).fails(Errno.BADF)),
    case(fd_renumber, "both numbers are the same: nothing happens", opened("f"), fd_read(4, 2).gives(b"te"),
         fd_renumber(4, 4), fd_read(4, 9).gives(b"xt"), fd_renumber(TOP, TOP), opened("f", fd=5)),
    case(fd_renumber, "one of the numbers is not open", opened("f"), fd_renumber(4, 5), fd_renumber(5, 4),
         fd_renumber(5, 5), fd_renumber(99, 98), fd_renumber(4, 2**32 - 1), fd_renumber(2**31, 4),
         fd_read(4, 9).gives(b"text"), errno=Errno.BADF),
    # -- fd_fdstat_get
    case(fd_fdstat_get, "type, flags and rights are those of the descriptor", opened("f"), opened_directory("d", fd=5),
         opened("f", fd=6, flags=APPEND, rights=READ | WRITE),
         fd_fdstat_get(4).gives({"fs_filetype": FILE, "fs_flags": 0, "fs_rights_base": FOR_FILES,
                                 "fs_rights_inheriting": 0}),
         fd_fdstat_get(5).gives({"fs_filetype": DIRECTORY, "fs_flags": 0, "fs_rights_inheriting": ALL}),
         fd_fdstat_get(6).gives({"fs_filetype": FILE, "fs_flags": APPEND, "fs_rights_base": READ | WRITE,
                                 "fs_rights_inheriting": 0}),
         fd_fdstat_get(TOP).gives({"fs_filetype": DIRECTORY, "fs_flags": 0, "fs_rights_inheriting": ALL})),
    case(fd_fdstat_get, "no right is needed", opened("f", rights=0),
         fd_fdstat_get(4).gives({"fs_filetype": FILE, "fs_flags": 0, "fs_rights_base": 0, "fs_rights_inheriting": 0})),
    case(fd_fdstat_get, "a stream that is an object of Python's is of no type",
         fd_fdstat_get(0).gives({"fs_filetype": Filetype.UNKNOWN, "fs_flags": 0, "fs_rights_inheriting": 0})),
    # -- fd_fdstat_set_flags
    case(fd_fdstat_set_flags, "`append` and `nonblock` are set and cleared", opened("f"),
         fd_fdstat_set_flags(4, APPEND), fd_write(4, b"!").gives(1), fd_fdstat_get(4).gives({"fs_flags": APPEND}),
         fd_fdstat_set_flags(4, NONBLOCK), fd_seek(4, 0, 0).gives(0), fd_write(4, b"T").gives(1),
         fd_fdstat_get(4).gives({"fs_flags": NONBLOCK}), fd_fdstat_set_flags(4, 0),
         fd_fdstat_get(4).gives({"fs_flags": 0}), after={"f": b"Text!"}),
    case(fd_fdstat_set_flags, "a directory takes them too", opened_directory("d"), fd_fdstat_set_flags(4, NONBLOCK),
         fd_fdstat_get(4).gives({"fs_flags": NONBLOCK})),
    case(fd_fdstat_set_flags, "`dsync`, `rsync` or `sync` is to change", opened("f"), fd_fdstat_set_flags(4, SYNC),
         fd_fdstat_set_flags(4, DSYNC | APPEND), fd_fdstat_set_flags(4, RSYNC), fd_fdstat_get(4).gives({"fs_flags": 0}),
         opened("f", fd=5, flags=SYNC), fd_fdstat_set_flags(5, 0), fd_fdstat_set_flags(5, SYNC | APPEND).gives(0),
         errno=Errno.NOTSUP),
    case(fd_fdstat_set_flags, "a stream that is an object of Python's is to change", fd_fdstat_set_flags(0, NONBLOCK),
         fd_fdstat_set_flags(1, APPEND), errno=Errno.NOTSUP),
    case(fd_fdstat_set_flags, "a flag is set that does not exist", opened("f"), fd_fdstat_set_flags(4, 1 << 5),
         fd_fdstat_set_flags(4, 1 << 15), errno=Errno.INVAL),
    case(fd_fdstat_set_flags, "the descriptor lacks `fd_fdstat_set_flags`",
         opened("f", rights=ALL & ~Rights.FD_FDSTAT_SET_FLAGS), fd_fdstat_set_flags(4, APPEND),
         fd_fdstat_set_flags(4, 0), errno=Errno.NOTCAPABLE),
    # -- fd_fdstat_set_rights
    case(fd_fdstat_set_rights, "rights get fewer, for the descriptor and for what is opened through it", opened("f"),
         fd_fdstat_set_rights(4, READ | WRITE, 0), fd_read(4, 9).gives(b"text"), fd_tell(4).fails(Errno.NOTCAPABLE),
         fd_fdstat_set_rights(4, READ, 0), fd_write(4, b"x").fails(Errno.NOTCAPABLE), fd_fdstat_set_rights(4, READ, 0),
         fd_fdstat_get(4).gives({"fs_filetype": FILE, "fs_flags": 0, "fs_rights_base": READ,
         "fs_rights_inheriting": 0}), fd_fdstat_set_rights(TOP, Rights.PATH_OPEN, READ), opened("d/g", fd=5),
         fd_write(5, b"x").fails(Errno.NOTCAPABLE), fd_read(5, 9).gives(b"inner"),
         path_filestat_get("f").fails(Errno.NOTCAPABLE), opened("d", fd=6, rights=FOLDER),
         fd_fdstat_get(6).gives({"fs_rights_base": 0, "fs_rights_inheriting": READ})),
    case(fd_fdstat_set_rights, "a right is to be had that the descriptor does not have", opened("f", rights=READ),
         fd_fdstat_set_rights(4, READ | WRITE, 0), fd_fdstat_set_rights(4, WRITE, 0),
         fd_fdstat_set_rights(4, READ, READ), fd_fdstat_set_rights(4, ALL, ALL), fd_fdstat_set_rights(4, 0, 0).gives(0),
         fd_fdstat_set_rights(4, READ, 0), errno=Errno.NOTCAPABLE),
    case(fd_fdstat_set_rights, "a right is named that does not exist", opened("f"), fd_fdstat_set_rights(4, 1 << 30, 0),
         fd_fdstat_set_rights(4, 0, 1 << 63), errno=Errno.INVAL),
    # -- fd_prestat_*
    case(fd_prestat_get, "the length of the guest path of a mount is told",
         fd_prestat_get(TOP).gives(b"\0\0\0\0" + number(5)), fd_prestat_get(4).gives(b"\0\0\0\0" + number(6)),
         other=True),
    case(fd_prestat_get, "the descriptor is not a preopened directory's", opened_directory("."), opened("f", fd=5),
         fd_prestat_get(4), fd_prestat_get(5), fd_prestat_get(0), errno=Errno.BADF),
    case(fd_prestat_dir_name, "the guest path of a mount is told, without a NUL",
         fd_prestat_dir_name(TOP, 5).gives(b"/data"), fd_prestat_dir_name(TOP, 99).gives(b"/data"),
         fd_prestat_dir_name(4, 6).gives(b"/other"), other=True),
    case(fd_prestat_dir_name, "the buffer is too short", fd_prestat_dir_name(TOP, 4), fd_prestat_dir_name(TOP, 0),
         errno=Errno.NAMETOOLONG),
    case(fd_prestat_dir_name, "the descriptor is not a preopened directory's", opened_directory("."), opened("f", fd=5),
         fd_prestat_dir_name(4, 9), fd_prestat_dir_name(5, 9), fd_prestat_dir_name(1, 9), errno=Errno.BADF),
    # -- fd_readdir
    case(fd_readdir, "`.` and `..` come first, then every name with its type",
         fd_readdir(TOP, 4096).gives(Entries({**DOTS, "f": FILE, "d": DIRECTORY, "l": LINK, "é" * 127: FILE})),
         opened_directory("d"), fd_readdir(4, 999).gives(Entries(DOTS)),
         tree={"f": b"", "d": None, "l": Link("d"), "é" * 127: b""}),
    case(fd_readdir, "the last entry is cut where the buffer ends: a full buffer means that there is more",
         opened_directory("d"), *(fd_readdir(4, size).gives(Entries({**DOTS, "g": FILE})) for size in (
             0, 1, 23, 24, 25, 26, 48, 49, 50, 51, 52, 74, 75, 76, 99, 100))),
    case(fd_readdir, "a cookie goes on behind its entry", opened_directory("d"),
         fd_readdir(4, 25).gives(Entries({**DOTS, "g": FILE})), fd_readdir(4, 99,
         1).gives(Entries({"..": DIRECTORY, "g": FILE}, 1)), fd_readdir(4, 24, 2).gives(Entries({"g": FILE}, 2)),
         fd_readdir(4, 99, 2).gives(Entries({"g": FILE}, 2)), fd_readdir(4, 99, 0).gives(Entries({**DOTS, "g": FILE}))),
    case(fd_readdir, "a cookie that is the last entry's, or beyond it, gives 0 bytes", opened_directory("d"),
         *(fd_readdir(4, 99, cookie).gives(b"") for cookie in (3, 4, 99, 2**63, 2**64 - 1)),
         fd_readdir(4, 0, 1).gives(b"")),
    case(fd_readdir, "what is made or removed since cookie 0 does not change the listing until cookie 0 is given again",
         opened_directory("d"), fd_readdir(4, 51).gives(Entries({**DOTS, "g": FILE})), path_unlink_file("d/g"),
         path_open("d/x", Oflags.CREAT).gives(5), path_create_directory("d/y"),
         fd_readdir(4, 99, 2).gives(Entries({"g": FILE}, 2)), fd_readdir(4, 99, 3).gives(b""),
         fd_readdir(4, 128).gives(Entries({**DOTS, "x": FILE, "y": DIRECTORY})),
         after={"d/g": GONE, "d/x": b"", "d/y": None}),
    case(fd_readdir, "each descriptor has a listing of its own", opened_directory("d"), opened_directory("d", fd=5),
         fd_readdir(4, 51).gives(Entries({**DOTS, "g": FILE})), path_unlink_file("d/g"),
         fd_readdir(5, 99).gives(Entries(DOTS)), fd_readdir(4, 99, 2).gives(Entries({"g": FILE}, 2)),
         after={"d": None, "d/g": GONE}),
    case(fd_readdir, "a directory that was removed is empty", opened_directory("empty"), path_remove_directory("empty"),
         fd_readdir(4, 99).gives(Entries(DOTS)), after={"empty": GONE}),
    case(fd_readdir, "names that are not UTF-8 are given as they are", fd_readdir(TOP,
         99).gives(Entries({**DOTS, "\udcff": FILE})), tree={"\udcff": b""}),
    case(fd_readdir, "the descriptor is a file's or a stream's", opened("f"), fd_readdir(4, 99), fd_readdir(0, 99),
         errno=Errno.NOTDIR),
    case(fd_readdir, "the descriptor lacks `fd_readdir`", opened_directory("d", rights=FOLDER & ~Rights.FD_READDIR),
         fd_readdir(4, 99), errno=Errno.NOTCAPABLE),
]
# fmt: on
