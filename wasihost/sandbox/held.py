"""How a new descriptor has an owner at every moment, so that none leaks.

A signal handler may raise after any call, and a tracer at any return. A descriptor that is only the result of a
function would leak then. So the caller passes a list of its own, `held`, and the callee puts each new descriptor into
it. The caller closes what is in the list, or hands it on.

Rules of this package. They work because nothing can be raised within one bytecode, or within a call of a C function:

- Open with `held += starmap(...)`: the descriptor is in the list as soon as the system call returns. This costs more
  than a plain call; the only place where that matters is `resolve.open_beneath`.
- Close with `list(map(os.close, held))` in a `finally`, and not in a function or `__exit__` of its own.
"""

from __future__ import annotations

import os
from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class _Openers(dict[int, "Callable[[str, int, int], int]"]):
    """Descriptor of a directory -> `os.open` beneath it, with all arguments by position, as `starmap` passes them."""

    __slots__ = ()

    def __missing__(self, dirfd: int) -> Callable[[str, int, int], int]:
        opener = self[dirfd] = partial(os.open, dir_fd=dirfd)
        return opener


openers: _Openers = _Openers()
