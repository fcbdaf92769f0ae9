"""Lark's parse tree to the nodes of `syntax`.

Rules of this file: one method per rule of `grammar.lark`, of the same name; no meaning is given to anything here,
except that strings and integers become the values they spell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar, cast

from lark import Token, Transformer, v_args
from lark.tree import Meta

from witxgen import syntax
from witxgen.errors import Source, WitxError
from witxgen.model import Span

_Children: TypeAlias = list[Any]

_ESCAPES = {"t": b"\t", "n": b"\n", "r": b"\r", '"': b'"', "'": b"'", "\\": b"\\"}


def _unquote(literal: str) -> str:
    """The text a string literal spells; raises `ValueError` where its escapes are not UTF-8."""

    def replace(match: re.Match[bytes]) -> bytes:
        escape = match[1].decode()
        if escape.startswith("u{"):
            return chr(int(escape[2:-1].replace("_", ""), 16)).encode()
        return _ESCAPES.get(escape) or bytes.fromhex(escape)

    return re.sub(rb"\\(u\{[^}]*\}|[0-9A-Fa-f]{2}|.)", replace, literal[1:-1].encode()).decode()


def _integer(literal: str) -> int:
    digits = literal.replace("_", "")
    return int(digits, 16 if "x" in digits else 10)


_T = TypeVar("_T")


def _split(children: _Children, kind: type[_T]) -> tuple[_T | None, _Children]:
    """Separate an optional first child of a kind from the rest."""
    if children and isinstance(children[0], kind):
        return children[0], children[1:]
    return None, children


@v_args(meta=True)
class Builder(Transformer[Token, tuple[syntax.Item, ...]]):
    """Builds the items of `source`; `docs` maps the line and column of an item to its doc comment."""

    def __init__(self, source: Source, docs: Mapping[tuple[int, int], str]) -> None:
        super().__init__(visit_tokens=False)
        self._source = source
        self._docs = docs

    def _docs_at(self, place: Meta) -> str:
        return self._docs.get((place.line, place.column), "")

    def _at(self, place: Meta) -> Span:
        return Span(self._source.file, place.line, place.column)

    def _token_at(self, token: Token) -> Span:
        return Span(self._source.file, token.line or 0, token.column or 0)

    def _name(self, token: Token, docs: str = "") -> syntax.Name:
        return syntax.Name(str(token[1:]), self._token_at(token), docs)

    def _text(self, token: Token) -> syntax.Name:
        span = self._token_at(token)
        try:
            return syntax.Name(_unquote(token), span)
        except (ValueError, OverflowError):
            message = "the escapes of this string do not make UTF-8 text"
            raise WitxError(span, message, self._source.line(span.line)) from None

    def _field(self, place: Meta, children: _Children) -> syntax.Field:
        return syntax.Field(self._name(children[0]), children[1], self._docs_at(place))

    # Declarations.

    def start(self, _place: Meta, children: _Children) -> tuple[syntax.Item, ...]:
        return tuple(children)

    def use_file(self, _place: Meta, children: _Children) -> syntax.UseFile:
        return syntax.UseFile(self._text(children[0]))

    def typename(self, place: Meta, children: _Children) -> syntax.Typename:
        return syntax.Typename(self._name(children[0]), children[1], self._docs_at(place))

    def constant(self, place: Meta, children: _Children) -> syntax.Constant:
        type_, name, value = children
        return syntax.Constant(
            self._name(type_), self._name(name), _integer(value), self._token_at(value), self._docs_at(place)
        )

    def module(self, place: Meta, children: _Children) -> syntax.Module:
        return syntax.Module(self._name(children[0]), tuple(children[1:]), self._docs_at(place))

    def memory(self, _place: Meta, children: _Children) -> syntax.Memory:
        return syntax.Memory(self._text(children[0]))

    def resource(self, _place: Meta, children: _Children) -> syntax.Resource:
        return syntax.Resource(self._name(children[0]))

    def use_names(self, place: Meta, children: _Children) -> syntax.UseNames:
        *names, module = children
        return syntax.UseNames(self._at(place), None if names == [None] else tuple(names), self._name(module))

    def everything(self, _place: Meta, _children: _Children) -> None:
        return None

    def use_name(self, _place: Meta, children: _Children) -> tuple[syntax.Name, syntax.Name]:
        return self._name(children[0]), self._name(children[-1])

    def function(self, place: Meta, children: _Children) -> syntax.Function:
        name, *items = children
        fields = [item for item in items if isinstance(item, tuple)]
        return syntax.Function(
            self._text(name),
            tuple(field for kind, field in fields if kind == "param"),
            tuple(field for kind, field in fields if kind == "result"),
            next((item for item in items if isinstance(item, Span)), None),
            self._docs_at(place),
        )

    def param(self, place: Meta, children: _Children) -> tuple[str, syntax.Field]:
        return "param", self._field(place, children)

    def result(self, place: Meta, children: _Children) -> tuple[str, syntax.Field]:
        return "result", self._field(place, children)

    def noreturn(self, place: Meta, _children: _Children) -> Span:
        return self._at(place)

    # Types.

    def type_name(self, place: Meta, children: _Children) -> syntax.Use:
        return syntax.Use(self._at(place), self._name(children[0]))

    def builtin(self, place: Meta, children: _Children) -> syntax.Builtin:
        return syntax.Builtin(self._at(place), children[0].value)

    def string(self, place: Meta, _children: _Children) -> syntax.String:
        return syntax.String(self._at(place))

    def char8(self, place: Meta, _children: _Children) -> syntax.Builtin:
        return syntax.Builtin(self._at(place), "char8")

    def usize(self, place: Meta, _children: _Children) -> syntax.Builtin:
        return syntax.Builtin(self._at(place), "usize")

    def pointer(self, place: Meta, children: _Children) -> syntax.Pointer:
        return syntax.Pointer(self._at(place), children[0], const=False)

    def const_pointer(self, place: Meta, children: _Children) -> syntax.Pointer:
        return syntax.Pointer(self._at(place), children[0], const=True)

    def list_(self, place: Meta, children: _Children) -> syntax.List:
        return syntax.List(self._at(place), children[0])

    def handle(self, place: Meta, children: _Children) -> syntax.Handle:
        return syntax.Handle(self._at(place), self._name(children[0]) if children else None)

    def enum(self, place: Meta, children: _Children) -> syntax.Enum:
        repr_, names = _split(children, syntax.Builtin)
        return syntax.Enum(self._at(place), repr_, tuple(names))

    def flags(self, place: Meta, children: _Children) -> syntax.Flags:
        repr_, names = _split(children, syntax.Builtin)
        return syntax.Flags(self._at(place), repr_, tuple(names))

    def int_tag(self, _place: Meta, children: _Children) -> syntax.Builtin:
        return cast(syntax.Builtin, children[0])

    def int_repr(self, _place: Meta, children: _Children) -> syntax.Builtin:
        return cast(syntax.Builtin, children[0])

    def name(self, place: Meta, children: _Children) -> syntax.Name:
        return self._name(children[0], self._docs_at(place))

    def record(self, place: Meta, children: _Children) -> syntax.Record:
        return syntax.Record(self._at(place), tuple(children))

    def field(self, place: Meta, children: _Children) -> syntax.Field:
        return self._field(place, children)

    def tuple_(self, place: Meta, children: _Children) -> syntax.Tuple:
        return syntax.Tuple(self._at(place), tuple(children))

    def union(self, place: Meta, children: _Children) -> syntax.Union:
        tag, members = _split(children, syntax.Tag)
        docs = tuple(self._docs.get((member.span.line, member.span.column), "") for member in members)
        return syntax.Union(self._at(place), tag.type if tag else None, tuple(members), docs)

    def variant(self, place: Meta, children: _Children) -> syntax.Variant:
        tag, cases = _split(children, syntax.Tag)
        return syntax.Variant(self._at(place), tag.type if tag else None, tuple(cases))

    def type_tag(self, _place: Meta, children: _Children) -> syntax.Tag:
        return syntax.Tag(children[0])

    def case(self, place: Meta, children: _Children) -> syntax.Case:
        return syntax.Case(self._name(children[0]), children[1] if len(children) > 1 else None, self._docs_at(place))

    def expected(self, place: Meta, children: _Children) -> syntax.Expected:
        *ok, err = children
        return syntax.Expected(self._at(place), ok[0] if ok else None, err[0] if err else None)

    def error(self, _place: Meta, children: _Children) -> _Children:
        return children
