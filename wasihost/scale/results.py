"""What `wasihost.map` returns for one input: how its run ended, or the error that ended it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wasihost.outcomes import outcome

if TYPE_CHECKING:
    from wasihost.embedding.run import CompletedProcess
    from wasihost.stats import Stats
    from wasihost.vfs.changes import Changes


class MapResult:
    """How the run of one input ended.

    `input` is the input itself, `index` its number, from 0. `completed` is the `CompletedProcess` of a run that came to
    its end; else `error` is the exception that ended it. `attempts` says how often it was run.

    `returncode`, `stdout`, `stderr`, `files`, `stats` and `args` are those of the run. Of a run that an error ended
    they are what there was until then, as the error carries it; then `returncode` is None.
    """

    __slots__ = ("attempts", "completed", "error", "index", "input")

    def __init__(
        self,
        index: int,
        input: Any,
        completed: CompletedProcess[Any, Any, Any] | None,
        error: BaseException | None = None,
        attempts: int = 1,
    ) -> None:
        self.index: int = index
        self.input: Any = input
        self.completed: CompletedProcess[Any, Any, Any] | None = completed
        self.error: BaseException | None = error
        self.attempts: int = attempts

    @property
    def ok(self) -> bool:
        """Whether it ran to its end and the exit status is 0."""
        return self.completed is not None and self.completed.returncode == 0

    @property
    def returncode(self) -> int | None:
        """The exit status; None if an error ended the run."""
        return None if self.completed is None else self.completed.returncode

    @property
    def args(self) -> list[str] | None:
        """The argument vector."""
        return self._of_run("args")  # type: ignore[no-any-return]

    @property
    def stdout(self) -> Any:
        """What the guest wrote to standard output; None if that was not kept."""
        return self._of_run("stdout")

    @property
    def stderr(self) -> Any:
        """What the guest wrote to standard error; None if that was not kept."""
        return self._of_run("stderr")

    @property
    def files(self) -> Changes | None:
        """The changes to the files in memory; None if there were none."""
        return self._of_run("files")  # type: ignore[no-any-return]

    @property
    def stats(self) -> Stats | None:
        """What the guest used."""
        return self._of_run("stats")  # type: ignore[no-any-return]

    def _of_run(self, name: str) -> Any:
        if self.completed is not None:
            return getattr(self.completed, name)
        made = outcome(self.error) if self.error is not None else None
        return getattr(made, name, None)

    def __repr__(self) -> str:
        end = f"returncode={self.returncode}" if self.error is None else f"error={self.error!r}"
        return f"<MapResult {self.index} of {short(self.input)}: {end}>"


def short(input: object) -> str:
    """An input as messages name it: its repr, of at most 60 characters."""
    from wasihost.outcomes import printable

    text = repr(input[:60] if isinstance(input, (str, bytes)) else input)
    return printable(text if len(text) <= 60 else text[:57] + "...")
