"""Text of a `.witx` file to its syntax tree, with places and doc comments.

Rules of this file: the grammars define the language (`comments.lark` the block comments, `grammar.lark` the rest); the
code here runs them and turns lark's errors into `WitxError`. `build`, `syntax_hints` and this file are the only ones
that know lark.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from functools import cache

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken, VisitError
from lark.lark import PostLex

from witxgen import syntax
from witxgen.build import Builder
from witxgen.errors import Note, Source, WitxError
from witxgen.model import Span
from witxgen.syntax_hints import describe

_one_at_a_time = threading.Lock()  # the parser puts the doc comments of a text on itself


def parse(source: Source) -> tuple[syntax.Item, ...]:
    """The items of one file, in order.

    Raises `WitxError` at the first place that the grammar does not allow.
    """
    text = _blank_block_comments(source)
    parser, doc_comments = _parser()
    try:
        with _one_at_a_time:
            tree, comments = parser.parse(text), doc_comments.texts
        return Builder(source, comments).transform(tree)
    except VisitError as error:
        if isinstance(error.orig_exc, WitxError):
            raise error.orig_exc from None
        raise
    except UnexpectedInput as error:
        raise _syntax_error(source, error) from None
    except RecursionError:
        raise WitxError(Span(source.file, 1, 1), "types nest too deeply", source.line(1)) from None


class _DocComments(PostLex):
    """Takes the `;;;` comments out of the token stream; `texts` maps the place of the token after a run to its text."""

    always_accept = ("DOC", "ATOM", "BAD_STRING")

    def __init__(self) -> None:
        self.texts: dict[tuple[int, int], str] = {}

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        self.texts = {}
        run: list[str] = []
        for token in stream:
            if token.type == "DOC":
                run.append(token[3:].rstrip())
                continue
            if run:
                self.texts[token.line or 0, token.column or 0] = _unindent(run)
                run = []
            yield token


def _unindent(lines: list[str]) -> str:
    """Join the lines of a doc comment, without the margin they share."""
    margin = min((len(line) - len(line.lstrip()) for line in lines if line), default=0)
    return "\n".join(line[margin:] for line in lines).strip("\n")


@cache
def _parser() -> tuple[Lark, _DocComments]:
    doc_comments = _DocComments()
    parser = Lark.open(
        "grammar.lark", rel_to=__file__, parser="lalr", lexer="basic", postlex=doc_comments, propagate_positions=True
    )
    return parser, doc_comments


@cache
def _comment_parser() -> Lark:
    return Lark.open("comments.lark", rel_to=__file__, parser="lalr", propagate_positions=True)


def _blank_block_comments(source: Source) -> str:
    """The text with every character of a block comment replaced by a space, so that the rest keeps its place."""
    text = source.text
    if "(;" not in text:
        return text
    try:
        tree = _comment_parser().parse(text)
    except UnexpectedToken as error:
        opener = next(token for token in error.interactive_parser.parser_state.value_stack if token == "(;")
        message = "this block comment is not closed; every `(;` needs a `;)`, also inside another comment"
        raise _error(source, opener, message) from None
    parts: list[str] = []
    end = 0
    for block in tree.children:
        if isinstance(block, Tree):
            start, stop = block.meta.start_pos, block.meta.end_pos
            parts += text[end:start], re.sub(r"[^\n]", " ", text[start:stop])
            end = stop
    return "".join((*parts, text[end:]))


def _error(source: Source, token: Token, message: str, note: Note | None = None) -> WitxError:
    line = token.line or 1
    return WitxError(Span(source.file, line, token.column or 1), message, source.line(line), note)


def _syntax_error(source: Source, error: UnexpectedInput) -> WitxError:
    if isinstance(error, UnexpectedCharacters):
        char = source.text[error.pos_in_stream or 0]
        name = f"`{char}`" if char.isprintable() else f"U+{ord(char):04X}"
        hint = "; comments are `;; ...` or `(; ... ;)`" if char == ";" else ""
        token = Token("", char, line=error.line, column=error.column)
        return _error(source, token, f"unexpected character {name}{hint}")
    assert isinstance(error, UnexpectedToken)
    token = error.token
    message = describe(error, _parser()[0])
    if token.type != "$END":
        return _error(source, token, message)
    opener = [item for item in error.interactive_parser.parser_state.value_stack if item == "("][-1]
    span = Span(source.file, opener.line, opener.column)
    note = Note(span, "this `(` is not closed", source.line(opener.line))
    lines = source.text.rstrip().split("\n")
    end = Token("$END", "", line=len(lines), column=len(lines[-1]) + 1)
    return _error(source, end, message, note)
