"""Descriptors of the host on the way to their owner.

A signal handler may raise after any call, and a tracer at any return. A descriptor that is nothing but the result of a
function is lost then. So whoever wants one gives a list of its own, `held`, and closes what is in it, or leaves that to
whoever it gives the descriptor to.

Rules of this folder, as there is no occasion to raise within one step of Python's or a call of what is written in C:

- What opens does so by `held += starmap(...)`: from the system's call on, the descriptor is in the list.
  It costs more than a plain call: the one place where that would show is `resolve.open_beneath`.
- What closes does so by `list(map(os.close, held))`, in a `finally` and not in a function of its own.
"""

import os
from collections.abc import Callable
from functools import partial


class _Openers(dict[int, Callable[[str, int, int], int]]):
    """`os.open` beneath each directory, by its descriptor, with all arguments by position as `starmap` gives them."""

    __slots__ = ()

    def __missing__(self, dirfd: int) -> Callable[[str, int, int], int]:
        opener = self[dirfd] = partial(os.open, dir_fd=dirfd)
        return opener


openers = _Openers()
