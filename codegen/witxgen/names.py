"""Every rule by which a spec name becomes a Python name.

Rules of this file: strings in, strings out; no other file changes the case of a name or avoids a name that is taken. A
name that already means something else in the generated code gets an underscore at its end. Two names of a spec that
become the same name in Python are refused by `clashes`.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable

RUNTIME_NAMES = frozenset(
    {
        "ABC",
        "Any",
        "BadValue",
        "Buffer",
        "Callable",
        "ClassVar",
        "Codec",
        "ConstPointer",
        "Exception",
        "FlagTable",
        "Flags",
        "Generic",
        "Guest",
        "GuestFault",
        "Handlers",
        "IntEnum",
        "Iterator",
        "Literal",
        "LookupError",
        "NamedTuple",
        "Never",
        "NoReturn",
        "OSError",
        "Pointer",
        "RawAbi",
        "RawCalls",
        "SIGNATURES",
        "Self",
        "Signature",
        "Struct",
        "StructError",
        "Stub",
        "TypeAlias",
        "TypeVar",
        "UnicodeDecodeError",
        "WasiError",
    }
)
"""Class names that generated modules import, define or use themselves."""

CODEC_NAMES = frozenset(
    {"BOOL", "BYTES", "CHAR", "F32", "F64", "S16", "S32", "S64", "S8", "SIGNATURES", "TEXT", "U16", "U32", "U64", "U8"}
)
"""Constants that generated modules import or define themselves."""

ANNOTATION_NAMES = frozenset({"bool", "float", "int", "list", "memoryview", "property", "str", "tuple"})
"""Names that annotations and decorators use: an attribute of a class of the same name would hide them."""

LOCAL_NAMES = frozenset(
    {
        "buffer_at",
        "buffer_len",
        "character",
        "codecs",
        "const_pointer_to",
        "error",
        "float",
        "guest",
        "handle",
        "handlers",
        "int",
        "list_of",
        "make",
        "ord",
        "pointer_to",
        "returned",
        "s32",
        "s64",
        "self",
        "str",
        "view",
    }
)
"""Functions that stubs and raw methods call, and their local variables."""

CODEC_LOCALS = frozenset({"at", "guest", "make", "types", "value"})
"""As `LOCAL_NAMES`, for the readers and writers of records."""

_TUPLE_METHODS = frozenset({"count", "index"})
_CLASS_BODY_NAMES = frozenset({"abstractmethod", "stubs"})
_CALL_NAMES = frozenset({"function", "kept", "module", "types"})
_ODD_MEMBERS = {"2BIG": "TOOBIG"}
_LOOKS_LIKE_A_DIGIT = frozenset({"I", "O", "l"})


def _plain(name: str) -> str:
    """The name with underscores for what Python does not allow, and none at its start."""
    return re.sub(r"\W", "_", name, flags=re.ASCII).lstrip("_")


def _avoid(name: str, *taken: Iterable[str]) -> str:
    odd = keyword.iskeyword(name) or name in _LOOKS_LIKE_A_DIGIT or any(name in names for names in taken)
    return name + "_" if odd else name


def class_name(name: str) -> str:
    """`event_fd_readwrite` -> `EventFdReadwrite`; a name that the runtime uses gets an underscore."""
    joined = "".join(part[:1].upper() + part[1:] for part in _plain(name).split("_") if part) or "N"
    if joined[0].isdigit():
        joined = "N" + joined
    return _avoid(joined, RUNTIME_NAMES)


def _upper(name: str) -> str:
    upper = _plain(name).upper()
    return upper if upper[:1].isalpha() else "N" + upper


def member_name(name: str) -> str:
    """A case or a flag: `notcapable` -> `NOTCAPABLE`; the one odd spec name `2big` -> `TOOBIG`."""
    return _avoid(_ODD_MEMBERS.get(name.upper(), _upper(name)), {"MASK"})


def value_name(name: str) -> str:
    """A parameter or a local variable: `in` -> `in_`."""
    plain = _plain(name)
    if not plain[:1].isalpha():
        plain = "n" + plain
    return _avoid(plain, LOCAL_NAMES, RUNTIME_NAMES, CODEC_NAMES)


def local_name(name: str, taken: set[str]) -> str:
    """`name`, or the first of `name_`, `name__`, ... that is not taken; takes it."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def field_name(name: str) -> str:
    """A field of a record, different from tuple's methods and from names in annotations; a number becomes `item_0`."""
    if name.isdigit():
        return f"item_{name}"
    plain = _plain(name)
    if not plain[:1].isalpha():
        plain = "n" + plain
    return _attribute(plain, _TUPLE_METHODS)


def _attribute(plain: str, *taken: Iterable[str]) -> str:
    """A name in the body of a class: its first letter becomes lower case, so that it differs from every type."""
    return _avoid(plain[0].lower() + plain[1:], ANNOTATION_NAMES, *taken)


def constant_name(name: str) -> str:
    """A module-level constant for a type: `event_fd_readwrite` -> `EVENT_FD_READWRITE`."""
    return _avoid(_upper(name), CODEC_NAMES)


def function_name(name: str) -> str:
    """A function as a method, and as the stub of that name."""
    plain = _plain(name)
    if not plain[:1].isalpha():
        plain = "n" + plain
    return _attribute(plain, LOCAL_NAMES, _CLASS_BODY_NAMES)


def call_class_name(method: str, taken: set[str]) -> str:
    """The record of a function's calls: `path_open` -> `PathOpen`. Takes the name."""
    return local_name(class_name(method), taken)


def call_field_name(name: str, taken: set[str]) -> str:
    """A parameter of a handler as a field of that record. Takes the name."""
    return local_name(_avoid(field_name(name), _CALL_NAMES), taken)


def group_name(prefix: str) -> str:
    """The abstract class of a group of functions: `fd` -> `FdHandlers`."""
    return class_name(prefix).rstrip("_") + "Handlers"


def case_class_name(type_name: str, case: str) -> str:
    """The class of one case of a variant or union: `prestat`, `dir` -> `PrestatDirCase`."""
    return class_name(type_name).rstrip("_") + class_name(case).rstrip("_") + "Case"


def literal(text: str) -> str:
    """A string as ruff would quote it."""
    shown = repr(text)
    if text.count('"') > text.count("'"):
        return shown
    inner = shown[1:-1]
    if shown[0] == "'":
        inner = inner.replace("\\'", "'").replace('"', '\\"')
    return f'"{inner}"'
