"""How many guests a thread is inside, and that they end in the right order.

The engine keeps one record of a thread's guests, last in, first out. Greenlets share a thread and its stack: one may
wait while its guest is in a function of the embedder's, but another one may not enter a guest meanwhile. The guest that
ends first would not be the one that was entered last, and the engine would search the next trap on a stack that is
gone.
"""

from __future__ import annotations

import sys
from types import CodeType, FrameType

from wasihost.common.forking import in_forked_child
from wasihost.common.unpatched import threading
from wasihost.native import extension

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

MOST = 8
"""How many stores may be entered within each other. Each may use half a MiB of the thread's stack, of often 8 MiB."""


class _Nested(threading.local):
    count = 0


class _Counted:
    """What the extension counts."""

    @property
    def count(self) -> int:
        from wasihost.native import _native

        return _native.get_nested()

    @count.setter
    def count(self, count: int) -> None:
        from wasihost.native import _native

        _native.set_nested(count)


nested: _Nested | _Counted = _Nested() if extension is None else _Counted()
"""`count` is how many stores this thread has entered."""
if extension is not None:
    in_forked_child(extension.forked)


def check(first: bool, entering: Container[CodeType]) -> None:
    """Raises RecursionError for one store more (`first`) than may be, and RuntimeError if the guest that this thread
    is within belongs to another greenlet: no call of a function of `entering` is below the caller's then."""
    if "greenlet" in sys.modules:
        frame: FrameType | None = sys._getframe(2)
        while frame is not None and frame.f_code not in entering:
            frame = frame.f_back
        if frame is None:
            raise RuntimeError(
                "another greenlet of this thread is within a guest: run each in a thread of its own, such as "
                "gevent.get_hub().threadpool.apply(wasihost.run, ...)"
            )
    if first and nested.count >= MOST:
        raise RecursionError(f"guests that call guests are nested more than {MOST} deep")
