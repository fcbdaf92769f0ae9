"""What there was of a guest when it ended by an exception: its output, its files, what it had used.

Rules of this file: no import from the rest of the package, and nothing here may replace the exception that is on its
way: what cannot be told is left out. What a guest wrote is escaped before it becomes part of a message.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wasihost.stats import Stats
    from wasihost.vfs.changes import Changes

_ATTRIBUTE = "_wasihost_outcome"
_LINES, _CHARACTERS = 20, 2000
"""How much of the guest's standard error messages show: so many of the last lines, of so many characters in all."""


class Outcome:
    """What there was of a guest when an exception ended its run or its call.

    `args` is its argument vector; `stdout` and `stderr` are what was captured until then, str or bytes as the run was
    asked for, None where nothing was captured. Bytes that are no text become U+FFFD here. `truncated` names captured
    streams that it wrote more to than is kept; `stats` is what it had used. `outer` is the outcome of the guest whose
    host function called this one, if the same exception ended that one too.
    """

    __slots__ = ("_files", "_made", "_note", "_owner", "args", "outer", "stats", "stderr", "stdout", "truncated")

    def __init__(
        self,
        args: Sequence[str] = (),
        stdout: Any = None,
        stderr: Any = None,
        *,
        files: Callable[[], Changes | None] | Changes | None = None,
        truncated: tuple[str, ...] = (),
        stats: Stats | None = None,
        owner: object = None,
    ) -> None:
        self.args = tuple(args)
        self.stdout = stdout
        self.stderr = stderr
        self.truncated = truncated
        self.stats = stats
        self.outer: Outcome | None = None
        self._files = files
        self._owner = owner
        self._made = time.monotonic_ns()
        self._note: str | None = None

    @property
    def files(self) -> Changes | None:
        """What became of the files in memory: as the run left them, or, for a call of an instance that lives on, as
        they are when this is first asked for. None where there are none. Raises what loading a lazy file raises."""
        if callable(self._files):
            self._files = self._files()
        return self._files

    def read_files(self) -> None:
        """Look at the files now, before anybody changes them. Those that cannot be read now are read when asked for."""
        with suppress(Exception):
            _ = self.files

    def last_words(self) -> str:
        """The end of what was captured of standard error, in printable lines; empty if that is nothing."""
        return last_words(self.stderr)

    def __getstate__(self) -> tuple[object, ...]:
        self.read_files()
        files = None if callable(self._files) else self._files
        return self.args, self.stdout, self.stderr, self.truncated, self.stats, self.outer, files, self._note

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._owner, self._made = None, 0
        self.args, self.stdout, self.stderr, self.truncated, self.stats, self.outer, self._files, self._note = state

    def __repr__(self) -> str:
        parts = [f"args={self.args!r}"]
        parts += [f"{name}={value!r}" for name in ("stdout", "stderr") if (value := getattr(self, name)) is not None]
        return f"Outcome({', '.join(parts)})"


def outcome(error: BaseException) -> Outcome | None:
    """What there was of the guest that `error` ended: for every exception that came out of `run`, `run_async` or an
    instance's calls, those of your own objects and KeyboardInterrupt included. None for one that ended no guest."""
    found = getattr(error, _ATTRIBUTE, None)
    return found if isinstance(found, Outcome) else None


def attach(error: BaseException, made: Outcome, *, begun: int = 0, note: bool = True) -> None:
    """Let `error` carry the outcome of a guest whose call began at `begun` (ns of `time.monotonic_ns`).

    An outcome that the error got since then is that of a guest below, which stays the first; one from before belongs to
    an earlier run that raised the same object, and is replaced. With `note`, what the guest said last becomes a note.
    """
    before = outcome(error)
    if before is not None and before._owner is not made._owner and before._made >= begun:
        while before.outer is not None and before.outer._owner is not made._owner:
            before = before.outer
        before.outer = made
        return
    if before is not None and before._note is not None:
        with suppress(Exception):
            error.__notes__.remove(before._note)
    with suppress(Exception):  # an exception whose class forbids it goes without
        BaseException.__setattr__(error, _ATTRIBUTE, made)
        if note and (words := made.last_words()):
            error.add_note(f"the guest's last words on standard error:\n{words}")
            made._note = error.__notes__[-1]


def last_words(text: Any) -> str:
    """The last lines of what a guest wrote, indented and printable."""
    if not text:
        return ""
    end = text[-_CHARACTERS - 1 :]
    shown = end if isinstance(end, str) else bytes(end).decode("utf-8", "replace")
    lines = shown.rstrip().splitlines()
    if lines and len(text) > _CHARACTERS:
        lines[0] = f"...{lines[0]}"
    return "\n".join(f"  {printable(line)}" for line in lines[-_LINES:])


def printable(text: str) -> str:
    """`text` on one line, without anything that a terminal would act on: the rest as Python writes it, `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
