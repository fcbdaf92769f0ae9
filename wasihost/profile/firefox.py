"""A profile as JSON in the Firefox Profiler's "processed profile" format, version 55, which Perfetto reads, too.

Samples have their time in ms as weight; calls of the host are markers; memory and written bytes are counters, which
Perfetto leaves out. The profiler converts older versions, so this one stays.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from wasihost.profile.timeline import CATEGORIES, GUEST, category

if TYPE_CHECKING:
    from wasihost.profile import Profile
    from wasihost.profile.report import Part

_VERSION: Final = 55
_COLORS: Final = ("blue", "orange", "magenta", "yellow", "purple", "green")
"""Of `CATEGORIES`."""
_FIRST: Final = 1
"""The index of the first of them in the file; 0 is what is not known."""
_PID: Final = "1"


class _Strings(dict[str, int]):
    """The index of each string."""

    def __missing__(self, text: str) -> int:
        self[text] = number = len(self)
        return number


class _Stacks:
    """The tables of frames and stacks. Each function has one frame."""

    def __init__(self, profile: Profile, strings: _Strings) -> None:
        self._report = profile.report
        self._strings = strings
        self._frames: dict[Part, int] = {}
        self._known: dict[tuple[int | None, int], int] = {}
        self.names: list[int] = []
        self.files: list[int | None] = []
        self.lines: list[int | None] = []
        self.categories: list[int] = []

    def frame(self, part: Part) -> int:
        number = self._frames.get(part)
        if number is None:
            number = self._frames[part] = len(self._frames)
            self.names.append(self._strings[_text(self._report.label(part))])
            place = self._report.places.get(part) if isinstance(part, int) else None
            self.files.append(None if place is None else self._strings[_text(place.file)])
            self.lines.append(None if place is None else place.line)
            kind = GUEST if isinstance(part, int) else category(part)
            self.categories.append(0 if isinstance(part, str) and part.startswith("(") else _FIRST + kind)
        return number

    def stack(self, parts: tuple[Part, ...]) -> int | None:
        at: int | None = None
        for part in parts:
            at = self._known.setdefault((at, self.frame(part)), len(self._known))
        return at

    def tables(self) -> dict[str, Any]:
        count, nothing = len(self.names), [None] * len(self.names)
        return {
            "funcTable": {
                "length": count,
                "name": self.names,
                "isJS": [False] * count,
                "relevantForJS": [False] * count,
                "resource": [-1] * count,
                "fileName": self.files,
                "lineNumber": self.lines,
                "columnNumber": nothing,
            },
            "frameTable": {
                "length": count,
                "address": [-1] * count,
                "inlineDepth": [0] * count,
                "category": self.categories,
                "subcategory": [0] * count,
                "func": list(range(count)),
                "nativeSymbol": nothing,
                "innerWindowID": nothing,
                "line": nothing,
                "column": nothing,
            },
            "stackTable": {
                "length": len(self._known),
                "prefix": [prefix for prefix, _ in self._known],
                "frame": [frame for _, frame in self._known],
            },
        }


def profile_json(profile: Profile) -> str:
    """Return the text of the file."""
    recorder, report = profile.recorder, profile.report
    strings = _Strings()
    stacks = _Stacks(profile, strings)
    stack_of = [stacks.stack(parts) for parts in report.stacks]
    ends = recorder.timeline.end / 1e6
    name = _text(profile.name)
    thread = {
        "name": name,
        "processName": name,
        "processType": "default",
        "isMainThread": True,
        "pid": _PID,
        "tid": _PID,
        "processStartupTime": 0,
        "processShutdownTime": ends,
        "registerTime": 0,
        "unregisterTime": ends,
        "pausedRanges": [],
        "showMarkersInTimeline": True,
        "samples": {
            "length": len(recorder.times),
            "time": [time / 1e6 for time in recorder.times],
            "stack": [stack_of[number] for number in recorder.stack_of],
            "weight": [weight / 1e6 for weight in recorder.weights],
            "weightType": "tracing-ms",
        },
        "markers": _markers(profile, strings),
        **stacks.tables(),
        "nativeSymbols": {"length": 0, "address": [], "functionSize": [], "libIndex": [], "name": []},
        "resourceTable": {"length": 0, "lib": [], "name": [], "host": [], "type": []},
    }
    thread["stringArray"] = list(strings)
    return json.dumps(
        {
            "meta": _meta(profile),
            "libs": [],
            "pages": [],
            "profilerOverhead": [],
            "counters": _counters(profile),
            "threads": [thread],
        },
        separators=(",", ":"),
    )


def _text(text: str) -> str:
    """A text without what is no character: a path that is not UTF-8 has such halves."""
    return text.encode("utf-8", "replace").decode()


def _meta(profile: Profile) -> dict[str, Any]:
    return {
        "version": 24,
        "preprocessedProfileVersion": _VERSION,
        "product": f"wasihost: {_text(profile.name)}",
        "startTime": profile.recorder.wall,
        "interval": profile.recorder.first_interval / 1e6,
        "processType": 0,
        "stackwalk": 1,
        "debug": False,
        "symbolicated": True,
        "pausedRanges": [],
        "usesOnlyOneStackType": True,
        "sourceCodeIsNotOnSearchfox": True,
        "extensions": {"length": 0, "baseURL": [], "id": [], "name": []},
        "sampleUnits": {"time": "ms", "eventDelay": "ms", "threadCPUDelta": "µs"},
        "categories": [
            {"name": name, "color": color, "subcategories": ["Other"]}
            for name, color in (("unknown", "grey"), *zip(CATEGORIES, _COLORS, strict=True))
        ],
        "markerSchema": [
            {
                "name": "HostCall",
                "display": ["marker-chart", "marker-table", "timeline-overview"],
                "tooltipLabel": "{marker.name}",
                "tableLabel": "{marker.name} {marker.data.path}",
                "chartLabel": "{marker.data.path}",
                "description": "A call of the host",
                "fields": [{"key": "path", "label": "Path", "format": "string"}],
            }
        ],
        "extra": [{"label": "wasihost", "entries": _remarks(profile)}],
    }


def _remarks(profile: Profile) -> list[dict[str, str]]:
    return [{"label": "note", "format": "string", "value": note} for note in profile.notes]


def _markers(profile: Profile, strings: _Strings) -> dict[str, Any]:
    spans = sorted(profile.recorder.spans)
    return {
        "length": len(spans),
        "name": [strings[function] for _, _, function, _ in spans],
        "startTime": [start / 1e6 for start, _, _, _ in spans],
        "endTime": [end / 1e6 for _, end, _, _ in spans],
        "phase": [1] * len(spans),
        "category": [_FIRST + category(function) for _, _, function, _ in spans],
        "data": [{"type": "HostCall", "path": _text(path)} for _, _, _, path in spans],
    }


def _counters(profile: Profile) -> list[dict[str, Any]]:
    growth = profile.growth
    made = []
    for name, field, about in (
        ("Memory", "memory", "The guest's memory"),
        ("Written", "written", "Bytes written to files and streams"),
        ("Read", "read", "Bytes read from files and streams"),
    ):
        sizes = [getattr(one, field) for one in growth]
        made.append(
            {
                "name": name,
                "category": "Memory" if name == "Memory" else "Bandwidth",
                "description": about,
                "pid": _PID,
                "mainThreadIndex": 0,
                "samples": {
                    "length": len(growth),
                    "time": [one.seconds * 1e3 for one in growth],
                    "count": [size - before for before, size in zip([0, *sizes], sizes, strict=False)],
                },
            }
        )
    return made
