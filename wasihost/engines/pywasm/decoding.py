"""From the bytes of a module to what the interpreter runs.

pywasm's own decoder has no bounds: a number may have a million bytes, a function four billion local variables, and each
nested block is a Python call. It also formats every instruction for a log that is off. So modules are read here, into
pywasm's classes.

Rules of this file: modules are not trusted. What is wrong is a ModuleError, never another exception; nothing is
allocated by a number of the module before that number is compared with the bytes that are left. Indices are checked
here, types of operands are not (see `ends`). Instructions that pywasm does otherwise than the specification become
calls of functions of ours, see `mended`.
"""

from __future__ import annotations

from typing import Any

from pywasm import core, opcode

from wasihost.engines.pywasm.expressions import Instruction, expression
from wasihost.engines.pywasm.reader import NOT_HERE, TYPES, ZEROS, Reader
from wasihost.errors import ModuleError

LOCALS = 50_000
"""Local variables that a function may have, as in other engines."""
AT_ONCE = 1 << 20
"""Bytes of code that are read when the module is. Of a module with more, a function is read when it is first called: an
instruction takes a hundred times its size."""


class Code(core.FuncDesc):
    """The code of a function; read when it is first needed, if `read` was not called before."""

    def __init__(self, type: int) -> None:
        self.type = type
        self.at = self.end = 0
        self.zeros: list[core.ValInst] | None = None
        """The first values of its local variables, once it is read."""

    def read(self, module: Decoded) -> list[core.ValInst]:
        """Read the local variables and the instructions. Returns `zeros`."""
        reader = Reader(module.code, self.at, self.end)
        groups = [(reader.number(), reader.value_type()) for _ in range(reader.count(2))]
        total = sum(count for count, _ in groups)
        if total > LOCALS:
            raise ModuleError(f"a function has {total:,} local variables, at most {LOCALS:,} are allowed")
        zeros = [ZEROS[type] for count, type in groups for _ in range(count)]
        count = len(module.types[self.type].args) + total
        self.expr = core.Expr(expression(reader, module, count))
        if reader.at != self.end:
            raise ModuleError("a function has bytes after its end")
        self.zeros = zeros
        return zeros


class Decoded:
    """A module. The lists that are indexed by instructions begin with what is imported."""

    def __init__(self, code: bytes) -> None:
        self.code = code
        self.types: list[core.FuncType] = []
        self.imports: list[core.Import] = []
        self.functions: list[int] = []  # the type of each
        self.codes: list[Code] = []
        self.tables: list[core.TableType] = []
        self.memories: list[core.MemType] = []
        self.globals: list[core.GlobalType] = []
        self.initial: list[core.GlobalDesc] = []
        self.own_tables: list[core.TableType] = []
        self.own_memories: list[core.MemType] = []
        self.exports: list[core.ExportDesc] = []
        self.elements: list[core.ElemDesc] = []
        self.data: list[core.DataDesc] = []
        self.start: int = -1
        reader = Reader(code, 8, len(code))
        last = 0
        while reader.at < len(code):
            number, size = reader.byte(), reader.number()
            section = reader.part(size)
            if not number:
                continue
            order = _ORDER.get(number)
            if order is None:
                raise ModuleError(f"it needs {NOT_HERE}: a section of the kind {number}")
            if order <= last:
                raise ModuleError("its sections are not in order")
            last = order
            read = getattr(self, f"_{_SECTIONS[number]}")
            read(section)
            if section.at != section.end:
                raise ModuleError("a section has bytes after its end")
        if any(code.end == 0 for code in self.codes):
            raise ModuleError("there is a function without code")
        if sum(code.end - code.at for code in self.codes) <= AT_ONCE:
            for one in self.codes:
                one.read(self)

    # -- sections --------------------------------------------------------------------------------------------------

    def _type(self, section: Reader) -> None:
        for _ in range(section.count(3)):
            if section.byte() != 0x60:
                raise ModuleError(f"it needs {NOT_HERE}: a type that is no function's")
            params = [TYPES[section.value_type()] for _ in range(section.count())]
            results = [TYPES[section.value_type()] for _ in range(section.count())]
            self.types.append(core.FuncType(params, results))

    def _import(self, section: Reader) -> None:
        for _ in range(section.count(4)):
            module, name, kind = section.text(), section.text(), section.byte()
            about: Any
            if kind == 0:
                about = section.index(self.types, "types")
                self.functions.append(about)
            elif kind == 1:
                about = section.table()
                self.tables.append(about)
            elif kind == 2:
                about = section.memory()
                self.memories.append(about)
            elif kind == 3:
                about = section.global_type()
                self.globals.append(about)
            else:
                raise ModuleError(f"it needs {NOT_HERE}: an import of the kind {kind}")
            self.imports.append(core.Import(module, name, kind, about))

    def _function(self, section: Reader) -> None:
        for _ in range(section.count()):
            self.codes.append(Code(section.index(self.types, "types")))
            self.functions.append(self.codes[-1].type)

    def _table(self, section: Reader) -> None:
        for _ in range(section.count(3)):
            self.own_tables.append(section.table())
        self.tables += self.own_tables

    def _memory(self, section: Reader) -> None:
        for _ in range(section.count(2)):
            self.own_memories.append(section.memory())
        self.memories += self.own_memories
        if len(self.memories) > 1:
            raise ModuleError(f"it needs {NOT_HERE}: several memories")

    def _global(self, section: Reader) -> None:
        for _ in range(section.count(4)):
            about = section.global_type()
            self.initial.append(core.GlobalDesc(about, core.Expr(expression(section, self, 0))))
            self.globals.append(about)

    def _export(self, section: Reader) -> None:
        kinds = (self.functions, self.tables, self.memories, self.globals)
        names = set()
        for _ in range(section.count(3)):
            name, kind = section.text(), section.byte()
            if kind >= len(kinds):
                raise ModuleError(f"it needs {NOT_HERE}: an export of the kind {kind}")
            self.exports.append(core.ExportDesc(name, kind, section.index(kinds[kind], "exports")))
            names.add(name)
        if len(names) != len(self.exports):
            raise ModuleError("it has two exports of the same name")

    def _start(self, section: Reader) -> None:
        self.start = section.index(self.functions, "functions")

    def _element(self, section: Reader) -> None:
        for _ in range(section.count(2)):
            kind = section.number()
            if kind > 7:
                raise ModuleError("a segment of elements is of an unknown kind")
            table, offset, type = 0, core.Expr([]), TYPES[0x70]
            if kind & 1 == 0:
                table = section.number() if kind & 2 else 0
                if table >= len(self.tables):
                    raise ModuleError(f"there is no table {table}")
                offset = core.Expr(expression(section, self, 0))
            if kind & 3:
                code = section.value_type() if kind & 4 else section.byte()
                type = TYPES.get(code if kind & 4 else 0x70, TYPES[0x70])
            entries = [
                core.Expr(
                    expression(section, self, 0)
                    if kind & 4
                    else [Instruction(opcode.ref_func, [section.index(self.functions, "functions")], section.at)]
                )
                for _ in range(section.count())
            ]
            self.elements.append(core.ElemDesc(kind, type, table, offset, entries))

    def _count(self, section: Reader) -> None:
        section.number()

    def _code(self, section: Reader) -> None:
        if section.count() != len(self.codes):
            raise ModuleError("functions and their code differ in number")
        for code in self.codes:
            part = section.part(section.number())
            code.at, code.end = part.at, part.end

    def _data(self, section: Reader) -> None:
        for _ in range(section.count(2)):
            kind = section.number()
            if kind > 2:
                raise ModuleError("a segment of data is of an unknown kind")
            memory = section.number() if kind == 2 else 0
            if kind != 1 and memory >= len(self.memories):
                raise ModuleError(f"there is no memory {memory}")
            offset = core.Expr([] if kind == 1 else expression(section, self, 0))
            self.data.append(core.DataDesc(kind, memory, offset, bytearray(section.take(section.number()))))


_SECTIONS = {
    1: "type",
    2: "import",
    3: "function",
    4: "table",
    5: "memory",
    6: "global",
    7: "export",
    8: "start",
    9: "element",
    12: "count",
    10: "code",
    11: "data",
}
_ORDER = {number: order for order, number in enumerate(_SECTIONS, 1)}
