"""The generated packages, as they stand, against the figures that the official reference texts publish.

Nothing of the generator is used but `witxgen.names`' spelling, worked out here again, and the types of fields, which
the published texts give by name: sizes, offsets, bits, case numbers and signatures are all taken from `data/`. The
declarations of wasi-libc, which another generator made, are a second opinion on the signatures.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from witxgen.model import Record, Ref, Type, TypeDef, Variant
from witxgen.resolve import load

HERE = Path(__file__).resolve().parent
ROOTS = {"preview1": "wasi_snapshot_preview1", "preview0": "wasi_unstable"}
PUBLISHED: dict[str, Any] = {
    preview: json.loads((HERE / "data" / f"{preview}_layout.json").read_text("utf-8")) for preview in ROOTS
}
PACKAGES: dict[str, ModuleType] = {preview: importlib.import_module(f"wasi_{preview}") for preview in ROOTS}
TYPES: dict[str, dict[str, TypeDef]] = {
    preview: {d.name: d for d in load([HERE.parents[1] / "witx" / preview / f"{root}.witx"]).types}
    for preview, root in ROOTS.items()
}


def class_name(name: str) -> str:
    """`event_fd_readwrite` -> `EventFdReadwrite`."""
    return "".join(word.capitalize() for word in name.split("_"))


def named(*keys: str) -> list[tuple[str, str]]:
    """Every published type that has one of these facts."""
    return [(p, name) for p in ROOTS for name, facts in PUBLISHED[p]["types"].items() if any(k in facts for k in keys)]


def codec(preview: str, name: str) -> Any:
    """The codec of a type; None for one that is only another name."""
    return getattr(PACKAGES[preview].codecs, name.upper(), None)


def guest(preview: str, memory: bytearray) -> Any:
    """A guest whose memory is already looked at."""
    made = PACKAGES[preview].Guest(lambda: memory, lambda _error: 1)
    made.refresh()
    return made


class Leaf(NamedTuple):
    """A number in a record or union: the way to it, where it lies and how wide it is; `tags` are the tags to set."""

    path: tuple[str | int, ...]
    offset: int
    width: int
    tags: tuple[tuple[int, int], ...] = ()


def leaves(preview: str, type_: Type) -> Iterator[Leaf]:
    """The numbers in a type, by the published offsets and sizes."""
    assert isinstance(type_, Ref)
    name, published = type_.target.name, PUBLISHED[preview]["types"]
    match type_.target.type:
        case Record(fields=fields):
            for field in fields:
                at = published[name]["fields"][field.name]
                for path, offset, width, tags in leaves(preview, field.type):
                    yield Leaf((field.name, *path), at + offset, width, tuple((at + place, tag) for place, tag in tags))
        case Variant(cases=cases):
            align = max(published[case.type.target.name]["align"] for case in cases if isinstance(case.type, Ref))
            at = max(published[name]["tag_size"], align)
            for tag, case in enumerate(cases):
                assert case.type is not None
                for path, offset, width, _ in leaves(preview, case.type):
                    yield Leaf((tag, *path), at + offset, width, ((0, tag),))
        case _:
            yield Leaf((), 0, published[name]["size"])


def value(preview: str, type_: Type, path: tuple[str | int, ...], number: int) -> Any:
    """A value of a type that is 0 everywhere but at the end of `path`; a union without a path has its first case."""
    assert isinstance(type_, Ref)
    types, cls = PACKAGES[preview].types, class_name(type_.target.name)
    match type_.target.type:
        case Record(fields=fields):
            rest = [path[1:] if path[:1] == (field.name,) else None for field in fields]
            return getattr(types, cls)(
                *(value(preview, field.type, way or (), number if way is not None else 0)
                  for field, way in zip(fields, rest, strict=True))
            )  # fmt: skip
        case Variant(cases=cases):
            tag = path[0] if path else 0
            assert isinstance(tag, int)
            payload = cases[tag].type
            assert payload is not None
            made = getattr(types, f"{cls}{class_name(cases[tag].name)}Case")
            return made(value(preview, payload, path[1:], number))
    return number


@pytest.mark.parametrize(("preview", "name"), named("fields", "tag_size"))
def test_every_number_lies_at_its_published_offset(preview: str, name: str) -> None:
    published, type_ = PUBLISHED[preview]["types"][name], Ref(TYPES[preview][name])
    if name in ("iovec", "ciovec"):  # read as a buffer: the address first, then the length
        assert published["fields"] == {"buf": 0, "buf_len": 4}
        memory = bytearray(64)
        memory[8:16] = b"\x20\0\0\0\x03\0\0\0"
        memory[32:35] = b"abc"
        assert bytes(guest(preview, memory).buffers(8, 1, "test")[0]) == b"abc"
        return
    ours = codec(preview, name)
    assert (ours.size, ours.align) == (published["size"], published["align"])
    found = list(leaves(preview, type_))
    assert len({leaf.path for leaf in found}) == len(found) >= 1
    for leaf in found:
        memory = bytearray(b"\xaa" * (ours.size + 16))
        expected = bytearray(ours.size)
        for place, tag in leaf.tags:
            expected[place] = tag
        blank = bytes(expected)
        expected[leaf.offset : leaf.offset + leaf.width] = b"\xff" * leaf.width
        ours.put(guest(preview, memory), 8, value(preview, type_, leaf.path, (1 << 8 * leaf.width) - 1))
        assert memory[8:-8] == expected, leaf
        assert memory[:8] == memory[-8:] == b"\xaa" * 8
        for number in (0, 1):
            memory[8:-8] = blank
            memory[8 + leaf.offset] = number
            assert ours.get(guest(preview, memory), 8) == value(preview, type_, leaf.path, number), leaf


@pytest.mark.parametrize(("preview", "name"), named("cases"))
def test_every_case_has_its_published_number(preview: str, name: str) -> None:
    published = PUBLISHED[preview]["types"][name]
    names = ["TOOBIG" if case == "2big" else case.upper() for case in published["cases"]]
    if "tag_size" in published:
        types = PACKAGES[preview].types
        cases = [getattr(types, class_name(name) + class_name(case) + "Case") for case in published["cases"]]
        assert [int(made(None).tag) for made in cases] == list(range(len(names)))
        return
    cls = getattr(PACKAGES[preview], class_name(name))
    assert [(member.name, int(member)) for member in cls] == [(case, number) for number, case in enumerate(names)]
    numbers(preview, name, [(number, member) for number, member in enumerate(cls)], len(names))


@pytest.mark.parametrize(("preview", "name"), named("bits"))
def test_every_flag_has_its_published_bit(preview: str, name: str) -> None:
    published = PUBLISHED[preview]["types"][name]
    bits = dict(published["bits"])
    cls = getattr(PACKAGES[preview], class_name(name))
    ours = {key: member for key, member in vars(cls).items() if isinstance(member, cls)}
    assert ours == {flag.upper(): 1 << bit for flag, bit in bits.items()}
    numbers(preview, name, [(1 << bit, ours[flag.upper()]) for flag, bit in bits.items()], cls.MASK + 1)


def numbers(preview: str, name: str, pairs: list[tuple[int, Any]], unknown: int) -> None:
    """The codec reads and writes these numbers in the published width and refuses the first unknown one."""
    ours, published = codec(preview, name), PUBLISHED[preview]["types"][name]
    assert (ours.size, ours.align) == (published["size"], published["align"])
    for number, member in pairs:
        memory = bytearray(b"\xaa" * 8 + number.to_bytes(ours.size, "little") + b"\xaa" * 8)
        whole = bytes(memory)
        assert ours.get(guest(preview, memory), 8) is member or ours.get(guest(preview, memory), 8) == member
        assert type(ours.get(guest(preview, memory), 8)) is type(member)
        memory[8:-8] = bytes(ours.size)
        ours.put(guest(preview, memory), 8, member)
        assert bytes(memory) == whole
    with pytest.raises(LookupError):
        ours.get(guest(preview, bytearray(unknown.to_bytes(ours.size, "little"))), 0)


@pytest.mark.parametrize("preview", ROOTS)
def test_docstrings_state_the_published_figures(preview: str) -> None:
    folder, published = Path(PACKAGES[preview].__path__[0]), PUBLISHED[preview]
    text = (folder / "types.py").read_text("utf-8")
    for name, facts in published["types"].items():
        assert re.search(rf"witx `{name}`: [^`]*size {facts['size']}, align {facts['align']}[.,]", text), name
        if "fields" in facts and name not in ("iovec", "ciovec"):
            body = text.partition(f"class {class_name(name)}(NamedTuple):")[2].partition("\n\n\n")[0]
            stated = re.findall(r"^    (\w+): [^\n]+\n    \"{3}(?:[^\"]*\s)?Offset\s+(\d+)\.", body, re.M)
            assert stated == [(field, str(offset)) for field, offset in facts["fields"].items()]
    for name, (params, results, *_) in PACKAGES[preview].SIGNATURES[published["module"]].items():
        stated_core = f"witx `{name}`: ({', '.join(params)}) -> ({', '.join(results)})."
        assert stated_core in (getattr(PACKAGES[preview].Handlers, name).__doc__ or "")


@pytest.mark.parametrize("preview", ROOTS)
def test_the_dump_carries_the_published_figures(preview: str) -> None:
    text = Path(PACKAGES[preview].__path__[0], "abi.json").read_text("utf-8")
    dumped, published = json.loads(text), PUBLISHED[preview]
    for name, facts in published["types"].items():
        ours = dumped["types"][name]
        assert {key: ours[key] for key in facts if key != "bits"} == {key: facts[key] for key in facts if key != "bits"}
        assert ours.get("flags", []) == list(dict(facts.get("bits", {})))
    assert {name: (tuple(facts["params"]), tuple(facts["results"])) for name, facts in dumped["functions"].items()} == {
        name: facts[:2] for name, facts in PACKAGES[preview].SIGNATURES[published["module"]].items()
    }


@pytest.mark.parametrize(
    ("preview", "name"), [(preview, name) for preview in ROOTS for name in PUBLISHED[preview]["functions"]]
)
def test_every_signature_follows_from_the_published_text(preview: str, name: str) -> None:
    published = PUBLISHED[preview]
    types = published["types"]
    match = re.fullmatch(r"\w+\((.*?)\)(?: -> Result<(.*), (\w+)>)?", published["functions"][name]["signature"])
    assert match is not None
    slots = ""
    for param in filter(None, match[1].split(", ")):
        type_ = param.split(": ")[1]
        if type_ in ("string", "iovec_array", "ciovec_array"):
            slots += "II"
        elif type_ == "filedelta":
            slots += "q"
        else:
            slots += "Q" if types.get(type_, {"size": 4})["size"] == 8 and "fields" not in types.get(type_, ()) else "I"
    stored = (match[2] or "()").strip("()")
    slots += "I" * len(stored.split(", ") if stored else [])
    core = tuple({"I": "i32", "Q": "i64", "q": "i64"}[slot] for slot in slots)
    ours = PACKAGES[preview].SIGNATURES[published["module"]][name]
    assert ours == (core, ("i32",) if match[3] else (), slots, "I" if match[3] else "")


def test_signatures_are_those_of_wasi_libc() -> None:
    (package,) = find_spec("ziglang").submodule_search_locations or [""]  # type: ignore[union-attr]  # installed
    source = Path(package, "lib/libc/wasi/libc-bottom-half/sources/__wasilibc_real.c").read_text("utf-8")
    declared = re.findall(
        r"^(?:_Noreturn )?(int32_t|void) __imported_wasi_snapshot_preview1_(\w+)\(([^)]*)\)", source, re.M
    )
    widths = {"int32_t": "i32", "int64_t": "i64"}
    theirs = {
        name: (tuple(widths[arg.split()[0]] for arg in args.split(", ") if arg not in ("", "void")),
               ("i32",) if result == "int32_t" else ())
        for result, name, args in declared
    }  # fmt: skip
    ours = {name: facts[:2] for name, facts in PACKAGES["preview1"].SIGNATURES["wasi_snapshot_preview1"].items()}
    del ours["proc_raise"]  # wasi-libc leaves signals out
    assert ours == theirs


def test_a_case_of_another_package_is_refused() -> None:
    """The cases look alike, and a union that does not know its case would write no payload."""
    new, old = (PACKAGES[preview] for preview in ("preview1", "preview0"))
    memory = bytearray(b"?" * 16)
    guest = old.Guest(lambda: memory, lambda _error: 0)
    guest.refresh()
    with pytest.raises(TypeError, match="is not a prestat"):
        old.codecs.PRESTAT.put(guest, 0, new.PrestatDirCase(new.PrestatDir(3)))
    old.codecs.PRESTAT.put(guest, 0, old.PrestatDirCase(old.PrestatDir(3)))
    assert memory == b"\0\0\0\0\3\0\0\0????????"
