"""The folder of compiled modules: where it is, and what makes it private to this user and this program.

Rules of this file: it knows no engine, and of an entry only its name. A folder is used only if

- it belongs to this user, and no other user may write to it;
- our tag is in it (`CACHEDIR.TAG`, which backup programs know too). A folder that is empty, or has only entries, gets
  the tag. In a folder with anything else, which belongs to another program, a folder of our own is made.

Only files with the full name of an entry are ever removed: never a link, and never the target of one.
"""

from __future__ import annotations

import os
import sys

from wasihost.errors import raise_if_from_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

TAG: Final = "CACHEDIR.TAG"
CONTENT: Final = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# This folder holds modules that wasihost has compiled. It makes them again where they are missing.\n"
    b"# The format of this file: https://bford.info/cachedir/\n"
)
PROGRAMS: Final = "programs"
"""A folder in it, where executables unpack themselves: see `packaging.unpacking`."""
SEALED: Final = 0o1500 if sys.platform == "linux" else 0o500
"""The permissions of an entry, by which it is known to be ours: no call of WASI sets an execute bit, and no archive
tool the sticky bit, which has no meaning for files. A guest cannot open such a file for writing; for a guest of root,
`descriptors.host_directory` refuses it."""
_INNER: Final = "wasihost"
_MODULE: Final = r"[0-9a-f]{64}\.cwasm"
_NOTE: Final = r"-?[0-9a-f]{1,32}(?:--?[0-9a-f]{1,32}){5}\.file"
_NAMES: Final = (
    rf"(?P<module>{_MODULE})|(?P<note>{_NOTE})|(?P<lock>[0-9a-f]{{64}}\.lock)|"
    rf"(?P<scratch>(?:{_MODULE}|{_NOTE}|{TAG})\.[0-9]+\.[0-9a-f]{{12}}\.tmp)"
)


def folder() -> str | None:
    """Return its path: `WASIHOST_CACHE_DIR`, else "wasihost" in the user's cache folder; None if there is neither."""
    return os.environ.get("WASIHOST_CACHE_DIR") or _of_the_user()


def _of_the_user() -> str | None:
    home = os.path.expanduser("~")
    if sys.platform == "darwin":
        base = os.path.join(home, "Library", "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    return os.path.join(base, "wasihost") if os.path.isabs(base) else None


def ours(about: os.stat_result) -> bool:
    """Whether a file or folder belongs to this user, and no other user may write to it."""
    return about.st_uid == os.geteuid() and not about.st_mode & 0o022


def sealed(about: os.stat_result) -> bool:
    """Whether a file is as `write` makes entries: no guest can have made it, or given it a second name."""
    return about.st_mode & 0o7777 == SEALED and about.st_nlink == 1 and about.st_uid == os.geteuid()


def private_folder(*, make: bool) -> str | None:
    """Return the folder if it is private; None if there is no such folder. `make`: make and tag it. Raises: OSError."""
    place = folder()
    if place is None or not (_tagged(place) or _inside(place) or (make and _made(place))):
        return None
    if not ours(os.stat(place)):
        return None
    if not _tagged(place) and (not make or _holds_more(place)):
        place = os.path.join(place, _INNER)
        if make and not os.path.isdir(place):
            os.mkdir(place, 0o700)
        if not ours(os.stat(place)):
            return None
    if make:
        _put_tag(place)
    return place


def is_tagged(place: str) -> bool:
    """Whether the whole tag is there, so that entries may be removed."""
    return os.path.isfile(os.path.join(place, TAG)) and not _another_tag(place)


def kind_of(name: str) -> str | None:
    """Return the kind of entry by its name: "module", "note", "lock" or "scratch"; None if it is not ours."""
    import re

    found = re.fullmatch(_NAMES, name)
    return found.lastgroup if found else None


def write(path: str, *content: bytes | memoryview, mode: int = SEALED) -> None:
    """Write an entry, replacing an old one in one step. It has its final permissions from the start."""
    scratch = f"{path}.{os.getpid()}.{os.urandom(6).hex()}.tmp"
    try:
        with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.writelines(content)
        os.replace(scratch, path)
    except BaseException:
        try:
            os.unlink(scratch)
        except OSError:
            pass
        raise


def _tagged(place: str) -> bool:
    """Whether our tag is there. Its size proves it, for reading entries; a tag with text added to ours counts, too."""
    try:
        return os.lstat(os.path.join(place, TAG)).st_size == len(CONTENT) or is_tagged(place)
    except OSError as error:
        raise_if_from_handler(error)
        return False


def _inside(place: str) -> bool:
    return _tagged(os.path.join(place, _INNER))


def _holds_more(place: str) -> bool:
    """Whether anything in the folder is not ours."""
    return _another_tag(place) or any(
        kind_of(name) is None and name not in (TAG, PROGRAMS) for name in os.listdir(place)
    )


def _another_tag(place: str) -> bool:
    """Whether there is a tag that does not begin with ours: the cache of another program."""
    try:
        with open(os.open(os.path.join(place, TAG), os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            return file.read(len(CONTENT)) != CONTENT
    except FileNotFoundError:
        return False


def _put_tag(place: str) -> None:
    path = os.path.join(place, TAG)
    try:
        if os.lstat(path).st_size == len(CONTENT):
            return
    except FileNotFoundError:
        pass
    write(path, CONTENT, mode=0o600)


def _made(place: str) -> bool:
    """Make the folder, and return whether it exists now.

    Root makes none in a folder of another user: `sudo` may keep HOME of the user who calls it.
    """
    if not os.path.isdir(place):
        existing = os.path.abspath(place)
        while not os.path.isdir(existing) and existing != os.path.dirname(existing):
            existing = os.path.dirname(existing)
        if os.geteuid() == 0 and os.stat(existing).st_uid != 0:
            return False
        os.makedirs(os.path.dirname(place) or ".", exist_ok=True)
        os.mkdir(place, 0o700)
    return True
