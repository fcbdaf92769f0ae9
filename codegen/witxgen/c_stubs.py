"""The stubs in C: which numbers, tables, codecs and layouts each step of a `FunctionPlan` uses there.

Rules of this file: as in `stubs`, decisions only, and all of them on top of a `FunctionPlan`, so that both languages do
the same. Text of a spec becomes C here: as a string, or in a comment. Names of C are made of names of Python, which are
ASCII, with something before or after them that no macro has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from witxgen import names
from witxgen.c_values import Member, Shape, Shapes
from witxgen.layout import size_align
from witxgen.model import Builtin, Enum, Pointer, Ref, TypeDef, strip
from witxgen.python_types import plan_record
from witxgen.stubs import FunctionPlan, Raw, Step, StoredResult

RUNTIME = (
    "witx.h",
    "witx_call.h",
    "witx_arguments.c",
    "witx_memory.c",
    "witx_packages.c",
    "witx_python.c",
    "witx_results.c",
    "witx_values.c",
)
"""The runtime of the stubs in C: written by hand and copied unchanged."""

LINE = 120
"""Columns of a line."""

_FIELDS = {"I": "u32", "i": "s32", "Q": "u64", "q": "s64", "f": "f32", "d": "f64"}
"""The member of a `witx_slot` for each `struct` character of a core number."""


@dataclass(frozen=True)
class Layout:
    """A record of numbers, as `witx_store_record` wants it."""

    name: str
    format: str
    size: int
    align: int
    fields: tuple[tuple[str, int], ...]  # struct character and offset


@dataclass(frozen=True)
class Errors:
    """What the stubs refuse by which case of an error enum; -1 where there is none."""

    name: str
    invalid: int
    bad_text: int
    docs: str


@dataclass(frozen=True)
class CFunction:
    """One stub: its statements, and what the table of functions says of it."""

    plan: FunctionPlan
    statements: tuple[str, ...]
    errors: str
    slots: str
    result_slots: str
    refuses_late: bool


@dataclass(frozen=True)
class CPackage:
    """All that `stubs.c` and `native.py` contain."""

    functions: tuple[CFunction, ...]
    tables: tuple[str, ...]
    codecs: tuple[str, ...]
    codec_shapes: tuple[str, ...]  # of each codec; nothing where it is left to Python
    shapes: tuple[Shape, ...]
    classes: tuple[str, ...]
    layouts: tuple[Layout, ...]
    errors: tuple[Errors, ...]


def plan_c(plans: Iterable[FunctionPlan], types: Iterable[TypeDef]) -> CPackage:
    """The stubs in C of these functions; `types` are those of the package."""
    planner = _Planner()
    functions = tuple(planner.function(plan) for plan in plans)
    shapes = Shapes(types)
    of_codecs = tuple(shapes.of(codec) for codec in planner.codecs)
    return CPackage(
        functions,
        tuple(planner.tables | shapes.tables),
        tuple(planner.codecs),
        of_codecs,
        tuple(shapes.all.values()),
        tuple(shapes.classes),
        tuple(planner.layouts.values()),
        tuple(planner.errors.values()),
    )


class _Planner:
    def __init__(self) -> None:
        self.tables: dict[str, None] = {}
        self.codecs: dict[str, None] = {}
        self.layouts: dict[str, Layout] = {}
        self.errors: dict[str, Errors] = {}

    def function(self, plan: FunctionPlan) -> CFunction:
        slots = _Slots(plan.raws)
        statements = [line for step in plan.steps for line in self._step(plan, slots, step)]
        statements.append(_statement("witx_call", "&call"))
        statements += [self._store(slots, i, one) for i, one in enumerate(plan.stored)]
        if plan.error is None and plan.result_char and not plan.function.noreturn:
            statements += _converted(plan)
            ending = f"witx_end_with(&call, slots, '{plan.result_char}')"
        else:
            ending = "witx_end(&call, slots)"
        return CFunction(
            plan,
            (*statements, f"return {ending};"),
            f"&{self._errors(plan, plan.error)}" if plan.error is not None else "NULL",
            "".join(raw.char for raw in plan.raws),
            plan.result_char or "",
            plan.may_refuse and plan.invalid is not None,
        )

    def _codec(self, expression: str) -> str:
        self.codecs.setdefault(expression)
        return f"codecs[{list(self.codecs).index(expression)}] /* {expression} */"

    def _step(self, plan: FunctionPlan, slots: _Slots, step: Step) -> Iterable[str]:
        raw, what = [slots.read(name) for name in step.raw], string(step.what)
        refusing = plan.invalid is None
        match step.kind:
            case "number":
                char = slots.char(step.raw[0])
                function = {"I": "witx_u32", "i": "witx_s32", "Q": "witx_u64", "q": "witx_s64"}.get(char, "witx_float")
                yield _statement(function, "&call", f"{raw[0]} /* {step.name} */")
                return
            case "range":
                yield _statement("witx_narrow", "&call", f"{raw[0]} /* {step.name} */", str(step.low), str(step.high))
            case "bool" | "char":
                yield _statement(f"witx_{step.kind}", "&call", f"{raw[0]} /* {step.name} */")
            case "table":
                self.tables.setdefault(step.table)
                yield _statement("witx_member", "&call", f"&tables[{step.table}]", f"{raw[0]} /* {step.name} */")
            case "text":
                refusing = plan.bad_text is None
                yield _statement("witx_text", "&call", *raw, what)
            case "region":
                yield _statement("witx_bytes", "&call", *raw, what)
                return
            case "buffers":
                yield _statement("witx_buffers", "&call", *raw, what)
            case "list":
                yield _statement("witx_list", "&call", *raw, self._codec(step.codec), what)
                return
            case "pointer":
                function = "witx_const_pointer" if step.const else "witx_pointer"
                yield _statement(function, "&call", *raw, self._codec(step.codec), what)
                return
            case _:
                codec = self._codec(step.codec)
                yield _statement("witx_value", "&call", *raw, f"{step.size}", f"{step.align}", codec, what)
        if refusing:
            yield _statement("witx_trap_if_refused", "&call", what)

    def _store(self, slots: _Slots, index: int, result: StoredResult) -> str:
        at, what = slots.read(result.raw), string(result.what)
        many = result.value != "returned"
        value = f"witx_item(&call, {index})" if many else "call.returned"
        if result.starred:
            layout = self._layout(result)
            return _statement("witx_store_record", "&call", f"&{layout}", at, value, what)
        if result.pack:
            function, value = ("witx_store_item", f"{index}") if many else ("witx_store", value)
            return _statement(function, "&call", f"'{result.pack.removeprefix('put_')}'", at, value, what)
        codec = self._codec(result.codec)
        return _statement("witx_store_value", "&call", at, f"{result.size}", f"{result.align}", codec, value, what)

    def _layout(self, result: StoredResult) -> str:
        definition = result.record
        assert definition is not None
        name = f"{names.constant_name(definition.name)}_LAYOUT"
        if name not in self.layouts:
            place, record = size_align(Ref(definition)), plan_record(definition)
            fields = tuple((leaf.char, leaf.offset) for leaf in record.leaves)
            self.layouts[name] = Layout(name, record.layout, place.size, place.align, fields)
        return name

    def _errors(self, plan: FunctionPlan, error: TypeDef) -> str:
        name = f"{names.constant_name(error.name)}_ERRORS"
        if name not in self.errors:
            cases = error.type.cases if isinstance(error.type, Enum) else ()
            said = [cases[number].name for number in (plan.invalid, plan.bad_text) if number is not None]
            invalid, bad_text = (-1 if number is None else number for number in (plan.invalid, plan.bad_text))
            self.errors[name] = Errors(name, invalid, bad_text, comment(", ".join(said)))
        return name


class _Slots:
    """Where each raw number of a function is."""

    def __init__(self, raws: Sequence[Raw]) -> None:
        self._places = {raw.name: (i, raw.char) for i, raw in enumerate(raws)}

    def read(self, name: str) -> str:
        index, char = self._places[name]
        return f"slots[{index}].{_FIELDS[char]}"

    def char(self, name: str) -> str:
        return self._places[name][1]


def _converted(plan: FunctionPlan) -> list[str]:
    """What turns a returned value into the number that it stands for, where it is none."""
    match strip(plan.function.result.type) if plan.function.result else None:
        case Builtin("char"):
            return [_statement("witx_ord", "&call")]
        case Pointer():
            return [_statement("witx_address", "&call")]
    return []


def _statement(function: str, *args: str) -> str:
    """A call with these arguments."""
    return _wrapped(f"{function}(", args, ");")


def _wrapped(opening: str, args: Sequence[str], ending: str) -> str:
    """Arguments in brackets, with a line break before each that would not fit, as clang-format sets it."""
    indent = 4
    lines = [opening]
    for i, arg in enumerate(args):
        piece = arg + (", " if i < len(args) - 1 else ending)
        if indent + len((lines[-1] + piece).rstrip()) > LINE and lines[-1] != opening:
            lines[-1] = lines[-1].rstrip()
            lines.append(" " * (4 + len(opening)))
            indent = 0
        lines[-1] += piece
    return "\n".join(lines)


def member(one: Member) -> str:
    """A WitxMember in braces."""
    fields = [f".offset = {one.offset}"]
    fields += [f".character = '{one.character}'"] if one.character else []
    fields += [f".table = &tables[{one.table}]"] if one.table else []
    fields += [f".shape = &{one.shape}"] if one.shape else []
    return f"{{{', '.join(fields)}}}"


def table_entry(*fields: str) -> str:
    """A line of a table in braces, broken as clang-format breaks it."""
    return _wrapped("{", fields, "},")


def string(text: str) -> str:
    """A string literal of C."""
    out = ""
    for byte in text.encode():
        plain = 0x20 <= byte < 0x7F and chr(byte) not in '"\\?'
        out += chr(byte) if plain else f"\\{byte:03o}" if chr(byte) not in '"\\?' else f"\\{chr(byte)}"
    return f'"{out}"'


def comment(text: str) -> str:
    """Text that can stand in a comment: nothing ends it, nothing joins lines."""
    return re.sub(r"[^ -~]|[\\?]", "_", text).replace("*/", "*_").replace("/*", "_*")
