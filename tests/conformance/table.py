"""All cases, and the page for users that is made of them."""

from __future__ import annotations

from pathlib import Path

from wasi_preview1.types import Errno

from tests.conformance import cases_fd, cases_names, cases_open, cases_paths, cases_rename, cases_rw, cases_stat
from tests.conformance.case import Case
from tests.support.raw import abi

PAGE = Path(__file__).resolve().parents[2] / "docs" / "errnos.md"
FUNCTIONS = [name for name in abi()["functions"] if name.startswith(("fd_", "path_"))]
"""What the table is about, in the order of the spec."""

CASES = [
    case
    for module in (cases_paths, cases_fd, cases_open, cases_names, cases_rename, cases_rw, cases_stat)
    for case in module.CASES
]

_HEAD = """\
# Which errno comes when

What the functions on files and directories answer a guest, by function. The page is written from a table of tests by
`make docs`: each line of it is run by a guest on a folder of the host, resolved by `openat2` and by single steps, on
a `MemoryFS` and on an `Overlay` over a folder, and has the same result there unless it says otherwise.

- A pointer that is outside the guest's memory or not aligned is no errno: it ends the run with a trap.
- A call that fails has written nothing into the guest's memory.
- Where several lines apply, any of their errnos may come.
- Errors of the host's file system come through by their name: ACCES, IO, NOSPC, DQUOT and so on. On hosts other than
  Linux some names differ from this page, as their file systems do.
- `creat`, `fd_read`, `symlink_follow` and the like are flags and rights of the spec. A link is a symbolic one.
"""


def page() -> str:
    """The text of docs/errnos.md."""
    parts = [_HEAD]
    for function in FUNCTIONS:
        rows: dict[str, list[str]] = {}
        for case in CASES:
            if case.function == function:
                told = rows.setdefault(case.errno.name, [])
                if (text := _told(case)) not in told:
                    told.append(text)
        parts.append(f"\n## {function}\n\n| errno | when |\n| --- | --- |\n")
        succeeds = rows.pop(Errno.SUCCESS.name, [])
        parts += [f"| {errno} | {'; '.join(told)} |\n" for errno, told in sorted(rows.items())]
        parts += ["\n", *(f"- {text[0].upper()}{text[1:]}.\n" for text in succeeds)] if succeeds else []
    return "".join(parts)


def _told(case: Case) -> str:
    return f"{case.when} ({case.why})" if case.why else case.when
