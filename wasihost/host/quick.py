"""Tells the extension what its quick calls on files and directories of the host need (`wasihost/native/quick.h`).

Rules of this file: it is imported for the first guest with a directory of the host, as no other has a use for it.
"""

from __future__ import annotations

import os
from _heapq import heappop, heappush

from wasi_preview1.types import Rights

from wasihost.common.cache_folder import SEALED
from wasihost.descriptors import rights as kinds
from wasihost.descriptors.base import NO_FLAGS
from wasihost.descriptors.host_directory import HostDirectory, Preopen
from wasihost.descriptors.host_file import SharedFile
from wasihost.descriptors.reserve import reserve
from wasihost.descriptors.table import FdTable
from wasihost.native import extension
from wasihost.sandbox import resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_BOTH: Final = Rights.FD_READ | Rights.FD_WRITE
_LAST: Final = (-1,)


def _adopt(
    table: FdTable, directory: HostDirectory, path: str, held: list[int], mode: int, how: int, rights: int
) -> int:
    """Make a descriptor of the fd in `held`, which was opened at `path` with the flags `how`, and return its number.

    `mode` as from `resolve.open_plain`. Nothing stays in `held` if this raises and has closed it.
    """
    try:
        return table.insert(directory.opened(held[-1], mode, how, rights, NO_FLAGS, path))
    except BaseException:
        table.forget(held)
        list(map(os.close, map(held.pop, _LAST)))
        raise


if extension is not None:
    extension.set_quick(
        (HostDirectory, Preopen),
        SharedFile,
        vars(resolve),
        resolve.by_openat2,
        reserve,
        _adopt,
        heappop,
        heappush,
        NO_FLAGS,
        tuple(kinds.opened(int(kinds.FILE), asked) for asked in (0, Rights.FD_READ, Rights.FD_WRITE, _BOTH)),
        SEALED,
        int(Rights.MASK),
    )
