"""Which names, paths and link targets are valid in a virtual tree: those that a guest's path can spell."""

from __future__ import annotations

import errno
from typing import Final

from wasihost.sandbox.names import is_single, os_error
from wasihost.vfs.nodes import Link

NAME_MAX: Final = 255
"""Bytes of one name."""
PATH_MAX: Final = 4096
"""Bytes of one path, including a NUL at the end."""


def is_entry(name: str) -> bool:
    """Whether `name` can be the name of an entry: one component that UTF-8 can encode in at most `NAME_MAX` bytes.

    Bytes that are not UTF-8, as `os.fsdecode` returns them for names of the host, are allowed.
    """
    if not is_single(name):
        return False
    if name.isascii():
        return len(name) <= NAME_MAX
    encoded = _encoded(name)
    return encoded is not None and len(encoded) <= NAME_MAX


def check_path(path: str) -> None:
    """Raises: EINVAL for a NUL, EILSEQ for characters that UTF-8 cannot encode, ENAMETOOLONG."""
    if "\0" in path:
        raise os_error(errno.EINVAL, path)
    if path.isascii():
        size = len(path)
    else:
        encoded = _encoded(path)
        if encoded is None:
            raise os_error(errno.EILSEQ, ascii(path))
        size = len(encoded)
    if size >= PATH_MAX:
        raise os_error(errno.ENAMETOOLONG, path)


def target_of(link: Link) -> str:
    """Return the target of a link, which may be a user's object, or come from anywhere.

    Raises: what `check_path` raises, ENOENT for an empty target, TypeError for one that is not str.
    """
    content = link.target()
    if not isinstance(content, str):
        raise TypeError(f"{type(link).__name__}.target() gave {content!r:.80}, and links are str")
    check_path(content)
    if not content:
        raise os_error(errno.ENOENT, content)
    return content


def _encoded(text: str) -> bytes | None:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return None
