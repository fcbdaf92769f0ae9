"""Where the time of a run went: functions of the guest, calls of the host, memory and files.

`run("tool.wasm", profile="profile.html")` writes a page; `run(..., profile=Profile())` fills an object to look at.

    recorder   what is recorded while the guest runs
    timeline   the time in slices
    hook       how calls of the host reach the recorder
    session    one profiled guest: what `Instance` calls
    report     the numbers
    flame      the stacks as a tree
    firefox    as JSON for the Firefox Profiler and Perfetto
    page       as a page of HTML

Rules of this package: nothing of it is imported by a run without `profile`. Everything that a guest chooses (names,
paths, how many there are) is bounded and escaped.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wasihost.errors import ConfigError
from wasihost.profile.report import CallTime, FunctionTime, Growth

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasihost.binary.function_names import FunctionNames
    from wasihost.profile.recorder import Recorder
    from wasihost.profile.report import Report

__all__ = ["CallTime", "FunctionTime", "Growth", "Profile"]


class Profile:
    """Where the time of one run went: pass it as `profile=`, and look at it afterwards.

    It can be looked at while the guest lives on, too, between two calls. It belongs to one run, or one instance.

    Args:
        *files: Files to write when the guest is closed, as `write` takes them.

    Raises:
        ConfigError: A name ends in neither `.html` nor `.json`.
    """

    def __init__(self, *files: str | os.PathLike[str]) -> None:
        self.files: tuple[str, ...] = tuple(os.path.abspath(file) for file in files)
        """Paths of the files to write when the guest is closed."""
        for file in self.files:
            writer(file)
        self.name: str = "guest"
        """The module's name."""
        self._recorder: Recorder | None = None
        self._names: FunctionNames | None = None
        self._made: Report | None = None
        self._samples = -1

    def begin(self, name: str, recorder: Recorder, names: FunctionNames) -> None:
        """Take what is recorded of a guest. For `wasihost` itself.

        Raises:
            ConfigError: The profile has a run already.
        """
        if self._recorder is not None:
            raise ConfigError("this profile has a run already: make a Profile for each run")
        self.name, self._recorder, self._names = name, recorder, names

    @property
    def recorder(self) -> Recorder:
        """What was recorded. For `wasihost` itself."""
        if self._recorder is None:
            raise ConfigError("this profile has no run yet: pass it as profile= to run, start or instantiate")
        return self._recorder

    @property
    def report(self) -> Report:
        """The numbers as they are drawn. For `wasihost` itself."""
        from wasihost.profile import report

        recorder = self.recorder
        recorder.collect()
        calls = sum(row.calls for row in recorder.rows.values()) + len(recorder.times)
        if self._made is None or calls != self._samples:
            assert self._names is not None
            self._made, self._samples = report.make(recorder, self._names), calls
        return self._made

    @property
    def seconds(self) -> float:
        """Seconds that the guest ran, with the time in which it called the host."""
        return self.guest_seconds + self.host_seconds

    @property
    def guest_seconds(self) -> float:
        """Seconds of the guest's own code, and of Python functions that it imports."""
        return self.recorder.guest_time / 1e9

    @property
    def host_seconds(self) -> float:
        """Seconds of calls of the host, with the time in which they waited."""
        return self.recorder.host_time / 1e9

    @property
    def overhead_seconds(self) -> float:
        """Seconds that the profile itself took, which are in none of the other numbers."""
        return self.recorder.overhead / 1e9

    @property
    def samples(self) -> int:
        """How many samples of the guest's stack were taken."""
        self.recorder.collect()
        return len(self.recorder.times)

    @property
    def functions(self) -> tuple[FunctionTime, ...]:
        """Functions of the guest, and those of the host in their stacks, by the time in them."""
        return self.report.functions

    @property
    def calls(self) -> tuple[CallTime, ...]:
        """Calls of the host by function, path and mount, by their time."""
        return self.report.calls

    @property
    def growth(self) -> tuple[Growth, ...]:
        """Memory, and bytes read and written, over time."""
        return self.report.growth

    @property
    def notes(self) -> tuple[str, ...]:
        """What is left out, as sentences; empty if nothing is."""
        return self.report.notes

    def to_json(self) -> str:
        """Return the profile in the Firefox Profiler's format, which Perfetto reads, too."""
        from wasihost.profile.firefox import profile_json

        return profile_json(self)

    def to_html(self) -> str:
        """Return the profile as one page of HTML, which needs nothing else."""
        from wasihost.profile.page import page

        return page(self)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the profile to a file, which is replaced as a whole.

        Args:
            path: Its name ends in `.html` or `.json`.

        Raises:
            ConfigError: It has another ending.
            OSError: The file cannot be written.
        """
        target = Path(path)
        text = writer(target)(self)
        made = target.with_name(f"{target.name}.{os.getpid()}.tmp")
        try:
            made.write_text(text, encoding="utf-8")
            os.replace(made, target)
        except BaseException:
            made.unlink(missing_ok=True)
            raise

    def _repr_html_(self) -> str:
        """The page, for notebooks: in a frame that can do nothing to the notebook."""
        from html import escape

        return (
            '<iframe title="profile" sandbox="allow-scripts" style="width:100%;height:48em;border:1px solid #8888" '
            f'srcdoc="{escape(self.to_html())}"></iframe>'
        )

    def __rich_repr__(self) -> Any:
        yield "name", self.name
        if self._recorder is not None:
            for name in ("seconds", "guest_seconds", "host_seconds", "samples"):
                yield name, getattr(self, name)

    def __repr__(self) -> str:
        return f"Profile({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


def writer(path: str | os.PathLike[str]) -> Callable[[Profile], str]:
    """Return what makes the text of a file with this name. ConfigError for a name that ends in nothing known."""
    known = {".html": Profile.to_html, ".json": Profile.to_json}
    found = known.get(os.path.splitext(os.fspath(path))[1].lower())
    if found is None:
        raise ConfigError(f"profile cannot be written as {os.fspath(path)!r}: give a name that ends in .html or .json")
    return found
