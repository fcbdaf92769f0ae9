"""The rules that every `path_*` function keeps: each rule is a case of each function, and of each of its paths."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from wasi_preview1.types import Errno, Oflags, Rights

from tests.conformance.case import Case, case
from tests.conformance.steps import (
    FOLDER,
    TOP,
    Path,
    Step,
    fd_close,
    folder_without,
    opened,
    opened_directory,
    path_create_directory,
    path_filestat_get,
    path_filestat_set_times,
    path_link,
    path_open,
    path_readlink,
    path_remove_directory,
    path_rename,
    path_symlink,
    path_unlink_file,
)

NOT_OPEN = "the descriptor is not open"

PATHS: list[Callable[[Path], Step]] = [
    path_create_directory,
    path_filestat_get,
    lambda path: path_filestat_get(path, follow=0),
    path_filestat_set_times,
    lambda path: path_filestat_set_times(path, follow=0),
    lambda path: path_link(path, "new"),
    lambda path: path_link(path, "new", follow=1),
    lambda path: path_link("f", path),
    path_open,
    lambda path: path_open(path, follow=0),
    lambda path: path_open(path, Oflags.CREAT),
    lambda path: path_open(path, Oflags.DIRECTORY, rights=FOLDER),
    path_readlink,
    path_remove_directory,
    lambda path: path_rename(path, "new"),
    lambda path: path_rename("f", path),
    lambda path: path_symlink("content", path),
    path_unlink_file,
]
"""Every path that a guest can give."""

RULES: list[tuple[Errno, str, list[Path]]] = [
    (Errno.NOENT, "the path is empty", [""]),
    (Errno.NOENT, "a directory on the way does not exist",
     ["none/x", "none/../f", "d/none/x", "d//none/./x", "dangling/x"]),
    (Errno.NOTDIR, "something on the way is no directory", ["f/x", "f/.", "f/..", "f/../f", "d/g/x", "tof/x"]),
    (Errno.PERM, "the path leads out of the directory it starts from: rooted, by `..`, or by a link on the way",
     ["/", "/f", "..", "../", "../f", "../base/f", "d/../..", "d/../../base/f", "tod/../../x", "out/secret", "out/x",
      "rooted/x", "up/f", "up/base/f", "up/outside/secret"]),
    (Errno.LOOP, "more than 40 links on the way", ["loop/x", "loop/.", "d/../loop/x"]),
    (Errno.INVAL, "a NUL in the path", ["\0", "f\0", "f\0x", "d/\0"]),
    (Errno.ILSEQ, "the path is not UTF-8", [b"\xff", b"d/\xc3", b"\xc0\xaf", b"\xed\xa0\x80"]),
    (Errno.NAMETOOLONG, "a name of more than 255 bytes, or a path of more than 4,095",
     ["n" * 256, "é" * 128, "d/" + "n" * 256, "n" * 256 + "/x", "./" * 2047 + "xx", "./" * 2048 + "x", "n" * 5000]),
]  # fmt: skip

RIGHTS: list[tuple[Rights, Callable[..., Step], Callable[[int], Step]]] = [
    (Rights.PATH_CREATE_DIRECTORY, path_create_directory, lambda fd: path_create_directory("new", fd)),
    (Rights.PATH_FILESTAT_GET, path_filestat_get, lambda fd: path_filestat_get("f", fd=fd)),
    (Rights.PATH_FILESTAT_SET_TIMES, path_filestat_set_times, lambda fd: path_filestat_set_times("f", fd=fd)),
    (Rights.PATH_LINK_SOURCE, path_link, lambda fd: path_link("f", "new", fd=fd)),
    (Rights.PATH_LINK_TARGET, path_link, lambda fd: path_link("f", "new", new_fd=fd)),
    (Rights.PATH_OPEN, path_open, lambda fd: path_open("f", fd=fd)),
    (Rights.PATH_CREATE_FILE, path_open, lambda fd: path_open("f", Oflags.CREAT, fd=fd)),
    (Rights.PATH_FILESTAT_SET_SIZE, path_open, lambda fd: path_open("f", Oflags.TRUNC, fd=fd)),
    (Rights.PATH_READLINK, path_readlink, lambda fd: path_readlink("tof", fd=fd)),
    (Rights.PATH_REMOVE_DIRECTORY, path_remove_directory, lambda fd: path_remove_directory("empty", fd)),
    (Rights.PATH_RENAME_SOURCE, path_rename, lambda fd: path_rename("f", "new", fd=fd)),
    (Rights.PATH_RENAME_TARGET, path_rename, lambda fd: path_rename("f", "new", new_fd=fd)),
    (Rights.PATH_SYMLINK, path_symlink, lambda fd: path_symlink("content", "new", fd)),
    (Rights.PATH_UNLINK_FILE, path_unlink_file, lambda fd: path_unlink_file("f", fd)),
]
"""A right of the directory, the function that needs it, and a call that does."""

READS = (path_filestat_get, path_open, path_readlink)
"""Those that change nothing; `path_open` has cases of its own for where it does."""


def _cases() -> Iterator[Case]:
    for errno, when, paths in RULES:
        for call in PATHS:
            steps = [call(path) for path in paths]
            yield Case(steps[0].function, when, errno, tuple(step.fails(errno) for step in steps))
    for right, function, use in RIGHTS:
        name = f"`{right!r}`".lower().replace("rights.", "")
        yield case(function, f"the guest gave up {name}", opened_directory("."), folder_without(right), use(4),
                   errno=Errno.NOTCAPABLE)  # fmt: skip
        yield case(function, NOT_OPEN, opened_directory("."), fd_close(4),
                   *(use(fd) for fd in (4, 99, 2**31, 2**32 - 1)), errno=Errno.BADF)  # fmt: skip
        yield case(function, "a directory's descriptor is a file's or a stream's",
                   opened("f"), use(4), use(0), errno=Errno.NOTDIR)  # fmt: skip
        if function not in READS:
            yield case(function, "the mount is read-only", use(TOP), read_only=True, errno=Errno.ROFS)


CASES = list(_cases())
