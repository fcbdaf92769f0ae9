"""What the libraries of languages pass to `path_open`, as read in them: no two ask for the same rights.

Rules of this file: data only. `wanted` says what the program meant, in the words of fopen(3) for files; whatever a
library asks for, the program is to get what POSIX gives for that.

    C          wasi-libc, openat: all rights but those that contradict the access mode; Swift's System and Foundation,
               TinyGo, Python, Ruby and PHP open through it
    Emscripten standalone mode: as wasi-libc, with nothing masked
    Rust       std::fs::OpenOptions; a directory is opened like a file, for its rights too
    Go         syscall.openat: nearly every right for any mode; os.Root passes the same through a directory
    Zig        std.Io: openFile names few rights, nothing is passed on; openDir passes on what it asks for itself
    AssemblyScript   as-wasi, FileSystem.open: passes on what it asks for; directories are opened by the same call
    Kotlin     kotlinx-io: FD_READ, or FD_WRITE and FD_SYNC; Okio: a few more
"""

from __future__ import annotations

from typing import NamedTuple

from wasi_preview1.types import Fdflags, Oflags, Rights

ALL = int(Rights.MASK)
CREAT, DIRECTORY, EXCL, TRUNC = Oflags.CREAT, Oflags.DIRECTORY, Oflags.EXCL, Oflags.TRUNC
APPEND = Fdflags.APPEND


class Open(NamedTuple):
    """One call of a library's: what was wanted, and what it passes."""

    library: str
    wanted: str
    base: int
    inheriting: int
    oflags: int = 0
    flags: int = 0

    def __str__(self) -> str:
        return f"{self.library} {self.wanted}"


def of(*names: str) -> int:
    """The rights with these names."""
    return sum(getattr(Rights, name) for name in names)


PATHS = of(
    "PATH_CREATE_DIRECTORY", "PATH_CREATE_FILE", "PATH_LINK_SOURCE", "PATH_LINK_TARGET", "PATH_OPEN", "PATH_READLINK",
    "PATH_RENAME_SOURCE", "PATH_RENAME_TARGET", "PATH_FILESTAT_GET", "PATH_FILESTAT_SET_SIZE",
    "PATH_FILESTAT_SET_TIMES", "PATH_SYMLINK", "PATH_REMOVE_DIRECTORY", "PATH_UNLINK_FILE",
)  # fmt: skip

# wasi-libc: what contradicts a mode, and what reading and writing give back
_C_NEITHER = ALL & ~of("FD_DATASYNC", "FD_READ", "FD_WRITE", "FD_ALLOCATE", "FD_READDIR", "FD_FILESTAT_SET_SIZE")
_C_READ = _C_NEITHER | of("FD_READ", "FD_READDIR")
_C_WRITE = _C_NEITHER | of("FD_DATASYNC", "FD_WRITE", "FD_ALLOCATE", "FD_FILESTAT_SET_SIZE")

_RUST = of(
    "FD_ADVISE", "FD_FDSTAT_SET_FLAGS", "FD_FILESTAT_GET", "FD_FILESTAT_SET_TIMES", "FD_SEEK", "FD_SYNC", "FD_TELL",
    "PATH_CREATE_DIRECTORY", "PATH_CREATE_FILE", "PATH_FILESTAT_GET", "PATH_LINK_SOURCE", "PATH_LINK_TARGET",
    "PATH_OPEN", "PATH_READLINK", "PATH_REMOVE_DIRECTORY", "PATH_RENAME_SOURCE", "PATH_RENAME_TARGET", "PATH_SYMLINK",
    "PATH_UNLINK_FILE", "POLL_FD_READWRITE",
)  # fmt: skip
_RUST_READ = _RUST | of("FD_READ", "FD_READDIR")
_RUST_WRITE = _RUST | of("FD_WRITE", "FD_DATASYNC", "FD_ALLOCATE", "FD_FILESTAT_SET_SIZE")

_GO = ALL & ~of("SOCK_SHUTDOWN", "SOCK_ACCEPT")
_GO_READ = _GO & ~of("FD_DATASYNC", "FD_WRITE", "FD_ALLOCATE", "PATH_FILESTAT_SET_SIZE")
_GO_WRITE = _GO & ~of("FD_READ", "FD_READDIR")
_GO_FOLDER = PATHS | of(
    "FD_SEEK", "FD_FDSTAT_SET_FLAGS", "FD_SYNC", "FD_READDIR", "FD_FILESTAT_GET", "FD_FILESTAT_SET_TIMES"
)  # fmt: skip

_ZIG_READ = of("FD_READ", "FD_TELL", "FD_SEEK", "FD_FILESTAT_GET", "POLL_FD_READWRITE")
_ZIG_WRITE = of(
    "FD_WRITE", "FD_TELL", "FD_SEEK", "FD_DATASYNC", "FD_FDSTAT_SET_FLAGS", "FD_SYNC", "FD_ALLOCATE", "FD_ADVISE",
    "FD_FILESTAT_SET_TIMES", "FD_FILESTAT_SET_SIZE", "POLL_FD_READWRITE",
)  # fmt: skip
_ZIG_FOLDER = of("FD_FILESTAT_GET", "FD_FDSTAT_SET_FLAGS", "FD_FILESTAT_SET_TIMES", "FD_READDIR") | PATHS

_AS = of("FD_SEEK", "FD_TELL", "FD_FILESTAT_GET")
_AS_READ = _AS | of("FD_READ", "FD_READDIR")
_AS_WRITE = _AS | of("FD_WRITE", "PATH_CREATE_FILE")

_OKIO_READ = of("FD_FILESTAT_GET", "FD_READ", "FD_SEEK", "FD_SYNC")
_OKIO_BOTH = _OKIO_READ | of("FD_FILESTAT_SET_SIZE", "FD_WRITE")

FILES = [
    Open("C", "r", _C_READ, ALL),
    Open("C", "r+", _C_READ | _C_WRITE, ALL),
    Open("C", "w", _C_WRITE, ALL, CREAT | TRUNC),
    Open("C", "w+", _C_READ | _C_WRITE, ALL, CREAT | TRUNC),
    Open("C", "a", _C_WRITE, ALL, CREAT, APPEND),
    Open("C", "wx", _C_WRITE, ALL, CREAT | EXCL | TRUNC),
    Open("C", "only write", _C_WRITE, ALL),
    Open("C", "r, creating", _C_READ, ALL, CREAT),
    Open("Emscripten", "r", _C_READ, _C_READ),
    Open("Emscripten", "r+", _C_READ | _C_WRITE, _C_READ | _C_WRITE),
    Open("Emscripten", "w", _C_WRITE, _C_WRITE, CREAT | TRUNC),
    Open("Rust", "r", _RUST_READ, _RUST_READ),
    Open("Rust", "r+", _RUST_READ | _RUST_WRITE, _RUST_READ | _RUST_WRITE),
    Open("Rust", "w", _RUST_WRITE, _RUST_WRITE, CREAT | TRUNC),
    Open("Rust", "a", _RUST_WRITE, _RUST_WRITE, CREAT, APPEND),
    Open("Rust", "wx", _RUST_WRITE, _RUST_WRITE, CREAT | EXCL),
    Open("Go", "r", _GO_READ, _GO),
    Open("Go", "r+", _GO, _GO),
    Open("Go", "w", _GO_WRITE, _GO, CREAT | TRUNC),
    Open("Go", "w+", _GO, _GO, CREAT | TRUNC),
    Open("Go", "a", _GO_WRITE, _GO, CREAT, APPEND),
    Open("Go", "only write", _GO_WRITE, _GO),
    Open("Zig", "r", _ZIG_READ, 0),
    Open("Zig", "r+", _ZIG_READ | _ZIG_WRITE, 0),
    Open("Zig", "only write", _ZIG_WRITE, 0),
    Open("Zig", "w", _ZIG_WRITE | of("FD_FILESTAT_GET"), 0, CREAT | TRUNC),
    Open("Zig", "w+", _ZIG_READ | _ZIG_WRITE, 0, CREAT | TRUNC),
    Open("Zig", "wx", _ZIG_WRITE | of("FD_FILESTAT_GET"), 0, CREAT | EXCL),
    Open("Zig", "r+, two rights", of("FD_READ", "FD_WRITE"), 0),
    Open("AssemblyScript", "r", _AS_READ, _AS_READ),
    Open("AssemblyScript", "r+", _AS_READ | _AS_WRITE & ~of("FD_READDIR"), _AS_READ | _AS_WRITE),
    Open("AssemblyScript", "w", _AS_WRITE, _AS_WRITE, CREAT | TRUNC),
    Open("AssemblyScript", "w+", _AS_READ | _AS_WRITE, _AS_READ | _AS_WRITE, CREAT | TRUNC),
    Open("AssemblyScript", "wx", _AS_WRITE, _AS_WRITE, CREAT | EXCL | TRUNC),
    Open("kotlinx-io", "r", of("FD_READ"), 0),
    Open("kotlinx-io", "w", of("FD_WRITE", "FD_SYNC"), 0, CREAT | TRUNC),
    Open("kotlinx-io", "a", of("FD_WRITE", "FD_SYNC"), 0, CREAT, APPEND),
    Open("by hand", "r, no rights", 0, 0),
    Open("by hand", "r, one right", of("FD_SEEK"), 0),
    Open("Okio", "r", _OKIO_READ, 0),
    Open("Okio", "r+", _OKIO_BOTH, 0),
    Open("Okio", "wx+", _OKIO_BOTH, 0, CREAT | EXCL),
]

FOLDERS = [
    Open("C opendir", "folder", _C_READ, ALL, DIRECTORY, Fdflags.NONBLOCK),
    Open("C open", "folder", _C_READ, ALL),
    Open("C O_SEARCH", "folder", _C_NEITHER, ALL, DIRECTORY),
    Open("Rust", "folder", _RUST_READ, _RUST_READ, DIRECTORY),
    Open("Go os.Open", "folder", _GO_READ, _GO),
    Open("Go os.OpenRoot", "folder", _GO_READ & _GO_FOLDER, _GO, DIRECTORY),
    Open("Zig", "folder", _ZIG_FOLDER, _ZIG_FOLDER, DIRECTORY),
    Open("Zig, without paths", "folder", of("FD_FILESTAT_GET", "FD_FDSTAT_SET_FLAGS"), 0, DIRECTORY),
    Open("AssemblyScript", "folder", _AS_READ, _AS_READ),
    Open("kotlinx-io", "folder", of("FD_READDIR", "FD_READ"), 0, DIRECTORY),
    Open("Okio", "folder", of("FD_READDIR"), 0, DIRECTORY),
]
