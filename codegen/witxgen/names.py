"""Every rule by which a spec name becomes a Python name.

Rules of this file: strings in, strings out; no other file changes the case of a name or dodges a keyword.
"""

from __future__ import annotations

import keyword
import re

RUNTIME_NAMES = frozenset(
    {
        "ABC",
        "Any",
        "BadValue",
        "Callable",
        "ClassVar",
        "Codec",
        "ConstPointer",
        "FlagTable",
        "Flags",
        "Guest",
        "GuestFault",
        "Handlers",
        "IntEnum",
        "Literal",
        "NamedTuple",
        "NoReturn",
        "OSError",
        "Pointer",
        "RawAbi",
        "RawCalls",
        "Self",
        "Signature",
        "Struct",
        "StructError",
        "Stub",
        "TypeAlias",
        "WasiError",
    }
)
"""Class names that generated modules import or define themselves."""

LOCAL_NAMES = frozenset(
    {"answer", "buffer_at", "buffer_len", "codecs", "error", "guest", "handle", "handlers", "self", "str", "view"}
)
"""What a generated stub calls its own variables."""

_TUPLE_METHODS = frozenset({"count", "index"})
_ODD_MEMBERS = {"2BIG": "TOOBIG"}


def _plain(name: str) -> str:
    """Only letters, digits and underscores; an id of the text format allows more."""
    return re.sub(r"\W", "_", name, flags=re.ASCII)


def class_name(name: str) -> str:
    """`event_fd_readwrite` -> `EventFdReadwrite`; a name of the runtime's gets an underscore."""
    joined = "".join(part[:1].upper() + part[1:] for part in _plain(name).split("_") if part) or "Type"
    if joined[0].isdigit():
        joined = "N" + joined
    return joined + "_" if joined in RUNTIME_NAMES or keyword.iskeyword(joined) else joined


def member_name(name: str) -> str:
    """A case or a flag: `notcapable` -> `NOTCAPABLE`; the one odd spec name `2big` -> `TOOBIG`."""
    upper = _plain(name).upper()
    upper = _ODD_MEMBERS.get(upper, upper)
    return "N" + upper if upper[:1].isdigit() else upper


def value_name(name: str) -> str:
    """A parameter or a local variable: `in` -> `in_`."""
    plain = _plain(name)
    if plain[:1].isdigit():
        plain = "n" + plain
    return plain + "_" if keyword.iskeyword(plain) or plain in LOCAL_NAMES else plain


def field_name(name: str) -> str:
    """A field of a record: as a value, and no method of tuple; a number becomes `item_0`."""
    if name.isdigit():
        return f"item_{name}"
    plain = value_name(name).lstrip("_") or "field"
    return plain + "_" if plain in _TUPLE_METHODS else plain


def constant_name(name: str) -> str:
    """A module-level constant for a type: `event_fd_readwrite` -> `EVENT_FD_READWRITE`."""
    upper = _plain(name).upper()
    return "N" + upper if upper[:1].isdigit() else upper


def function_name(name: str) -> str:
    """A function as a method: keywords get an underscore."""
    plain = _plain(name)
    if plain[:1].isdigit():
        plain = "n" + plain
    return plain + "_" if keyword.iskeyword(plain) else plain


def group_name(prefix: str) -> str:
    """The abstract class of a group of functions: `fd` -> `FdHandlers`."""
    return class_name(prefix) + "Handlers"


def case_class_name(type_name: str, case: str) -> str:
    """The class of one case of a variant or union: `prestat`, `dir` -> `PrestatDirCase`."""
    return class_name(type_name).rstrip("_") + class_name(case).rstrip("_") + "Case"
