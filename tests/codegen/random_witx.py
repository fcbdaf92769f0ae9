"""Random specs that are valid, with names and docs as awkward as the language allows.

Rules of this file: nothing of the generator is used; how the values lie in memory is `layout_rules`' own idea.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path

from tests.codegen.layout_rules import (
    NUMBERS,
    WIDTHS,
    Bool,
    Bytes,
    Char,
    Choice,
    Iovec,
    Kind,
    List,
    Number,
    Pointer,
    Record,
    Text,
    Variant,
)

NAMES = Path(__file__).with_name("data").joinpath("awkward_names.txt").read_text(encoding="utf-8").split()

DOCS = (
    "",
    "",
    "Plain words.",
    'Ends with "quotes"',
    '"Starts" with quotes.',
    'Has """three""" of them, and \'\'\' too.',
    "Ends with a backslash \\",
    r"Has \n and C:\new \d.",
    "https://example.org/" + "very/long/path-with-hyphens/" * 8 + "end",
    "(" + "word, " * 40 + "last)",
    "x" * 200 + "(a, b)",
    "Käse, 中文, naïve.",
    "from os import path\nimport sys",
    "A list:\n- one thing\n  that goes on\n- another thing\n\nand the rest.",
    "Code:\n```\nlet x = (1,\n    2);\n```\nAfter it.",
    "```\nnever closed",
    "# A heading\nand below.",
    "{{ braces }} {% and %} `none::such` #} )",
    "   ",
)


class Function:
    """A function: its name, its parameters as the ABI passes them, and what it stores."""

    def __init__(self, name: str, params: Sequence[Kind], stored: Sequence[Kind], fails: bool) -> None:
        self.name, self.params, self.stored, self.fails = name, params, stored, fails


class Spec:
    """One random document: its text, its types by name, its functions in order."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.types: dict[str, Kind] = {}
        self.codecs: dict[str, Kind] = {}
        """Those that have a codec of their own."""
        self.functions: list[Function] = []
        self.lines: list[str] = []
        self._taken: set[str] = set()
        self._named: list[Kind] = []
        for repr_ in self.rng.sample(list(WIDTHS), 2):
            self._errors(repr_)
        for _ in range(16):
            self._type()
        self._functions()
        self.text = "\n".join(self.lines) + "\n"

    def _docs(self, indent: str = "") -> str:
        return "".join(f"{indent};;; {line}\n" for line in self.rng.choice(DOCS).split("\n"))

    def _names(self, count: int, taken: set[str] | None = None) -> list[str]:
        """Names that stay different in Python, where case and most characters do not count."""
        taken = set() if taken is None else taken
        found: list[str] = []
        while len(found) < count:
            name = self.rng.choice(NAMES) if self.rng.random() < 0.7 else f"z{self.rng.randrange(1000)}"
            key = re.sub(r"[^a-z0-9]", "", name.lower()) or "n"
            if key not in taken:
                taken.add(key)
                found.append(name)
        return found

    def _define(self, text: str) -> str:
        (name,) = self._names(1, self._taken)
        self.lines.append(f"{self._docs()}(typename ${name} {text})")
        return name

    def _keep(self, name: str, kind: Kind, codec: bool = True) -> None:
        kind.text = f"${name}"
        self.types[name] = kind
        self._named.append(kind)
        if codec:
            self.codecs[name] = kind

    def _errors(self, repr_: str) -> None:
        extra = self.rng.choice(["$inval $ilseq", "$invalid_argument", "", "$2big"])
        name = self._define(f"(enum (@witx tag {repr_}) $fine {extra} $none_such)")
        self._keep(name, Choice("", WIDTHS[repr_], 2 + len(extra.split())))
        self.errors = [*getattr(self, "errors", []), name]

    def _use(self) -> Kind:
        """A type as it is used: mostly one with a name."""
        kinds: list[Kind] = [Bool(), Char(), Text(), *self.rng.sample(NUMBERS, 4), *self._named, *self._named]
        kind = self.rng.choice(kinds)
        match self.rng.randrange(12):
            case _ if not kind.size:
                return kind
            case 0 | 1:
                return List(f"(list {kind.text})", kind) if kind.text != "u8" else Bytes("(list u8)")
            case 2:
                return Pointer(f"(@witx pointer {kind.text})")
            case 3:
                return Pointer(f"(@witx const_pointer (@witx pointer {kind.text}))")
        return kind

    def _listed(self, names: Sequence[str]) -> str:
        return "\n".join(f"{self._docs('  ')}  ${name}" for name in names)

    def _type(self) -> None:
        rng = self.rng
        repr_ = rng.choice(list(WIDTHS))
        match rng.choice(["enum", "flags", "record", "record", "tuple", "variant", "union", "tagged", "handle", "alias",
                          "iovec", "const"]):  # fmt: skip
            case "enum":
                count = rng.choice([1, 3, 256]) if repr_ == "u8" else rng.choice([1, 2, 5])
                names = self._names(count) if count < 9 else [f"c{i}" for i in range(count)]
                name = self._define(f"(enum (@witx tag {repr_})\n{self._listed(names)})")
                self._keep(name, Choice("", WIDTHS[repr_], count))
            case "flags":
                count = rng.choice([0, 1, 3, 7, int(repr_[1:])])
                names = self._names(count) if count < 9 else [f"b{i}" for i in range(count)]
                name = self._define(f"(flags (@witx repr {repr_})\n{self._listed(names)})")
                self._keep(name, Choice("", WIDTHS[repr_], 1 << count))
            case "record":
                members = [self._use() for _ in range(rng.randrange(1, 6))]
                fields = "\n".join(
                    f"{self._docs('  ')}  (field ${name} {member.text})"
                    for name, member in zip(self._names(len(members)), members, strict=True)
                )
                self._keep(self._define(f"(record\n{fields})"), Record("", members))
            case "tuple":
                members = [self._use() for _ in range(rng.randrange(4))]
                text = " ".join(member.text for member in members)
                self._keep(self._define(f"(tuple {text})"), Record("", members, is_tuple=True))
            case "union" if rng.random() < 0.5:
                members = [self._use() for _ in range(rng.randrange(1, 4))]
                text = " ".join(member.text for member in members)
                name = self._define(f"(union (@witx tag {repr_}) {text})")
                self._keep(name, Variant("", WIDTHS[repr_], members))
            case "union" | "tagged" as form:
                names = self._names(rng.randrange(1, 4))
                tag = self._define(f"(enum (@witx tag {repr_}) {' '.join('$' + name for name in names)})")
                self._keep(tag, Choice("", WIDTHS[repr_], len(names)))
                cases = [self._use() for _ in names]
                if form == "union":
                    text = " ".join(case.text for case in cases)
                else:
                    text = " ".join(f"(case ${name} {case.text})" for name, case in zip(names, cases, strict=True))
                word = "union" if form == "union" else "variant"
                name = self._define(f"({word} (@witx tag ${tag}) {text})")
                self._keep(name, Variant("", WIDTHS[repr_], cases))
            case "variant":
                payloads = [self._use() if rng.random() < 0.6 else None for _ in range(rng.randrange(1, 5))]
                text = "\n".join(
                    f"{self._docs('  ')}  (case ${name} {payload.text if payload else ''})"
                    for name, payload in zip(self._names(len(payloads)), payloads, strict=True)
                )
                name = self._define(f"(variant (@witx tag {repr_})\n{text})")
                char = WIDTHS[repr_]
                self._keep(name, Variant("", char, payloads) if any(payloads) else Choice("", char, len(payloads)))
            case "handle":
                self._keep(self._define("(handle)"), Number("", "I"), codec=False)
            case "iovec":
                name = self._define("(record (field $buf (@witx pointer u8)) (field $buf_len (@witx usize)))")
                self._keep(name, Iovec(""), codec=False)
            case "alias":
                kind = self._use()
                name = self._define(kind.text)
                copy = type(kind).__new__(type(kind))
                copy.__dict__.update(kind.__dict__)
                self._keep(name, copy, codec=False)
            case "const":
                name = self._define(rng.choice(["u32", "(flags (@witx repr u8) $a $b)", "(handle)"]))
                alias = self._define(f"${name}")
                for value, owner in enumerate((name, alias)):
                    self.lines.append(f"(@witx const ${owner} ${self._names(1)[0]} {value + 1})")

    def _functions(self) -> None:
        rng = self.rng
        names = [name.replace("\\", "") for name in self._names(14)]
        odd = ['with \\"quotes\\"', "it's", "a b", "back\\\\slash", ""]
        exports = names + odd if rng.random() < 0.5 else [f"{rng.choice(['fd', 'path'])}_{name}" for name in names]
        (module,) = self._names(1, self._taken)
        lines: list[str] = []
        for export in exports:
            params: list[Kind] = []
            texts: list[str] = []
            for name in self._names(rng.randrange(5)):
                kind = self._use()
                if rng.random() < 0.2:
                    kind = Bytes("")
                    length = rng.choice(["_len", "_size", "_max_len", "_max_size"])
                    texts.append(f"(param ${name} (@witx pointer u8)) (param ${name}{length} u32)")
                else:
                    texts.append(f"(param ${name} {kind.text})")
                params.append(kind)
            stored: list[Kind] = []
            fails = rng.random() < 0.8
            if fails:
                can = [kind for kind in self._named if kind.writable and not isinstance(kind, Pointer | Iovec)]
                can = [kind for kind in can if not (isinstance(kind, Record) and kind.is_tuple)]
                stored = [rng.choice(can) for _ in range(rng.choice([0, 1, 2]))]
                parts = " ".join(kind.text for kind in stored)
                ok = f"(tuple {parts})" if len(stored) > 1 else parts
                error = self.errors[rng.randrange(2)]
                texts.append(f"(result $n9999 (expected {ok} (error ${error})))")
            lines.append(f'{self._docs("  ")}  (@interface func (export "{export}")\n    {" ".join(texts)})')
            name = export.replace('\\"', '"').replace("\\\\", "\\")
            self.functions.append(Function(name, params, stored, fails))
        self.lines.append(f"{self._docs()}(module ${module}\n" + "\n".join(lines) + ")")
        self.module = module
