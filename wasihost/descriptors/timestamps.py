"""From the guest's `fstflags` to the two times that utimensat(2) takes."""

from __future__ import annotations

from wasi_preview1.errors import WasiError
from wasi_preview1.types import Errno, Fstflags

from wasihost.sandbox.times import UTIME_NOW, UTIME_OMIT


def stamps(atim: int, mtim: int, which: Fstflags) -> tuple[int, int]:
    """The access and modification time in ns, or `UTIME_NOW`, or `UTIME_OMIT`.

    Raises INVAL if the flags ask for both a given time and the current one.
    """
    return (
        _stamp(atim, which & Fstflags.ATIM, which & Fstflags.ATIM_NOW),
        _stamp(mtim, which & Fstflags.MTIM, which & Fstflags.MTIM_NOW),
    )


def _stamp(time: int, given: int, now: int) -> int:
    if given and now:
        raise WasiError(Errno.INVAL)
    return time if given else UTIME_NOW if now else UTIME_OMIT
