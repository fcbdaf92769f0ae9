"""Reports what a module is, what it needs, and how to run it, without compiling it.

Rules of this file: a command is recommended only if it can work; otherwise the report says what prevents it. Bytes that
are not a module raise ModuleError, never another exception. Names from a module are printed through `names`. Memory
stays within 10 times the size of the file, and some megabytes: what a loop collects is bounded, see `sections.Rooms`.
"""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Sequence
from typing import NamedTuple

from wasi_preview1.signatures import SIGNATURES

from wasihost.binary.components import Component, CoreModule, is_component, read_component
from wasihost.binary.sections import Import, Sections
from wasihost.binary.toolchains import made_for
from wasihost.common.names import listed, shown
from wasihost.errors import ModuleError

_PREVIEW1, _PREVIEW0 = "wasi_snapshot_preview1", "wasi_unstable"
_NOTES = {"sock_accept": "needs --tcplisten"}
_SPECS = {_PREVIEW1: "WASI preview1", _PREVIEW0: "WASI preview0"}


class Report(NamedTuple):
    """What `inspect` found.

    `how` is a command to run the module, or the reason why it cannot run. `memory` is minimum and maximum in pages of
    64 KiB (None: no maximum), and whether it is shared. `imports` and `exports` are complete, unless a file has so many
    of them that the list would take several times its size; `import_count` and `export_count` count all, and
    `import_counts` those from each import module.
    """

    name: str
    kind: str
    how: str
    imports: list[Import]
    exports: dict[str, str]
    memory: tuple[int, int | None, bool] | None
    features: list[str]
    producers: dict[str, list[str]]
    problems: list[str]
    component: Component | None = None
    import_count: int = 0
    export_count: int = 0
    import_counts: dict[str, int] | None = None

    def json(self) -> str:
        """Return the report as JSON."""
        fields = self._asdict()
        fields["imports"] = [one._asdict() for one in self.imports]
        if (inner := fields.pop("component")) is not None:
            fields["component"] = {
                "imports": inner.imports,
                "exports": inner.exports,
                "modules": [
                    {
                        "size": one.size,
                        "imports": [item._asdict() for item in one.imports],
                        "exports": one.exports,
                        "import_count": one.sections.import_count if one.sections else 0,
                        "export_count": one.sections.export_count if one.sections else 0,
                    }
                    for one in inner.modules
                ],
            }
        out = io.StringIO()  # `json.dumps` would keep some ten pieces of text for each import
        for piece in json.JSONEncoder(indent=2).iterencode(fields):
            out.write(piece)
        return out.getvalue()

    def text(self) -> str:
        """Return the report as text, of at most 5,000 lines."""
        able = not self.how.startswith(_NOTHING)
        lines = [f"{shown(self.name)}: {self.kind}", f"run it with: {self.how}" if able else self.how]
        if self.memory:
            least, most, shared = self.memory
            above = f" to {most * 64:,} KiB" if most is not None else ""
            lines.append(f"memory: {least * 64:,} KiB{above}{', shared' * shared}")
        lines += [f"features: {', '.join(map(shown, self.features))}"] * bool(self.features)
        lines += [f"{shown(field)}: {', '.join(map(shown, values))}" for field, values in self.producers.items()]
        if self.component:
            lines += _inside(self.component)
        counts = self.import_counts or {}
        for module, imports in _by_module(self.imports).items():
            count = counts[module]
            lines.append(f"\nimports from {shown(module)} ({spec(module, imports)}): {count}")
            for one in imports:
                note = _NOTES.get(one.name, "") if module in (_PREVIEW0, _PREVIEW1) else ""
                lines.append(f"  {shown(one.name)}{one.type}" + f"   {note}" * bool(note))
            lines += [f"  and {count - len(imports):,} more"] * (count > len(imports))
        if more := self.import_count - sum(counts.values()):
            lines.append(f"\nand {more:,} imports from other modules")
        if self.exports:
            lines += ["\nexports:", *(f"  {shown(name)}{type_}" for name, type_ in self.exports.items())]
            more = self.export_count - len(self.exports)
            lines += [f"  and {more:,} more"] * (more > 0)
        if self.problems:
            lines += ["\nnot served here:", *(f"  {one}" for one in self.problems)]
        if (more := len(lines) - _LINES) > 0:
            lines[_LINES:] = [f"\nand {more:,} more lines: --json has them"]
        return "\n".join(lines)


def spec(module: str, imports: Sequence[Import]) -> str:
    """Return which specification or host defines an import module; `imports` are all imports from it."""
    host = made_for(module, [one.name for one in imports])
    return host.host if host else _SPECS.get(module, "the embedder: give them with Imports")


def _by_module(imports: Sequence[Import]) -> dict[str, list[Import]]:
    """Group imports by import module, in one pass: there may be as many modules as imports."""
    found: dict[str, list[Import]] = {}
    for one in imports:
        found.setdefault(one.module, []).append(one)
    return found


def inspect(code: bytes, name: str, features: str = "") -> Report:
    """Report on a module in binary or text form.

    The engine validates a core module, which takes a fiftieth of the time of compiling it; but not one with so many
    imports, exports and functions for its size that this would take ten times its size in memory.

    Args:
        code: The bytes of the module.
        name: Its file name, used in the report and its commands.
        features: WebAssembly features, as `canonical_features` returns them.

    Raises:
        ModuleError: `code` is not a module in either form.
    """
    if not code.startswith(b"\0asm"):
        from wasihost.engines import default_engine

        code = default_engine().assemble(code, name)
    if is_component(code):
        component = read_component(code)
        return Report(
            name, "a component (WASI preview2)", _outside(component, name), [], {}, None, [], {}, [], component
        )
    if code[4:8] != b"\x01\0\0\0":
        return Report(name, "of an unknown version of WebAssembly", f"{_NOTHING}: {_BUILD}", [], {}, None, [], {}, [])
    found = Sections(code)
    problems, lacking = _problems(found)
    if validated := _may_validate(found, len(code)):
        problems += _refused(code, features)
    kind = _kind(found)
    return Report(
        name,
        kind,
        _how(found, name, problems, lacking) if validated else f"{_NOTHING} before it is validated: {_UNCHECKED}",
        found.imports,
        found.exports,
        found.memory,
        found.features,
        found.producers,
        problems + lacking,
        None,
        found.import_count,
        found.export_count,
        found.import_counts,
    )


_LINES = 5_000
"""Most lines of a report as text."""
_NOTHING = "cannot be run here"
_UNCHECKED = "it has too many imports, exports or functions for its size to do that here; running it does"
_BUILD = "build it for wasm32-wasip1"


def _kind(found: Sections) -> str:
    for module, imports in sorted(_by_module(found.imports).items()):
        if host := made_for(module, [one.name for one in imports]):
            return f"made for {host.host}"
    if "_start" in found.exports:
        return "a command"
    if "_initialize" in found.exports:
        return "a reactor"
    if found.starts and not found.has_functions:
        return "a command of the old kind, which is its start section"
    return "a library" if found.has_functions else "nothing to call"


def _how(found: Sections, name: str, problems: list[str], lacking: list[str]) -> str:
    """Return the command to type, or why the module cannot run."""
    for module, imports in sorted(_by_module(found.imports).items()):
        if host := made_for(module, [one.name for one in imports]):
            return f"{_NOTHING}: {host.advice}"
    if problems:
        return f"{_NOTHING}: see below what is in the way"
    file = shlex.quote(shown(name) if not name.startswith("-") else f"./{shown(name)}")
    stubs, given = "", ""
    if lacking:
        modules: list[str] = []
        for one in found.each_import():
            if _unknown(one) and one.module not in modules:
                modules.append(one.module)
                if len(modules) > _STUBS:
                    return f"{_NOTHING}: it wants functions from more than {_STUBS} modules: give them with imports="
        stubs = "".join(f" --stub {shlex.quote(shown(one))}" for one in modules)
        given = f", if it never calls what it imports from {listed(modules)}; else give that with imports="
    command = "_start" in found.exports or (found.starts and not found.has_functions)
    if command:
        return f"wasihost run{stubs} {file}{given}"
    if (call := _example(found)) is None:
        return f"{_NOTHING}: it exports no function that takes and returns numbers"
    function, numbers = call
    again = f", or wasihost.instantiate({name!r})" if "_initialize" in found.exports else ""
    return f"wasihost run{stubs} --invoke {shlex.quote(function)} {file}{numbers}{again}{given}"


_STUBS = 100
"""Most import modules that a command names."""
_PLAIN = {"i32", "i64", "f32", "f64"}
_MEMORY = ("malloc", "free", "calloc", "realloc", "cabi_realloc", "allocate", "deallocate", "_initialize")


def _example(found: Sections) -> tuple[str, str] | None:
    """Return a function for `--invoke`, and numbers for it; one without parameters is preferred."""
    best: tuple[bool, bool, str, str] | None = None
    for name, type_ in found.each_export():
        if type_.startswith(" ") or not name or not name.isprintable():
            continue
        params, results = (part.strip("()").replace(" ", "") for part in type_.split(" -> "))
        types = [one for one in (*params.split(","), *results.split(",")) if one]
        if set(types) <= _PLAIN:
            given = [one for one in params.split(",") if one]
            helper = name in _MEMORY or name.startswith(("_", "asyncify_", "emscripten_", "stack"))
            if best is None or (helper, bool(given)) < best[:2]:
                best = (helper, bool(given), name, " 0" * len(given))
    return best[2:] if best else None


def _unknown(one: Import) -> bool:
    return one.kind == "func" and one.name not in SIGNATURES.get(one.module, ()) and one.module != _PREVIEW0


class _Problems:
    """Problems with imports, of which the first are kept as text."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._more = 0

    def add(self, one: Import, problem: str) -> None:
        if len(self._texts) < 2_000:
            self._texts.append(f"{shown(one.module)}.{shown(one.name)}: {problem}")
        else:
            self._more += 1

    def all(self) -> list[str]:
        """Return the texts, and how many more there are."""
        return [*self._texts, f"and {self._more:,} more imports"] if self._more else self._texts


def _problems(found: Sections) -> tuple[list[str], list[str]]:
    """Return what cannot be provided, and which functions an embedder would have to provide."""
    wrong, unknown = _Problems(), _Problems()
    specs = {module: spec(module, imports) for module, imports in _by_module(found.imports).items()}
    wasi = False
    for one in found.each_import():
        wasi = wasi or one.module in (_PREVIEW0, _PREVIEW1)
        if one.kind == "memory":
            continue  # the host provides it; what is wrong with it is reported below
        if one.kind != "func":
            wrong.add(one, f"an imported {one.kind}")
        elif one.module in SIGNATURES and one.name in SIGNATURES[one.module]:
            known = SIGNATURES[one.module][one.name]
            type_ = f"({', '.join(known.params)}) -> ({', '.join(known.results)})"
            if one.type != type_:
                wrong.add(one, f"has type {one.type}, the specification says {type_}")
        elif one.module in SIGNATURES:
            unknown.add(one, "no such function in the spec")
        elif one.module != _PREVIEW0:
            unknown.add(one, f"from {specs.get(one.module) or spec(one.module, [one])}")
    out, lacking = wrong.all(), unknown.all()
    if found.memory and found.memory[2]:
        out.append("a shared memory: the guest was built for threads, which this host does not have")
    if found.memory is None and (wasi or "_start" in found.exports):
        out.append("export memory: missing")
    if found.exports.get("_start", "() -> ()") != "() -> ()":
        out.append(f"export _start: has type {found.exports['_start']}, a command's is () -> ()")
    return out, lacking


def _may_validate(found: Sections, size: int) -> bool:
    """Return whether it takes the engine less than some times the size of the file, by what each of these was measured
    to take it, in bytes."""
    taken = 400 * found.import_count + 180 * found.export_count + 80 * found.function_count
    return taken < 6 * size + 4_000_000


def _refused(code: bytes, features: str) -> list[str]:
    """Return why the engine refuses the module."""
    from wasihost.engines import default_engine

    try:
        default_engine().check_module(code, "", features)
    except ModuleError as error:
        return [str(error).removeprefix(": ")]
    return []


# -- components --------------------------------------------------------------------------------------------------------


def _outside(component: Component, name: str) -> str:
    """Return what to do about a component. Often it was made from a program that would run here."""
    programs = [number for number, one in enumerate(component.modules) if _runs(one)]
    if not programs:
        return f"{_NOTHING}: {_BUILD}, which makes a core module, not a component"
    inner = component.modules[programs[0]]
    what = "a command" if "_start" in inner.exports else "a library"
    return (
        f"{_NOTHING} as it is: {_BUILD}; or take out core module {programs[0]}, {what} of WASI preview1: "
        f"`wasm-tools component unbundle {shlex.quote(shown(name))} --module-dir DIR`"
    )


def _runs(one: CoreModule) -> bool:
    """Return whether a core module is a preview1 program that needs nothing else."""
    if one.sections is None or not any(item.module == _PREVIEW1 for item in one.sections.each_import()):
        return False
    problems, lacking = _problems(one.sections)
    return not problems and not lacking


def _inside(component: Component) -> list[str]:
    lines = []
    for what, names, total in (
        ("imports", component.imports, component.import_count),
        ("exports", component.exports, component.export_count),
    ):
        if names:
            lines += [f"\n{what} of the component: {total}", *(f"  {shown(name)}" for name in names[:_SHOWN])]
            lines += [f"  and {total - _SHOWN} more"] * (total > _SHOWN)
    count = len(component.modules) + component.more
    lines.append(f"\ncore modules in it: {count}")
    for number, one in enumerate(component.modules[:_SHOWN]):
        if one.sections is None:
            lines.append(f"  {number}: {one.size:,} bytes, damaged")
        else:
            modules = [f"{module} ({many})" for module, many in one.sections.import_counts.items()]
            wants = listed(modules) or ("more than can be listed" if one.sections.import_count else "nothing")
            more = one.sections.export_count - len(one.exports)
            shows = listed(list(one.exports), more=more) or ("more than can be listed" if more else "nothing")
            lines.append(f"  {number}: {one.size:,} bytes; imports from {wants}; exports {shows}")
    lines += [f"  and {count - _SHOWN} more"] * (count > _SHOWN)
    return lines


_SHOWN = 40  # names or modules of a component
