"""What the stub of each function does: raw numbers in, typed values to the handler, its result back to memory.

Rules of this file: as in `python_types`, decisions only. One `Step` is one argument; its `kind` names the part of the
template that writes it. Raw names end in `_at` (an address), `_len` (a length or a count) or `_raw` (a number that has
to be checked).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from witxgen import names
from witxgen.abi import ok_types, outcome, signature
from witxgen.layout import size_align
from witxgen.model import (
    Builtin,
    Document,
    Enum,
    Flags,
    Function,
    Handle,
    List,
    Module,
    Param,
    Pointer,
    Record,
    Ref,
    String,
    Type,
    TypeDef,
    Variant,
    strip,
)
from witxgen.python_types import (
    annotation,
    codec,
    core_char,
    is_buffer,
    is_byte,
    is_length_of,
    number_char,
    owner,
    plan_record,
    points_at_bytes,
    refusal,
    refuse_nameless,
    table,
)

INVALID_NAMES = ("inval", "invalid_argument", "einval")
BAD_TEXT_NAMES = ("ilseq", "invalid_encoding", *INVALID_NAMES)
"""The cases of an error enum that report a bad value and bad UTF-8. Where there is none, the guest traps."""

RANGES = {
    "u8": (0, 0xFF),
    "char8": (0, 0xFF),
    "u16": (0, 0xFFFF),
    "s8": (-0x80, 0x7F),
    "s16": (-0x8000, 0x7FFF),
}
"""The values of the builtin types that are narrower than the core number they arrive in."""


@dataclass(frozen=True)
class Raw:
    """One core-wasm parameter: its name and how its canonical value is read."""

    name: str
    char: str  # struct character: I i Q q f d

    @property
    def annotation(self) -> str:
        """Its Python type."""
        return "float" if self.char in "fd" else "int"

    @property
    def canonical(self) -> str:
        """The expression that brings any int to the canonical range."""
        return {"I": "{} & 0xFFFFFFFF", "Q": "{} & 0xFFFFFFFFFFFFFFFF", "i": "s32({})", "q": "s64({})"}.get(
            self.char, "{}"
        ).format(self.name)


@dataclass(frozen=True)
class Step:
    """One argument of the handler."""

    kind: str
    name: str  # the variable that the handler gets
    raw: tuple[str, ...]
    what: str  # "fd_read: iovs", for faults
    table: str = ""
    codec: str = ""
    low: int = 0
    high: int = 0
    size: int = 0
    align: int = 0
    const: bool = False
    scratch: str = ""  # a variable of the stub's own


@dataclass(frozen=True)
class StoredResult:
    """One value that is stored through a result pointer."""

    raw: str
    what: str
    size: int
    align: int
    pack: str  # "put_u32" or "_FILESTAT.pack_into", called with (view, at, value); "" where `codec` does it
    codec: str
    starred: bool
    value: str  # "returned" or "returned[0]"
    record: TypeDef | None  # whose layout packs the value


@dataclass(frozen=True)
class FunctionPlan:
    """Everything that the templates need of one function."""

    function: Function
    module: str
    method: str
    raws: tuple[Raw, ...]
    steps: tuple[Step, ...]
    handler_params: tuple[tuple[str, str, str], ...]  # name, annotation, docs
    handler_result: str
    stored: tuple[StoredResult, ...]
    error: TypeDef | None
    invalid: int | None
    bad_text: int | None
    result_char: str | None
    params: tuple[str, ...]
    results: tuple[str, ...]

    @property
    def handler_class_params(self) -> str:
        """The parameters of the handler's method, as text."""
        return ", ".join(["self", *(f"{name}: {kind}" for name, kind, _ in self.handler_params)])

    @property
    def returned(self) -> str:
        """How the handler's result, `%s`, becomes the number that the function returns."""
        match strip(self.function.result.type) if self.function.result else None:
            case Builtin("char"):
                return "ord(%s)"
            case Pointer():
                return "%s.address"
        return "%s"

    @property
    def may_refuse(self) -> bool:
        """Whether an argument can hold a value that its type does not have."""
        return any(step.kind == "pointer" for step in self.steps)

    @property
    def uses_view(self) -> bool:
        """Whether the stub looks at memory itself."""
        return any(a.pack for a in self.stored) or any(s.kind in ("text", "region", "buffers") for s in self.steps)

    @property
    def uses_guest(self) -> bool:
        """Whether the stub needs the guest at all."""
        known = any(s.kind in ("text", "region", "buffers", "list", "pointer", "value") for s in self.steps)
        return known or bool(self.stored) or self.error is not None


@dataclass(frozen=True)
class CallPlan:
    """The record of one function's calls."""

    cls: str
    group: str  # the class of the handler
    plan: FunctionPlan
    fields: tuple[tuple[str, str], ...]  # name, annotation


def plan_calls(functions: Iterable[tuple[str, FunctionPlan]], type_names: Iterable[str]) -> list[CallPlan]:
    """The records of functions that are given with the class of their handler. Types are named in their module, since
    a record may have the name of a type."""
    of_types = re.compile(rf"\b({'|'.join(sorted(type_names)) or '(?!)'})\b")
    taken = {"Call", "ConstPointer", "Pointer"}
    out = []
    for group, plan in functions:
        used: set[str] = set()
        fields = [
            (names.call_field_name(name, used), of_types.sub(r"types.\1", kind))
            for name, kind, _ in plan.handler_params
        ]
        out.append(CallPlan(names.call_class_name(plan.method, taken), group, plan, tuple(fields)))
    return out


def method_names(document: Document) -> dict[tuple[str, str], str]:
    """(module, function) -> method; a name that another module has already used gets its module in front."""
    taken: set[str] = set()
    out = {}
    for module in document.modules:
        for function in module.functions:
            method = names.function_name(function.name)
            if method in taken and len(document.modules) > 1:
                method = names.function_name(f"{module.name}_{function.name}")
            out[module.name, function.name] = names.local_name(method, taken)
    return out


def plan_function(module: Module, function: Function, method: str) -> FunctionPlan:
    """The plan of one function. WitxError where the ABI cannot return its result, or Python cannot express it."""
    raws: list[Raw] = []
    steps: list[Step] = []
    shown: list[tuple[str, str, str]] = []
    error, values = _result_types(function)
    local = _Locals(function)
    params = list(function.params)
    while params:
        param = params.pop(0)
        refuse_nameless(function.span, f"{method}: {param.name}", param.type)
        length = params.pop(0) if params and _pairs(param, params[0]) else None
        step, more, kind = _step(f"{method}: {param.name}", local, param, length)
        steps.append(step)
        raws += more
        shown.append((step.name, kind, param.docs))
    stored, result = _stored_results(function, method, local, values)
    raws += [Raw(a.raw, "I") for a in stored]
    core = signature(function)
    result_char = None
    if core.results:
        own = core_char(function.result.type) if function.result and values is None else None
        result_char = own or ("Q" if core.results[0] == "i64" else "I")
    if function.noreturn:
        result = "NoReturn"
    return FunctionPlan(
        function=function,
        module=module.name,
        method=method,
        raws=tuple(raws),
        steps=tuple(steps),
        handler_params=tuple(shown),
        handler_result=result,
        stored=tuple(stored),
        error=error,
        invalid=_case(error, INVALID_NAMES),
        bad_text=_case(error, BAD_TEXT_NAMES),
        result_char=result_char,
        params=core.params,
        results=core.results,
    )


def _pairs(param: Param, following: Param) -> bool:
    return points_at_bytes(param.type) and is_length_of(param.name, following.name, following.type)


class _Locals:
    """The variables of one stub: those of the handler's parameters first, then what raw numbers are called."""

    def __init__(self, function: Function) -> None:
        self.taken = set(names.LOCAL_NAMES)
        self.params = {p.name: names.local_name(names.value_name(p.name), self.taken) for p in function.params}

    def raw(self, name: str, ending: str) -> str:
        """`fd` and `raw` -> `fd_raw`."""
        return names.local_name(f"{name.rstrip('_')}_{ending}", self.taken)


def _step(what: str, local: _Locals, param: Param, length: Param | None) -> tuple[Step, list[Raw], str]:
    """The step of one parameter, the raw numbers it takes, and the annotation the handler sees."""
    name, type_ = local.params[param.name], param.type
    if length is not None:
        at, count = local.raw(name, "at"), local.params[length.name]
        return Step("region", name, (at, count), what), [Raw(at, "I"), Raw(count, "I")], "memoryview"
    shown = annotation(type_)
    match strip(type_):
        case Builtin("bool"):
            return Step("bool", name, (raw := local.raw(name, "raw"),), what), [Raw(raw, "I")], shown
        case Builtin("char"):
            return Step("char", name, (raw := local.raw(name, "raw"),), what), [Raw(raw, "I")], shown
        case Builtin(number):
            char = core_char(type_) or ""
            if number in RANGES:
                low, high = RANGES[number]
                return Step("range", name, (name,), what, low=low, high=high), [Raw(name, char)], shown
            return Step("number", name, (name,), what), [Raw(name, char)], shown
        case Handle():
            return Step("number", name, (name,), what), [Raw(name, "I")], shown
        case (Enum() | Flags()) as numbered if isinstance(type_, Ref):
            char = "Q" if isinstance(numbered, Flags) and numbered.repr == "u64" else "I"
            raw = local.raw(name, "raw")
            return Step("table", name, (raw,), what, table=table(owner(type_))), [Raw(raw, char)], shown
        case Pointer(target, const):
            at = local.raw(name, "at")
            return Step("pointer", name, (at,), what, codec=codec(target), const=const), [Raw(at, "I")], shown
        case String():
            form, elements = "text", ""
        case List(element):
            form = "region" if is_byte(element) else "buffers" if is_buffer(element) else "list"
            elements = codec(element)
        case _:  # a record or a variant, by its address
            size, align = size_align(type_).size, size_align(type_).align
            at = local.raw(name, "at")
            step = Step("value", name, (at,), what, codec=codec(type_), size=size, align=align)
            return step, [Raw(at, "I")], shown
    at, count = local.raw(name, "at"), local.raw(name, "len")
    scratch = local.raw(name, "bytes") if form == "text" else ""
    step = Step(form, name, (at, count), what, codec=elements, scratch=scratch)
    return step, [Raw(at, "I"), Raw(count, "I")], shown


def _result_types(function: Function) -> tuple[TypeDef | None, list[Type] | None]:
    """The error enum, and the values that go through pointers; None where the value is returned itself."""
    if function.result is None:
        return None, []
    sides = outcome(function.result.type)
    if sides is None or isinstance(strip(function.result.type), Enum):
        return None, None
    if not isinstance(sides.err, Ref) or not isinstance(strip(sides.err), Enum):
        problem = "has no type" if sides.err is None else "is not an enum"
        message = f"the error of `{function.name}` {problem}"
        raise refusal(function.span, message, "name an enum of the errors, so that a handler can say which")
    values = list(ok_types(function.result.type))
    for type_ in values:
        refuse_nameless(function.span, function.name, type_)
    return owner(sides.err), values


def _stored_results(
    function: Function, method: str, local: _Locals, values: list[Type] | None
) -> tuple[list[StoredResult], str]:
    if values is None:
        assert function.result is not None
        return [], annotation(function.result.type)
    many = len(values) > 1
    stored = []
    for i, type_ in enumerate(values):
        suffix = f"_{i}" if many else ""
        if isinstance(strip(type_), (List, String)) or is_buffer(type_):
            raise refusal(
                function.span,
                f"`{function.name}` returns a list or text",
                "take a buffer as a parameter: the ABI has no allocator in the guest",
            )
        place = size_align(type_)
        pack, starred, expression, record = "", False, "", None
        char = number_char(type_)
        bare = strip(type_)
        if char is not None:
            pack = f"put_{char}"
        elif isinstance(bare, Record) and isinstance(type_, Ref) and plan_record(owner(type_)).starred:
            record = owner(type_)
            pack, starred = f"{names.constant_name(record.name)}_LAYOUT.pack_into", True
        elif isinstance(bare, (Record, Variant, Pointer, Builtin)):
            expression = codec(type_)
        raw = local.raw("result", f"{i}_at" if many else "at")
        stored.append(
            StoredResult(
                raw=raw,
                what=f"{method}: result{suffix}",
                size=place.size,
                align=place.align,
                pack=pack,
                codec=expression,
                starred=starred,
                value=f"returned[{i}]" if many else "returned",
                record=record,
            )
        )
    kinds = [annotation(type_) for type_ in values]
    result = f"tuple[{', '.join(kinds)}]" if many else kinds[0] if kinds else "None"
    return stored, result


def _case(error: TypeDef | None, wanted: tuple[str, ...]) -> int | None:
    if error is None or not isinstance(error.type, Enum):
        return None
    cases = [case.name for case in error.type.cases]
    return next((cases.index(name) for name in wanted if name in cases), None)
