"""Where compiled modules are kept: finding the folder, and making it one that is ours alone.

Rules of this file: it knows no engine, and nothing of what an entry is but its name. A folder is used only if

- it belongs to this user and nobody else may write to it;
- our tag is in it (`CACHEDIR.TAG`, which backup programs know too). A folder that is empty, or holds nothing but
  entries, is given the tag; in any other one, which is somebody's, a folder inside is made.

Only what has the full name of an entry is ever removed, and only if it is a file: never a link, never what it names.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Final

TAG: Final = "CACHEDIR.TAG"
CONTENT: Final = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# This folder holds modules that wasihost has compiled. It makes them again where they are missing.\n"
    b"# The format of this file: https://bford.info/cachedir/\n"
)
SEALED: Final = 0o1500 if sys.platform == "linux" else 0o500
"""The permissions of an entry. No call of WASI sets an execute bit, and no file that somebody unpacked has the sticky
one, which means nothing for files. No guest opens a file with these permissions to write in it; root's could, without
what `descriptors.host_directory` does."""
_INNER: Final = "wasihost"
_MODULE: Final = r"[0-9a-f]{64}\.cwasm"
_NOTE: Final = r"-?[0-9a-f]{1,32}(?:--?[0-9a-f]{1,32}){5}\.file"
_NAMES: Final = (
    rf"(?P<module>{_MODULE})|(?P<note>{_NOTE})|(?P<lock>[0-9a-f]{{64}}\.lock)|"
    rf"(?P<scratch>(?:{_MODULE}|{_NOTE}|{TAG})\.[0-9]+\.[0-9a-f]{{12}}\.tmp)"
)


def folder() -> str | None:
    """Where entries are to live: `WASIHOST_CACHE_DIR`, else the user's cache folder; `None` where there is neither."""
    return os.environ.get("WASIHOST_CACHE_DIR") or _of_the_user()


def _of_the_user() -> str | None:
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "")
    elif sys.platform == "darwin":
        base = os.path.join(home, "Library", "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    return os.path.join(base, "wasihost") if os.path.isabs(base) else None


def ours(about: os.stat_result) -> bool:
    """Owned by this user and writable by nobody else. Windows: the user's profile is private by its own rules."""
    return not hasattr(os, "geteuid") or (about.st_uid == os.geteuid() and not about.st_mode & 0o022)


def sealed(about: os.stat_result) -> bool:
    """Whether a file is as we make entries: no guest can have made it, or given it a second name."""
    if sys.platform == "win32":
        return True
    return about.st_mode & 0o7777 == SEALED and about.st_nlink == 1 and about.st_uid == os.geteuid()


def private_folder(*, make: bool) -> str | None:
    """The folder if it is ours alone, made and tagged if asked for; `None` where there is no such place. OSError."""
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
    """Whether the whole tag is there, so that something may be removed."""
    return os.path.isfile(os.path.join(place, TAG)) and not _another_tag(place)


def kind_of(name: str) -> str | None:
    """Which kind of entry has such a name: "module", "note", "lock" or "scratch"; `None` for what is not ours."""
    import re

    found = re.fullmatch(_NAMES, name)
    return found.lastgroup if found else None


def write(path: str, *content: bytes | memoryview, mode: int = SEALED) -> None:
    """A new entry in the place of an old one, whole or not at all. It is sealed from the first moment on."""
    scratch = f"{path}.{os.getpid()}.{os.urandom(6).hex()}.tmp"
    try:
        with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.writelines(content)
        os.replace(scratch, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(scratch)
        raise


def _tagged(place: str) -> bool:
    """A look at the size is enough to read entries; a tag that somebody has added to is ours, too."""
    try:
        return os.lstat(os.path.join(place, TAG)).st_size == len(CONTENT) or is_tagged(place)
    except OSError:
        return False


def _inside(place: str) -> bool:
    return _tagged(os.path.join(place, _INNER))


def _holds_more(place: str) -> bool:
    """Whether something is there that is not ours."""
    return _another_tag(place) or any(kind_of(name) is None and name != TAG for name in os.listdir(place))


def _another_tag(place: str) -> bool:
    """Whether there is a tag that does not begin as ours does: a cache of another program's."""
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
    """Whether the folder is there now. Root makes none in somebody else's folder: `sudo` may keep the home of its
    caller."""
    if not os.path.isdir(place):
        above = os.path.abspath(place)
        while not os.path.isdir(above) and above != os.path.dirname(above):
            above = os.path.dirname(above)
        if hasattr(os, "geteuid") and os.geteuid() == 0 and os.stat(above).st_uid != 0:
            return False
        os.makedirs(os.path.dirname(place) or ".", exist_ok=True)
        os.mkdir(place, 0o700)
    return True
