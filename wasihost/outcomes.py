"""What a guest left when an exception ended it: its output, its files, what it used.

Rules of this file: it imports nothing of the package. Nothing here may replace the exception that is being raised:
what cannot be read is left out. A guest's output is escaped before it becomes part of a message.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from wasihost.stats import Stats
    from wasihost.vfs.changes import Changes

_ATTRIBUTE = "_wasihost_outcome"
_LINES, _CHARACTERS = 20, 2000
"""How much of the guest's standard error a message shows: the last lines, and characters in all of them."""


class Outcome:
    """What a guest left when an exception ended its run or its call.

    `args` is the argument vector. `stdout` and `stderr` are the output captured so far, str or bytes as the run's
    options say, or None where it was not captured. Bytes that are not text become U+FFFD. `truncated` names the
    captured streams to which the guest wrote more than was kept. `stats` is what it used. `outer` is the outcome of
    the guest whose host function called this one, if the same exception ended that one too.
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
        self.args: tuple[str, ...] = tuple(args)
        self.stdout: Any = stdout
        self.stderr: Any = stderr
        self.truncated: tuple[str, ...] = truncated
        self.stats: Stats | None = stats
        self.outer: Outcome | None = None
        self._files = files
        self._owner = owner
        self._made = time.monotonic_ns()
        self._note: str | None = None

    @property
    def files(self) -> Changes | None:
        """The changes to the files in memory; None if there are none.

        They are as the run left them. After a call of an instance that lives on, they are as they are at the first
        use of this attribute. Raises what loading a lazy file raises.
        """
        if callable(self._files):
            self._files = self._files()
        return self._files

    def read_files(self) -> None:
        """Read the changes now, before the files change again. If that fails, `files` tries again."""
        try:
            _ = self.files
        except Exception:
            pass

    def last_words(self) -> str:
        """Return the end of the captured standard error in printable lines; empty if there is none."""
        return last_words(self.stderr)

    def __getstate__(self) -> tuple[object, ...]:
        self.read_files()
        files = None if callable(self._files) else self._files
        return self.args, self.stdout, self.stderr, self.truncated, self.stats, self.outer, files, self._note

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._owner, self._made = None, 0
        self.args, self.stdout, self.stderr, self.truncated, self.stats, self.outer, self._files, self._note = state

    def _repr_html_(self) -> str:
        """A summary for notebooks."""
        from wasihost.representation import output, table

        rows = [("arguments", " ".join(map(repr, self.args)))]
        if self.truncated:
            rows.append(("cut off", ", ".join(self.truncated)))
        made = table("what the guest left", rows) + output("stdout", self.stdout) + output("stderr", self.stderr)
        for part in (None if callable(self._files) else self._files, self.stats):
            made += part._repr_html_() if part is not None else ""
        return made

    def __rich_repr__(self) -> Iterator[tuple[str, object, object]]:
        """What there is, for rich."""
        yield "args", self.args, ()
        for name in ("stdout", "stderr", "stats", "outer"):
            yield name, getattr(self, name), None
        yield "truncated", self.truncated, ()

    def __repr__(self) -> str:
        parts = [f"args={self.args!r}"]
        parts += [f"{name}={value!r}" for name in ("stdout", "stderr") if (value := getattr(self, name)) is not None]
        return f"Outcome({', '.join(parts)})"


def outcome(error: BaseException) -> Outcome | None:
    """Return what the guest left that `error` ended; None if it ended no guest.

    It works for every exception that `run`, `run_async` or a call of an instance raises, also for KeyboardInterrupt
    and exceptions of your own.
    """
    found = getattr(error, _ATTRIBUTE, None)
    return found if isinstance(found, Outcome) else None


def attach(error: BaseException, made: Outcome, *, begun: int = 0, note: bool = True) -> None:
    """Attach the outcome of a guest whose call began at `begun` (ns of `time.monotonic_ns`) to `error`.

    An outcome that `error` got since then is that of a guest that this one called: it stays the first. An older one
    belongs to an earlier run that raised the same object, and is replaced. With `note`, the last lines of the guest's
    standard error become a note.
    """
    before = outcome(error)
    if before is not None and before._owner is not made._owner and before._made >= begun:
        while before.outer is not None and before.outer._owner is not made._owner:
            before = before.outer
        before.outer = made
        return
    if before is not None and before._note is not None:
        try:
            error.__notes__.remove(before._note)
        except Exception:
            pass
    try:
        BaseException.__setattr__(error, _ATTRIBUTE, made)
        if note and (words := made.last_words()):
            error.add_note(f"the guest's last words on standard error:\n{words}")
            made._note = error.__notes__[-1]
    except Exception:  # an exception whose class forbids it goes without
        pass


def last_words(text: Any) -> str:
    """Return the last lines of a guest's output, indented and printable."""
    if not text:
        return ""
    end = text[-_CHARACTERS - 1 :]
    shown = end if isinstance(end, str) else bytes(end).decode("utf-8", "replace")
    lines = shown.rstrip().splitlines()
    if lines and len(text) > _CHARACTERS:
        lines[0] = f"...{lines[0]}"
    return "\n".join(f"  {printable(line)}" for line in lines[-_LINES:])


def printable(text: str) -> str:
    """Return `text` on one line, with whatever a terminal would act on escaped as Python does it, `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
