"""From offsets in a module's code to lines of its source, by the module's own DWARF.

Rules of this file: no other file knows pyelftools. A module's debug information is not trusted: if it is wrong, there
are no lines; and reading stops after a time limit, since pyelftools reads everything through `_Stream`.
"""

from __future__ import annotations

import inspect
import io
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from elftools.dwarf.compileunit import CompileUnit
from elftools.dwarf.die import DIE
from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DwarfConfig, DWARFInfo

from wasihost.errors import Place

SECTIONS = frozenset(
    {
        ".debug_info",
        ".debug_abbrev",
        ".debug_str",
        ".debug_line",
        ".debug_line_str",
        ".debug_ranges",
        ".debug_rnglists",
        ".debug_str_offsets",
        ".debug_addr",
    }
)
"""The sections that are needed to find lines."""

_SECONDS = 3.0
"""Seconds of processor time for the lines of one backtrace."""
_LOCALS = 32
"""The most bytes that the declaration of a function's locals may have."""
_DEEP = 64
"""The most levels of inlined functions, and of nested scopes."""

_SCOPES = frozenset(
    {
        "DW_TAG_namespace",
        "DW_TAG_structure_type",
        "DW_TAG_class_type",
        "DW_TAG_union_type",
        "DW_TAG_enumeration_type",
        "DW_TAG_module",
    }
)
"""Scopes of functions that have no addresses themselves."""
_CODE = frozenset({"DW_TAG_subprogram", "DW_TAG_inlined_subroutine", "DW_TAG_lexical_block"})


class _OutOfTime(Exception):
    pass


class _Stream(io.BytesIO):
    """A section that can be read until `until` (of `time.thread_time`)."""

    until = 0.0
    _reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads += 1
        if not self._reads & 0x3F and time.thread_time() > self.until:
            raise _OutOfTime
        return super().read(size)


def places(sections: Mapping[str, bytes], addresses: Sequence[int]) -> dict[int, tuple[Place, ...]]:
    """The source location of each address in the code section: innermost first, if functions were inlined there.

    Unknown addresses are left out, and those that the time was not enough for.
    """
    found: dict[int, tuple[Place, ...]] = {}
    try:
        until = time.thread_time() + _SECONDS
        info = _read(sections, until)
        wanted = set(addresses)
        for unit in info.iter_CUs():
            spans = list(_spans(unit.get_top_DIE()))
            here = sorted(one for one in wanted if any(low <= one < high for low, high in spans))
            if here:
                _look(info, unit, here, found)
                wanted.difference_update(found)
            if not wanted:
                break
    except Exception:  # whatever pyelftools makes of damaged data, or RecursionError, or the time is over
        pass
    return found


def _read(sections: Mapping[str, bytes], until: float) -> DWARFInfo:
    # One parameter for each section that a version knows.
    given: dict[str, Any] = {name: None for name in inspect.signature(DWARFInfo).parameters if name.endswith("_sec")}
    for name in SECTIONS & sections.keys():
        stream = _Stream(sections[name])
        stream.until = until
        given[f"{name[1:]}_sec"] = DebugSectionDescriptor(stream, name, 0, len(sections[name]), 0)
    return DWARFInfo(config=DwarfConfig(True, "wasm32", 4), **given)


def _look(info: DWARFInfo, unit: CompileUnit, addresses: list[int], found: dict[int, tuple[Place, ...]]) -> None:
    """Put the places of one unit's addresses into `found`."""
    files = _Files(info, unit)
    lines = _rows(files, addresses)
    for address, (file, line, column) in lines.items():
        found[address] = (Place(None, file, line, column),)  # should there be no time for the rest
    for address, (file, line, column) in lines.items():
        chain = list(_functions(unit.get_top_DIE(), address))
        if not chain:
            continue
        made = []
        for die in reversed(chain):
            made.append(Place(_name(die), file, line, column))
            if die.tag == "DW_TAG_inlined_subroutine":
                file = files.name(_number(die, "DW_AT_call_file"))
                line, column = _number(die, "DW_AT_call_line"), _number(die, "DW_AT_call_column")
        found[address] = tuple(made)


class _Files:
    """The line program of a unit, and the files that it names."""

    def __init__(self, info: DWARFInfo, unit: CompileUnit) -> None:
        self.program: Any = info.line_program_for_CU(unit)
        top = unit.get_top_DIE()
        self._folder = _text(top, "DW_AT_comp_dir")

    def name(self, number: int) -> str:
        """The path of the file with this number; empty if there is none."""
        header = self.program.header
        old = header.version < 5
        entries, folders = header.file_entry, header.include_directory
        index = number - 1 if old else number
        if not 0 <= index < len(entries):
            return ""
        entry = entries[index]
        path = _decoded(entry.name)
        inside = entry.dir_index - 1 if old else entry.dir_index
        folder = _decoded(folders[inside]) if 0 <= inside < len(folders) else ""
        return os.path.normpath(os.path.join(self._folder, folder, path)).replace("\\", "/")


def _rows(files: _Files, addresses: Sequence[int]) -> dict[int, tuple[str, int, int]]:
    """The file, line and column of each address that the line program has.

    The engine takes what it put before a function's first instruction (such as looking whether it is to end) for the
    begin of its body, where its locals are declared; that has no line, so it gets the function's first.
    """
    found: dict[int, Any] = {}
    first: dict[int, Any] = {}
    before: Any = None
    for entry in files.program.get_entries() if files.program is not None else ():
        state = entry.state
        if state is None:
            continue
        if before is None:
            for address in addresses:
                if 0 < state.address - address <= _LOCALS:
                    first[address] = state
        elif before.address < state.address:
            for address in addresses:
                if before.address <= address < state.address:
                    found[address] = before
        before = None if state.end_sequence else state
    rows = {**first, **found}
    return {address: (files.name(row.file), row.line, row.column) for address, row in rows.items() if row.line}


def _functions(scope: DIE, address: int, depth: int = 0) -> Iterator[DIE]:
    """The function that holds the address, and those that were inlined there, outermost first."""
    if depth > _DEEP:
        return
    for die in scope.iter_children():
        if die.tag in _CODE:
            if any(low <= address < high for low, high in _spans(die)):
                if die.tag != "DW_TAG_lexical_block":
                    yield die
                yield from _functions(die, address, depth + 1)
                return
        elif die.tag in _SCOPES and die.has_children:
            inner = list(_functions(die, address, depth + 1))
            if inner:
                yield from inner
                return


def _spans(die: DIE) -> Iterator[tuple[int, int]]:
    """The address ranges of a unit, function or block."""
    attributes = die.attributes
    if "DW_AT_ranges" in attributes:
        yield from _ranges(die)
    elif "DW_AT_low_pc" in attributes and "DW_AT_high_pc" in attributes:
        low, high = attributes["DW_AT_low_pc"].value, attributes["DW_AT_high_pc"]
        yield low, high.value if high.form == "DW_FORM_addr" else low + high.value


def _ranges(die: DIE) -> Iterator[tuple[int, int]]:
    unit = die.cu
    lists: Any = die.dwarfinfo.range_lists()
    top = unit.get_top_DIE().attributes.get("DW_AT_low_pc")
    base = top.value if top is not None else 0
    for entry in lists.get_range_list_at_offset(die.attributes["DW_AT_ranges"].value, unit):
        if hasattr(entry, "base_address"):
            base = entry.base_address
        else:
            start = 0 if getattr(entry, "is_absolute", False) else base
            yield start + entry.begin_offset, start + entry.end_offset


def _name(die: DIE) -> str | None:
    """The name of a function. An inlined one, or one that was declared elsewhere, refers to another entry for it."""
    for _ in range(4):
        for attribute in ("DW_AT_linkage_name", "DW_AT_MIPS_linkage_name", "DW_AT_name"):
            if text := _text(die, attribute):
                return text
        further = next((one for one in ("DW_AT_abstract_origin", "DW_AT_specification") if one in die.attributes), None)
        if further is None:
            return None
        die = die.get_DIE_from_attribute(further)
    return None


def _text(die: DIE, attribute: str) -> str:
    found = die.attributes.get(attribute)
    return _decoded(found.value) if found is not None else ""


def _number(die: DIE, attribute: str) -> int:
    found = die.attributes.get(attribute)
    return found.value if found is not None and isinstance(found.value, int) else 0


def _decoded(text: Any) -> str:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text or "")
