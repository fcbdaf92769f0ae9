"""The file of a cassette: lines of JSON. A header, then for each guest its arguments, its calls and their number.

    {"wasihost-cassette": 1}
    {"guest": ["--verbose"]}
    {"call": "fd_write", "args": {"fd": 1, "iovs": "hello\\n"}, "result": 6, "to": "stdout"}
    {"end": 1}

Rules of this file: a file is replaced as a whole, when a guest has ended, so a half of an episode is never there. What
is in it is looked at once when it is opened: the lines of an episode are read one by one while it is replayed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from typing import Any, NamedTuple

from wasihost.cassettes.errors import CassetteError

VERSION = 1
_HEADER = "wasihost-cassette"
_LONGEST = 1 << 30


class Episode(NamedTuple):
    """One guest on a cassette."""

    args: list[Any]
    line: int
    """The number of its first call's line."""
    offset: int
    """Where in the file that line begins."""
    calls: int


def header() -> str:
    """The first line."""
    return json.dumps({_HEADER: VERSION}) + "\n"


def read(path: str, line: bytes, number: int) -> dict[str, Any]:
    """The object in a line. CassetteError if there is none."""
    try:
        found = json.loads(line)
    except ValueError as error:
        raise damaged(path, number, f"it is no JSON ({error})") from None
    if not isinstance(found, dict):
        raise damaged(path, number, "it is no object")
    return found


def damaged(path: str, number: int, problem: str) -> CassetteError:
    """The error for a file that was changed, or written in part."""
    return CassetteError(f"the cassette {path} is damaged in line {number}: {problem}; record it again")


def episodes(path: str) -> list[Episode]:
    """Return what is on a cassette. CassetteError if the file is none, or not whole; OSError if it cannot be read."""
    found: list[Episode] = []
    begun: Episode | None = None
    with open(path, "rb") as file:
        first = read(path, file.readline(_LONGEST), 1)
        if _HEADER not in first:
            raise CassetteError(f"{path} is not a cassette: it begins with {str(first)!r:.60}")
        if first[_HEADER] != VERSION:
            raise CassetteError(
                f"the cassette {path} has version {first[_HEADER]!r:.20}, and this is {VERSION}: record it again"
            )
        offset, number = file.tell(), 1
        for line in file:
            number += 1
            offset += len(line)
            if not line.endswith(b"\n"):
                raise damaged(path, number, "it has no end")
            if line.startswith(b'{"guest"'):
                args = read(path, line, number).get("guest")
                if begun is not None or not isinstance(args, list):
                    raise damaged(path, number, "a guest begins before the last one has ended")
                begun = Episode(args, number + 1, offset, 0)
            elif line.startswith(b'{"end"'):
                if begun is None or read(path, line, number).get("end") != number - begun.line:
                    raise damaged(path, number, "calls are missing before it")
                found.append(begun._replace(calls=number - begun.line))
                begun = None
            elif begun is None:
                raise damaged(path, number, "no guest has begun")
        if begun is not None:
            raise damaged(path, number, "the last guest has no end")
    return found


def calls(path: str, episode: Episode) -> Iterator[tuple[int, dict[str, Any]]]:
    """The calls of an episode with the numbers of their lines."""
    with open(path, "rb") as file:
        file.seek(episode.offset)
        for number in range(episode.line, episode.line + episode.calls):
            yield number, read(path, file.readline(_LONGEST), number)


def add(path: str, part: str, *, replace: bool) -> None:
    """Put the file `part`, a whole cassette of one episode, at the end of a cassette, or in its place."""
    if not replace and os.path.exists(path):
        joined = part + ".joined"
        try:
            shutil.copyfile(path, joined)
            with open(part, "rb") as new, open(joined, "ab") as file:
                new.readline()
                shutil.copyfileobj(new, file)
            os.replace(joined, path)
        except BaseException:
            remove(joined)
            raise
        remove(part)
    else:
        os.replace(part, path)


def remove(path: str) -> None:
    """Remove a file, if it is there."""
    try:
        os.remove(path)
    except FileNotFoundError:
        pass
