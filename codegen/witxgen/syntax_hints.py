"""The message of a syntax error: what was found and what the grammar allows there, in the words of witx.

Rules of this file: it asks the parser what it would accept and never repeats the grammar; a form such as `(field ...)`
is found by feeding the parser its first tokens.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable

from lark import Lark, Token
from lark.exceptions import UnexpectedToken
from lark.lexer import PatternStr
from lark.parsers.lalr_interactive_parser import InteractiveParser

_TYPE = "a type, such as u32, $name or (list ...)"
_INTEGER_TYPE = "an integer type: u8, u16, u32 or u64"
_VALUES = {
    "ID": "a name, such as $size",
    "STRING": 'a string, such as "memory"',
    "INT": "a number, such as 3 or 0xff",
}
_ENDS = {"RPAR": "`)`", "$END": "the end of the file"}
_FOREIGN_WORDS = {
    "struct": "`struct` is an old word for `record`",
    "array": "`array` is an old word for `list`",
    "int": "write an integer type with its width, such as u32 or s32",
    "in-buffer": "buffers belong to a later ABI; pass (@witx const_pointer u8) and a length",
    "out-buffer": "buffers belong to a later ABI; pass (@witx pointer u8) and a length",
    "interface": "annotations start with `@`: write (@interface func ...)",
    "func": 'write (@interface func (export "name") ...)',
}
"""Words of other dialects, and common mistakes, that a list of what was expected does not explain."""


def describe(error: UnexpectedToken, grammar: Lark) -> str:
    """The message for a token that the parser of `grammar` could not take."""
    token = error.token
    if token.type == "BAD_STRING":
        if len(token) > 1 and token.endswith('"'):
            return "this string has an escape or a character that strings cannot have"
        return "this string is not closed"
    accepted = _accepted(error.interactive_parser)
    if token == ")" and "$END" in accepted:
        return "this `)` closes nothing"
    forms = _forms(error.interactive_parser, grammar)
    takes_type = "U32" in accepted and "ID" in accepted
    words = _keywords(accepted - {"LPAR", "RPAR"}, grammar)
    expected = []
    if takes_type:
        expected.append(_TYPE)
        words = [word for word in words if word not in _keywords(_accepted(_type_start(grammar)), grammar)]
        forms = [form for form in forms if form not in _forms(_type_start(grammar), grammar)]
    elif "U32" in accepted:
        expected.append(_INTEGER_TYPE)
        words = []
    expected += [text for name, text in _VALUES.items() if name in accepted and not (takes_type and name == "ID")]
    expected += [f"`{word}`" for word in words]
    expected += forms
    expected += [text for name, text in _ENDS.items() if name in accepted]
    found = "the end of the file" if token.type == "$END" else f"`{token}`"
    message = f"expected {_either(expected)}, found {found}"
    hint = _hint(token, words, forms, takes_name="ID" in accepted)
    return f"{message}; {hint}" if hint else message


def _keywords(accepted: set[str], grammar: Lark) -> list[str]:
    """The fixed words among terminals, in the order of the alphabet."""
    patterns = (grammar.get_terminal(name).pattern for name in accepted if name != "$END")
    return sorted(pattern.value for pattern in patterns if isinstance(pattern, PatternStr))


def _forms(parser: InteractiveParser, grammar: Lark) -> list[str]:
    """The bracketed forms that could start here, as `(word ...)`."""
    if "LPAR" not in _accepted(parser):
        return []
    inside = _fed(parser, "LPAR", "(")
    forms = []
    for name in _accepted(inside):
        pattern = grammar.get_terminal(name).pattern
        if not isinstance(pattern, PatternStr):
            forms.append("($name as $name)")
        elif pattern.value == "@witx":
            forms += [f"(@witx {word} ...)" for word in _keywords(_accepted(_fed(inside, name, "@witx")), grammar)]
        else:
            forms.append(f"({pattern.value} ...)")
    return sorted(forms, key=lambda form: (form.startswith("(@"), form))


def _accepted(parser: InteractiveParser) -> set[str]:
    """The names of the terminals that could come next."""
    accepts: Callable[[], set[str]] = parser.accepts  # lark leaves it without types
    return accepts()


def _fed(parser: InteractiveParser, type_: str, text: str) -> InteractiveParser:
    """A copy of the parser that has taken one more token."""
    copy: Callable[..., InteractiveParser] = parser.copy  # lark leaves it without types
    fed = copy(deepcopy_values=False)
    fed.feed_token(Token(type_, text))
    return fed


def _type_start(grammar: Lark) -> InteractiveParser:
    """A parser at a place where a type, and nothing else, is expected."""
    parser = grammar.parse_interactive("(typename $x")
    parser.exhaust_lexer()
    return parser


def _either(choices: list[str]) -> str:
    if any(", " in choice for choice in choices):
        return ", or ".join(choices)
    return choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"


def _hint(token: Token, words: list[str], forms: list[str], takes_name: bool) -> str:
    """What the author most likely meant; empty if that is not known."""
    text = str(token)
    if text in _FOREIGN_WORDS:
        return _FOREIGN_WORDS[text]
    for key in ("tag", "repr"):
        if text in ("u8", "u16", "u32", "u64") and f"(@witx {key} ...)" in forms:
            return f"write (@witx {key} {text})"
    if token.type != "ATOM":
        return ""
    close = difflib.get_close_matches(text, words, n=1)
    if close:
        return f"did you mean `{close[0]}`?"
    return "names start with `$`" if takes_name else ""
