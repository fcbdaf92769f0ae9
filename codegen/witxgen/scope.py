"""Names of a spec: which exist, which are visible where, and why one is not.

Rules of this file: types and modules share one set of names, because a document becomes one package. Names declared
between files are visible from there on; names declared inside a module, as the later dialect does, are visible in that
module and in those that `use` them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from witxgen import syntax
from witxgen.errors import WitxError
from witxgen.model import Span, TypeDef
from witxgen.reading import Reader


@dataclass(slots=True)
class Scope:
    """The types and resources that a stretch of text sees, besides those of `outer`."""

    outer: Scope | None = None
    types: dict[str, TypeDef] = field(default_factory=dict)
    resources: set[str] = field(default_factory=set)

    def find(self, name: str) -> TypeDef | None:
        """The type of a name, innermost first."""
        found = self.types.get(name)
        return self.outer.find(name) if found is None and self.outer else found

    def visible(self) -> Iterator[str]:
        """Every type name that can be used here."""
        yield from self.types
        if self.outer:
            yield from self.outer.visible()


class Names:
    """Every name of a document, with the errors about names."""

    def __init__(self, reader: Reader) -> None:
        self.error = reader.error
        self.current: syntax.Name | None = None
        """The type that is being defined."""
        self._taken: dict[str, tuple[str, Span]] = {}
        self._declared: dict[str, tuple[syntax.Typename, str | None]] = {}
        for declaration in reader.declarations:
            module = declaration.name.text if isinstance(declaration, syntax.Module) else None
            items = declaration.items if isinstance(declaration, syntax.Module) else (declaration,)
            for item in items:
                if isinstance(item, syntax.Typename):
                    self._declared.setdefault(item.name.text, (item, module))

    def introduce(self, kind: str, name: syntax.Name) -> None:
        """Declare a type or a module. WitxError if the name is taken."""
        taken = self._taken.get(name.text)
        if taken is not None:
            first = (taken[1], f"`${name.text}` is first defined here, as a {taken[0]}")
            raise self.error(name.span, f"the name `${name.text}` is already defined", first)
        self._taken[name.text] = (kind, name.span)

    def unique(self, what: str, names: Iterable[syntax.Name], sigil: str = "$") -> None:
        """WitxError at the first name that repeats an earlier one; `{}` in `what` stands for the name."""
        seen: dict[str, syntax.Name] = {}
        for name in names:
            first = seen.setdefault(name.text, name)
            if first is not name:
                label = f"`{sigil}{name.text}`"
                note = (first.span, f"{label} is first used here")
                raise self.error(name.span, f"{what.format(label)} is repeated", note)

    def type(self, scope: Scope, name: syntax.Name) -> TypeDef:
        """The type that a name stands for. WitxError if it is unknown, not yet defined or not a type."""
        found = scope.find(name.text)
        if found is None:
            raise self._no_type(scope, name)
        return found

    def _no_type(self, scope: Scope, name: syntax.Name) -> WitxError:
        label = f"`${name.text}`"
        taken = self._taken.get(name.text)
        if taken is not None and taken[0] == "module":
            return self.error(name.span, f"{label} is a module, expected a type", (taken[1], "it is defined here"))
        if name.text in scope.resources:
            return self.error(name.span, f"{label} is a resource, expected a type; write (handle {label[1:-1]})")
        if name.text not in self._declared:
            close = difflib.get_close_matches(name.text, scope.visible(), n=1)
            hint = f"; did you mean `${close[0]}`?" if close else ""
            return self.error(name.span, f"unknown name {label}{hint}")
        declared, module = self._declared[name.text]
        first = (declared.name.span, f"{label} is defined here")
        if self.current is not None:
            path = self._path(declared, self.current.text)
            if path:
                chain = " -> ".join(f"${step}" for step in (self.current.text, *path))
                message = f"the type `${self.current.text}` contains itself: {chain}; a witx type cannot, not even"
                return self.error(name.span, f"{message} through a list or a pointer")
        if taken is not None and module is not None:
            return self.error(
                name.span, f"{label} belongs to another module; add (use ${name.text} from ${module})", first
            )
        return self.error(name.span, f"{label} is used before its definition; move the definition up", first)

    def _path(self, start: syntax.Typename, goal: str) -> tuple[str, ...]:
        """The names that lead from a declared type to `goal`, both included; empty if none do."""
        paths: dict[str, tuple[str, ...]] = {start.name.text: (start.name.text,)}
        waiting = [start]
        while waiting:
            declared = waiting.pop(0)
            path = paths[declared.name.text]
            if declared.name.text == goal:
                return path
            for used in _used_names(declared.type):
                if used in self._declared and used not in paths:
                    paths[used] = (*path, used)
                    waiting.append(self._declared[used][0])
        return ()


def _used_names(type_: syntax.Type) -> Iterator[str]:
    """Every type name in a type, in order."""
    inner: Iterable[syntax.Type | None] = ()
    match type_:
        case syntax.Use(name=name):
            yield name.text
        case syntax.Record(fields=fields):
            inner = (field.type for field in fields)
        case syntax.Tuple(members=members):
            inner = members
        case syntax.Union(tag=tag, members=members):
            inner = (tag, *members)
        case syntax.Variant(tag=tag, cases=cases):
            inner = (tag, *(case.type for case in cases))
        case syntax.List(element=element):
            inner = (element,)
        case syntax.Pointer(target=target):
            inner = (target,)
        case syntax.Expected(ok=ok, err=err):
            inner = (ok, err)
    for part in inner:
        if part is not None:
            yield from _used_names(part)
