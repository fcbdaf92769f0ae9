"""Where a path leads: the choice between `openat2` and the walk, and the functions by which callers reach a file.

Rules of this file:

- Plain names, which most paths are, go straight to the host with a flag that prevents following links. Only a path of
  several components, or a link to be followed, needs a resolver call; no operation makes more than one per path.
- All operations but opening and `stat` get `(parent, name)` from `parent_of`, and act on this one proven name.
- The caller passes the list that a new descriptor goes into: see `held`.
- `open_plain` and `filestat_plain` are faster ways for plain paths, where the extension is there: they do all, or
  nothing. Then the caller uses the functions above.
- `strategy` is the one in use, for the whole process. `using` changes it, for tests and measurements.
"""

from __future__ import annotations

import errno
import os
import stat

from wasihost.native import extension

from . import openat2, walk
from .bounds import ANYWHERE, Bounds
from .names import DOTS, os_error, single_name, split_last, unencodable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

Strategy: TypeAlias = "Callable[[int, str, int, int, bool, Bounds, list[int] | None], int]"
"""`(dirfd, path, flags, mode, follow, bounds, held)` -> a new descriptor of the file at `path` beneath `dirfd`, also
the last in `held`."""

_O_PATH: int = getattr(os, "O_PATH", 0)
_UNFOLLOWED = os.O_NOFOLLOW | os.O_CLOEXEC

HANDLE: int = _O_PATH or (os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_SYMLINK", 0))
"""Flags that open any file for `fstat`: O_PATH if the host has it, else for reading without waiting for a writer."""
DIRECTORY = (_O_PATH or os.O_RDONLY) | os.O_DIRECTORY
"""Flags that open a directory to start paths from."""


def by_walk(
    dirfd: int,
    path: str,
    flags: int,
    mode: int,
    follow: bool,
    bounds: Bounds = ANYWHERE,
    held: list[int] | None = None,
) -> int:
    """The strategy that needs only `openat`."""
    held = [] if held is None else held
    walk.open_path(dirfd, path, flags, mode, follow, bounds, held)
    return _checked(held, path, bounds)


def by_openat2(
    dirfd: int,
    path: str,
    flags: int,
    mode: int,
    follow: bool,
    bounds: Bounds = ANYWHERE,
    held: list[int] | None = None,
) -> int:
    """The strategy that lets Linux resolve the path, and uses the walk where the kernel's result is not clear.

    EAGAIN is left if renames continue around a path with `..`; they do not disturb the walk. ELOOP can also mean a
    magic link, which leads out: the walk distinguishes the two, and its descriptor is closed at once. EXDEV means a
    path that leads out, or one that reaches another mount.
    """
    global strategy
    if bounds.crosses:
        return _across(dirfd, path, flags, mode, follow, bounds, held)
    try:
        return openat2.open_path(dirfd, path, flags if follow else flags | os.O_NOFOLLOW, mode, bounds.resolve, held)
    except OSError as error:
        code = error.errno
        if code == errno.EXDEV:
            return _across(dirfd, path, flags, mode, follow, bounds, held)
        if code == errno.ELOOP:
            _try(by_walk, dirfd, path, HANDLE, follow, bounds)
        if code == errno.EAGAIN:
            return by_walk(dirfd, path, flags, mode, follow, bounds, held)
        if code != errno.ENOSYS:
            raise
    strategy = by_walk  # a seccomp filter was installed after the first call
    return by_walk(dirfd, path, flags, mode, follow, bounds, held)


def _try(opening: Strategy, dirfd: int, path: str, flags: int, follow: bool, bounds: Bounds) -> None:
    """Open `path` and close it again, to raise its error."""
    held: list[int] = []
    try:
        opening(dirfd, path, flags, 0, follow, bounds, held)
    finally:
        list(map(os.close, held))


def _across(dirfd: int, path: str, flags: int, mode: int, follow: bool, bounds: Bounds, held: list[int] | None) -> int:
    """Open a path that leads out (EPERM) or reaches another mount.

    The kernel does not say which mounts the path went through before it failed or went back by `..`; the walk checks
    each of them.
    """
    held = [] if held is None else held
    unfollowed = 0 if follow else os.O_NOFOLLOW
    if bounds.one_file_system:
        handle: list[int] = []
        try:
            openat2.open_path(dirfd, path, HANDLE | unfollowed, 0, bounds.inside, handle)
        except OSError as error:
            if error.errno == errno.EPERM:
                raise
        finally:
            list(map(os.close, handle))
        raise os_error(errno.EXDEV, path)
    fd = -1
    if ".." not in path:
        try:
            fd = openat2.open_path(dirfd, path, flags | unfollowed, mode, bounds.inside, held)
        except OSError as error:
            if error.errno == errno.EPERM:
                raise
    fd = by_walk(dirfd, path, flags, mode, follow, bounds, held) if fd < 0 else _checked(held, path, bounds)
    bounds.note_crossing()
    return fd


def _checked(held: list[int], path: str, bounds: Bounds) -> int:
    """Return the last descriptor in `held` if its file is within `bounds`; otherwise close it and raise."""
    fd = held[-1]
    try:
        bounds.check(fd, path)
    except BaseException:
        list(map(os.close, map(held.pop, (-1,))))
        raise
    return fd


def _by_first_choice(
    dirfd: int, path: str, flags: int, mode: int, follow: bool, bounds: Bounds, held: list[int] | None
) -> int:
    """The strategy before the first call: finds out once what the host supports."""
    global strategy
    strategy = by_openat2 if openat2.available() else by_walk
    return strategy(dirfd, path, flags, mode, follow, bounds, held)


strategy: Strategy = _by_first_choice


class using:
    """Context manager: the whole process resolves paths by `chosen` until the block ends."""

    def __init__(self, chosen: Strategy) -> None:
        self._chosen = chosen
        self._before = strategy

    def __enter__(self) -> None:
        global strategy
        self._before, strategy = strategy, self._chosen

    def __exit__(self, *_: object) -> None:
        global strategy
        strategy = self._before


_traced = False


def expect_tracers() -> None:
    """Call when a tracer is set: it may raise between a system call and the next bytecode."""
    global _traced
    _traced = True


def open_beneath(
    dirfd: int,
    path: str,
    flags: int,
    mode: int,
    follow: bool,
    bounds: Bounds = ANYWHERE,
    held: list[int] | None = None,
) -> int:
    """Open `path` beneath the directory `dirfd`.

    Returns a new host descriptor (close-on-exec), which is also the last in `held`; the caller closes it, whatever is
    raised. `flags` and `mode` are those of POSIX `open`. `follow`: also follow a link that is the last component;
    O_PATH without `follow` opens the link itself. O_CREAT through a dangling link creates the file that the link names.

    The descriptor of a plain name is not in `held` for one moment after the system call. Code that runs signal handlers
    must defer them while this function's frame is the interrupted one, and call `expect_tracers` when a tracer is set.

    For a plain name the caller checks whether the result is within `bounds`: it needs the status of the file anyway.

    Raises: EPERM for a path that leads out of `dirfd`, ELOOP for a loop or a link not to be followed, EINVAL for a NUL,
    EILSEQ for a name that the host cannot encode, and all that `open` raises.
    """
    # The check of `single_name`, inlined: `.` cannot be a link; the host refuses empty names, Python refuses a NUL.
    if (
        "/" in path
        or path == ".."
        or (follow and flags & _O_PATH and not flags & os.O_DIRECTORY)
        or bounds.one_file_system
        or _traced
    ):
        return strategy(dirfd, path, flags, mode, follow, bounds, held)
    if held is None:
        held = []
    try:
        held.append(os.open(path, flags | _UNFOLLOWED, mode, dir_fd=dirfd))  # the exception to the rule of `held`
        return held[-1]
    except OSError as error:
        if not follow or error.errno not in walk.LINK_ERRORS:
            raise
        if error.errno == errno.ENOTDIR and not flags & os.O_DIRECTORY:
            raise
    except ValueError as reason:
        raise unencodable(reason, path) from None
    return strategy(dirfd, path, flags, mode, True, bounds, held)


def open_plain(
    dirfd: int, path: str, flags: int, mode: int, follow: bool, bounds: Bounds, held: list[int]
) -> int | None:
    """Open a plain path as `open_beneath` does, and look at the file too; return None if nothing was done.

    Returns its `st_mode`, negated if its device is not known to `bounds`: the caller checks that. The new descriptor is
    the last in `held`.
    """
    if extension is None:
        return None
    resolve = bounds.plain if strategy is by_openat2 else min(bounds.plain, 0)
    opened: int | None = extension.open_plain(dirfd, path, follow, bounds.known, resolve, flags, mode, held)
    return opened


def filestat_plain(dirfd: int, path: str, follow: bool, bounds: Bounds) -> Any:
    """Return the spec's record of the file at a plain path; None if `stat_beneath` has to find it."""
    if extension is None:
        return None
    resolve = bounds.plain if strategy is by_openat2 else min(bounds.plain, 0)
    return extension.filestat_plain(dirfd, path, follow, bounds.known, resolve)


def stat_beneath(dirfd: int, path: str, follow: bool, bounds: Bounds = ANYWHERE) -> os.stat_result:
    """Return the status of the file at `path` beneath `dirfd`; of a last link itself unless `follow`.

    Raises: as `open_beneath`. If the host has O_PATH, no permission on the file itself is needed.
    """
    if "/" not in path and path != ".." and not bounds.one_file_system:
        try:
            found = os.stat(path, dir_fd=dirfd, follow_symlinks=False)
        except ValueError as reason:
            raise unencodable(reason, path) from None
        if found.st_dev in bounds.known and (not follow or not stat.S_ISLNK(found.st_mode)):
            return found
    held: list[int] = []
    try:
        return os.fstat(strategy(dirfd, path, HANDLE, 0, follow, bounds, held))
    finally:
        list(map(os.close, held))


def parent_of(dirfd: int, path: str, dots: int, bounds: Bounds, held: list[int]) -> tuple[int, str, bool]:
    """Return the directory of the last component of `path`, that component, and whether a slash follows it.

    The directory is `dirfd` itself for a plain name, else a new descriptor, which is also the last in `held`. The
    component is proven single. Links on the way are followed beneath `dirfd`; the last component is not looked up.
    Raises: EPERM for a path that leads out; errno `dots` for one that ends in `.` or `..`, once it is known to exist;
    ENOENT, EINVAL as `single_name`; and all that opening the directory raises.
    """
    if "/" not in path and path not in DOTS:
        return dirfd, single_name(path), False
    parent, name, slash = split_last(path)
    if name in DOTS:
        raise names_no_entry(dirfd, path, dots, bounds)
    single_name(name)
    return (strategy(dirfd, parent, DIRECTORY, 0, True, bounds, held) if parent else dirfd), name, slash


def names_no_entry(dirfd: int, path: str, code: int, bounds: Bounds = ANYWHERE) -> OSError:
    """Return errno `code`, for a `path` that names a directory itself and not an entry of one.

    Raises: the reason why `path`, followed to its end, is not a directory beneath `dirfd` (ENOENT, EPERM, ELOOP ...).
    """
    _try(strategy, dirfd, path, DIRECTORY, True, bounds)
    return os_error(code, path)
