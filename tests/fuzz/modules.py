"""Random modules, section by section: with every kind of type, import and export, valid or damaged.

As text, a module is one line of hexadecimal bytes per section, with its name behind it.
"""

from __future__ import annotations

from hypothesis import strategies as st

HEADER = b"\0asm\1\0\0\0"
_NAMES = {0: "custom", 1: "type", 2: "import", 3: "function", 4: "table", 5: "memory", 6: "global", 7: "export",
          8: "start", 10: "code", 13: "tag"}  # fmt: skip
_ABSTRACT = [bytes([code]) for code in range(0x69, 0x75)]  # exn, array, struct, i31, eq, any, extern, func, none, ...
_VALUES = st.one_of(
    st.sampled_from([b"\x7f", b"\x7e", b"\x7d", b"\x7c"]),
    st.sampled_from([b"\x7b", b"\x70", b"\x6f"]),
    st.sampled_from(_ABSTRACT),
    st.tuples(st.sampled_from([b"\x63", b"\x64"]), st.sampled_from([*_ABSTRACT, b"\0", b"\1"])).map(b"".join),
)
_TEXTS = st.one_of(
    st.sampled_from([b"f", b"memory", b"_start", b"g", b"_initialize", b"cabi_realloc"]),
    st.sampled_from([b"", b"\x1b[31m", b"a\nb", b"n" * 300, "\N{SNOWMAN}".encode(), b"fd_write", b"\0"]),
)
_MODULES = st.sampled_from([b"wasi_snapshot_preview1", b"env", b"wasi_unstable", b"m\n"])
_PLACES = {4: "table", 5: "memory", 6: "global", 13: "tag"}
_KINDS = st.sampled_from(["func", "func", "func", "table", "memory", "global", "tag"])


def number(value: int) -> bytes:
    """An unsigned LEB128."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _vector(items: list[bytes]) -> bytes:
    return number(len(items)) + b"".join(items)


def _name(text: bytes) -> bytes:
    return number(len(text)) + text


@st.composite
def _type(draw: st.DrawFn) -> bytes:
    fields = st.tuples(st.one_of(_VALUES, st.sampled_from([b"\x78", b"\x77"])), st.sampled_from([b"\0", b"\1"]))
    shape = draw(st.sampled_from(["func"] * 6 + ["struct", "array"]))
    if shape == "func":
        types = st.lists(_VALUES, max_size=3)
        return b"\x60" + _vector(draw(types)) + _vector(draw(types))
    if shape == "array":
        return b"\x5e" + b"".join(draw(fields))
    return b"\x5f" + _vector([b"".join(one) for one in draw(st.lists(fields, max_size=3))])


@st.composite
def _sections(draw: st.DrawFn) -> list[tuple[int, bytes]]:
    """Types, and imports, functions and exports of them."""
    kept = draw(st.lists(st.sampled_from([4, 5, 5, 6, 8, 13, 0]), max_size=4))
    types = [b"\x60\0\0", *draw(st.lists(_type(), max_size=4))]
    functions = [index for index, one in enumerate(types) if one[0] == 0x60]
    if draw(st.booleans()) and len(types) > 1:  # the last as an open subtype, in a group of its own
        types[-1] = b"\x4e\1\x50\0" + types[-1]
    limits = st.sampled_from([b"\0\1", b"\1\1\2", b"\0\0", b"\0\1", b"\3\1\2", b"\1\0\x80\x80\4", b"\4\1"])
    imports, imported = [], list[int]()
    present = {kind for code, kind in _PLACES.items() if code in kept}
    for kind in draw(st.lists(_KINDS, max_size=2)):
        index = draw(st.sampled_from(functions))
        present.add(kind)
        described = {
            "func": b"\0" + number(index),
            "table": b"\1" + draw(st.sampled_from([b"\x70", b"\x6f", b"\x6e"])) + draw(limits),
            "memory": b"\2" + draw(limits),
            "global": b"\3" + draw(_VALUES) + draw(st.sampled_from([b"\0", b"\1"])),
            "tag": b"\4\0\0",
        }[kind]
        imported += [index] * (kind == "func")
        imports.append(_name(draw(_MODULES)) + _name(draw(_TEXTS)) + described)
    own = [0, *draw(st.lists(st.sampled_from(functions), max_size=3))]
    every = imported + own
    exports, names = [], set()
    for kind, text in draw(st.lists(st.tuples(_KINDS, _TEXTS), max_size=5)):
        index = draw(st.integers(0, len(every) - 1)) if kind == "func" else 0
        if text not in names and (kind == "func" or kind in present):
            names.add(text)
            code = ["func", "table", "memory", "global", "tag"].index(kind)
            exports.append(_name(text) + bytes([code]) + number(index))
    customs = st.sampled_from([b"name", b"producers", b"target_features", b"x"])
    body = st.sampled_from([b"\0\0\x0b", b"\0\0\x0b", b"\0\x0b", b"\0\x03\x40\x0c\0\x0b\x0b", b"\0\x10\0\x0b"])
    sections = [
        (1, _vector(types)),
        (2, _vector(imports)),
        (3, _vector([number(index) for index in own])),
        (4, _vector([draw(st.sampled_from([b"\x70", b"\x6f"])) + draw(limits)])),
        (5, _vector([draw(limits)])),
        (13, _vector([b"\0\0"])),
        (6, _vector([b"\x7f\1\x41\0\x0b"])),
        (7, _vector(exports)),
        (8, number(draw(st.sampled_from([index for index, type_ in enumerate(every) if type_ == 0])))),
        (10, _vector([_name(draw(body)) for _ in own])),
        (0, _name(draw(customs)) + draw(st.binary(max_size=9))),
    ]  # fmt: skip
    return [(number_, content) for number_, content in sections if number_ in (1, 2, 3, 7, 10) or number_ in kept]


@st.composite
def _modules(draw: st.DrawFn) -> bytes:
    sections = draw(_sections())
    damage = draw(st.sampled_from(["", "", "", "", "swap", "twice", "cut", "size", "bytes"]))
    place = draw(st.integers(0, len(sections) - 1))
    if damage == "swap":
        sections[place], sections[0] = sections[0], sections[place]
    elif damage == "twice":
        sections.append(sections[place])
    whole = bytearray(HEADER)
    for index, (code, content) in enumerate(sections):
        said = draw(st.sampled_from([0, 1 << 20, (1 << 32) - 1])) if (damage, index) == ("size", place) else None
        whole += bytes([code]) + number(len(content) if said is None else said) + content
    if damage == "cut":
        del whole[draw(st.integers(0, len(whole))) :]
    if damage == "bytes":
        for at, byte in draw(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=4)):
            whole[at] = byte
    return bytes(whole)


modules: st.SearchStrategy[bytes] = _modules()
"""Modules of which about half are valid for an engine that has all proposals."""


def text(module: bytes) -> str:
    """A module as the corpus keeps it."""
    lines = [module[: len(HEADER)].hex(" ")]
    at = len(HEADER)
    while at < len(module):
        end, shift, size = at + 1, 0, 0
        while end < len(module):
            size |= (module[end] & 0x7F) << shift
            shift += 7
            end += 1
            if not module[end - 1] & 0x80:
                break
        lines.append(f"{module[at : end + size].hex(' ')}  # {_NAMES.get(module[at], '?')}")
        at = end + size
    return "\n".join(lines) + "\n"


def parse(lines: str) -> bytes:
    """The module of a text."""
    return bytes.fromhex("".join(line.partition("#")[0] for line in lines.splitlines()))
