"""Which names and links a virtual tree can have: what a path of a guest could spell."""

from __future__ import annotations

import errno
from typing import Final

from wasihost.sandbox.names import is_single, os_error
from wasihost.vfs.nodes import Link

NAME_MAX: Final = 255
"""Bytes of one name."""
PATH_MAX: Final = 4096
"""Bytes of one path, a NUL at the end included."""


def is_entry(name: str) -> bool:
    """Whether `name` can be that of an entry: one component, of characters that UTF-8 has, of at most `NAME_MAX` bytes.

    Bytes of a host's name that are no UTF-8, as `os.fsdecode` gives them, are taken as they are.
    """
    if not is_single(name):
        return False
    if name.isascii():
        return len(name) <= NAME_MAX
    encoded = _encoded(name)
    return encoded is not None and len(encoded) <= NAME_MAX


def check_path(path: str) -> None:
    """Raises: EINVAL for a NUL, EILSEQ for what UTF-8 does not have, ENAMETOOLONG."""
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
    """The content of a link, which may be a user's or have come from anywhere.

    Raises: what `check_path` raises, ENOENT for an empty one, TypeError for what is no text.
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
