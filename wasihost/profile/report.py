"""The numbers of a profile, made of what was recorded.

Rules of this file: names of functions and paths come from the guest; they stay as they are here, and whatever shows
them escapes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from wasihost.engines.values import CUT
from wasihost.profile.recorder import ELSEWHERE, NO_CALL

if TYPE_CHECKING:
    from wasihost.binary.function_names import FunctionNames
    from wasihost.errors import Place
    from wasihost.profile.recorder import Recorder
    from wasihost.profile.timeline import Slice

LEFT_OUT: Final = "(frames left out)"
NOT_SAMPLED: Final = "(not sampled)"
_PLACED: Final = 100
"""Functions whose place in the source is looked up: those with the most time."""

Part: TypeAlias = int | str
"""A frame of a stack: the index of a guest's function, or the name of the host's function that it called."""


class FunctionTime(NamedTuple):
    """A function of the guest, or of the host in the guest's stacks.

    `seconds` is the time in the function itself, `total` includes what it called. `samples` is how many samples found
    it at the end of a stack. `place` is where it begins in the source, if the module has debug information. A name in
    parentheses, such as "(not sampled)", is not a function.
    """

    name: str
    host: bool
    seconds: float
    total: float
    samples: int
    place: Place | None = None


class CallTime(NamedTuple):
    """The calls of one function of the host with one path.

    `path` is the guest's, "" for calls that are about none; `mount` is that of the path. `seconds` is the time of all
    calls, `longest` of the longest one. `failed` is how many ended with an errno. `read` and `written` are bytes.
    """

    function: str
    path: str
    mount: str
    calls: int
    failed: int
    seconds: float
    longest: float
    read: int
    written: int


class Growth(NamedTuple):
    """What there was at `seconds` since the profile began: bytes of memory, and bytes read and written until then."""

    seconds: float
    memory: int
    read: int
    written: int


class Report(NamedTuple):
    """What a profile shows."""

    names: dict[int, str]
    """Of functions of the guest, by index."""
    stacks: list[tuple[Part, ...]]
    weights: list[int]
    """ns of each stack."""
    functions: tuple[FunctionTime, ...]
    calls: tuple[CallTime, ...]
    growth: tuple[Growth, ...]
    slices: list[Slice]
    width: int
    notes: tuple[str, ...]
    places: dict[int, Place]
    """Of the functions with the most time, by index, in the source."""

    def label(self, part: Part) -> str:
        """The readable name of a frame."""
        if isinstance(part, str):
            return part
        return LEFT_OUT if part == CUT else self.names.get(part) or f"function {part}"


def make(recorder: Recorder, names: FunctionNames) -> Report:
    """Compute everything from what was recorded until now."""
    stacks: list[tuple[Part, ...]] = [
        (*frames, *([] if called == NO_CALL else [called])) or (NOT_SAMPLED,) for frames, called in recorder.stacks
    ]
    weights, samples = [0] * len(stacks), [0] * len(stacks)
    for number, weight in zip(recorder.stack_of, recorder.weights, strict=True):
        weights[number] += weight
        samples[number] += 1
    indices = {part for stack in stacks for part in stack if isinstance(part, int) and part != CUT}
    report = Report(
        names.find(indices),
        stacks,
        weights,
        (),
        _calls(recorder),
        _growth(recorder),
        recorder.timeline.slices(),
        recorder.timeline.width,
        _notes(recorder),
        {},
    )
    nameless = len(indices) - len(report.names)
    if nameless:
        report = report._replace(
            notes=(
                *report.notes,
                f"{nameless:,} functions have no name in the module: link it without stripping it (-s) to see names",
            )
        )
    return _with_functions(report, samples, names)


def _with_functions(report: Report, samples: list[int], names: FunctionNames) -> Report:
    own: dict[Part, int] = {}
    total: dict[Part, int] = {}
    count: dict[Part, int] = {}
    for stack, weight, number in zip(report.stacks, report.weights, samples, strict=True):
        last = stack[-1]
        own[last] = own.get(last, 0) + weight
        count[last] = count.get(last, 0) + number
        for part in set(stack):
            total[part] = total.get(part, 0) + weight
    order = sorted(total, key=lambda part: (-own.get(part, 0), -total[part], report.label(part)))
    places = names.places([part for part in order if isinstance(part, int)][:_PLACED])
    functions = tuple(
        FunctionTime(
            report.label(part),
            isinstance(part, str) and part[0] != "(",
            own.get(part, 0) / 1e9,
            total[part] / 1e9,
            count.get(part, 0),
            places.get(part) if isinstance(part, int) else None,
        )
        for part in order
        if part != CUT
    )
    return report._replace(functions=functions, places=places)


def _calls(recorder: Recorder) -> tuple[CallTime, ...]:
    made = [
        CallTime(*key, row.calls, row.failed, row.time / 1e9, row.longest / 1e9, row.read, row.written)
        for key, row in recorder.rows.items()
    ]
    return tuple(sorted(made, key=lambda one: (-one.seconds, *one[:3])))


def _growth(recorder: Recorder) -> tuple[Growth, ...]:
    made = []
    read = written = 0
    slices, width = recorder.timeline.slices(), recorder.timeline.width
    memory = next((one.memory for one in slices if one.memory), 0)
    for at, one in enumerate(slices):
        memory = one.memory or memory
        read, written = read + one.read, written + one.written
        made.append(Growth((at + 1) * width / 1e9, memory, read, written))
    return tuple(made)


def _notes(recorder: Recorder) -> tuple[str, ...]:
    """What is left out, as sentences."""
    found = []
    if not recorder.readable:
        found.append("this version of the engine writes its samples in a form that is not known here: there are none")
    if recorder.stacks_omitted:
        found.append(
            f"{recorder.stacks_omitted:,} samples have stacks of which there were too many: they are shown "
            f"as {NOT_SAMPLED}"
        )
    if any(CUT in frames for frames, _ in recorder.stacks):
        found.append(f"the middle of deep stacks is not kept: {LEFT_OUT}")
    elsewhere = sum(row.calls for (_, path, _), row in recorder.rows.items() if path == ELSEWHERE)
    if elsewhere:
        found.append(f"{elsewhere:,} calls are about further paths: {ELSEWHERE}")
    if recorder.short_calls:
        found.append(
            f"{recorder.short_calls:,} calls shorter than {recorder.short / 1000:,.0f} us are not shown one by "
            "one; the tables and the sums have them"
        )
    if recorder.interval > recorder.first_interval:
        found.append(
            f"the guest ran long, or its stacks were deep: in the end a sample was taken every "
            f"{recorder.interval / 1e6:,.0f} ms"
        )
    return tuple(found)
