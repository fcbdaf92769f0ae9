"""Zip files with the same bytes for the same content: what wheels and executables are.

Rules of this file: files are sorted by name, their time is `SOURCE_DATE_EPOCH` or the first of 1980, and nothing of
this machine, its user or its umask goes in. Names are relative, with no way out of the folder that they are unpacked
in.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
import zipfile
from collections.abc import Mapping
from typing import Final, NamedTuple

from wasihost.errors import ConfigError
from wasihost.outcomes import printable

LARGEST: Final = 2 << 30
"""Bytes of all files of an archive."""
_FIRST: Final = 315532800  # 1980-01-01, the first that a zip file can have
_LAST: Final = 4354819198  # 2107-12-31


class Packed(NamedTuple):
    """A file of an archive: its content, and whether it is executable."""

    content: bytes
    executable: bool = False


def write_archive(
    target: str, files: Mapping[str, Packed], *, before: bytes = b"", executable: bool = False, last: str = ""
) -> None:
    """Write a zip file in place of an older one, whole or not at all.

    Args:
        target: Its path.
        files: Name -> content.
        before: Bytes at its beginning, such as `#!` and an interpreter.
        executable: Whether the file itself may be executed.
        last: Names that begin with this come last.

    Raises:
        ConfigError: The files are too large, or `SOURCE_DATE_EPOCH` is not a number of seconds.
        OSError: The file cannot be written.
    """
    if (size := sum(len(one.content) for one in files.values())) > LARGEST:
        raise ConfigError(f"{printable(target)}: {size:,} bytes in all, and at most {LARGEST:,} can be packed")
    date = _date()
    parent = os.path.dirname(target) or "."
    os.makedirs(parent, exist_ok=True)
    fd, scratch = tempfile.mkstemp(prefix=".packing-", dir=parent)
    try:
        with open(fd, "w+b") as file:
            file.write(before)
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
                for name in sorted(files, key=lambda name: (bool(last) and name.startswith(last), name)):
                    entry = zipfile.ZipInfo(name, date)
                    entry.compress_type = zipfile.ZIP_DEFLATED
                    entry.create_system = 3  # its permissions are those of POSIX
                    entry.external_attr = (0o100755 if files[name].executable else 0o100644) << 16
                    archive.writestr(entry, files[name].content)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(scratch, (0o777 if executable else 0o666) & ~umask)
        os.replace(scratch, target)
    except BaseException:
        os.unlink(scratch)
        raise


def _date() -> tuple[int, int, int, int, int, int]:
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if text is None:
        return 1980, 1, 1, 0, 0, 0
    if not re.fullmatch("[0-9]{1,12}", text):
        raise ConfigError(f"SOURCE_DATE_EPOCH is a number of seconds since 1970, not {printable(text)!r}")
    given = time.gmtime(min(max(int(text), _FIRST), _LAST))
    return given.tm_year, given.tm_mon, given.tm_mday, given.tm_hour, given.tm_min, given.tm_sec
