"""Values of a spec as JSON, and back, by the annotations of the generated package.

Rules of this file: bytes are text where they are text, else base64, so that a cassette can be read and searched. What
comes from a file is not trusted: `decoded` raises ValueError for anything that is no value of its type.
"""

from __future__ import annotations

import base64
from enum import IntEnum
from functools import lru_cache
from types import GenericAlias, ModuleType, UnionType
from typing import Any

_PLAIN = dict.fromkeys((0, 9, 13))
"""Control characters that text may have."""
_MANY = 8
"""Of more flags than this those that are not set are written, after a `~`, if they are fewer."""


def encoded(value: Any) -> Any:
    """The value as JSON can have it."""
    if isinstance(value, (bytes, memoryview)):
        return encoded_bytes(bytes(value))
    if isinstance(value, IntEnum):
        return value.name
    if isinstance(value, list):
        return [encoded(one) for one in value]
    if isinstance(value, tuple):
        tag = getattr(value, "tag", None)
        if tag is not None:  # a case of a union
            return {"tag": encoded(tag), "value": [encoded(one) for one in value]}
        fields = getattr(value, "_fields", None)
        parts = [encoded(one) for one in value]
        return parts if fields is None else dict(zip(fields, parts, strict=True))
    names = getattr(value, "names", None)
    if not isinstance(names, tuple):
        return value
    if len(names) > _MANY and len(others := (~value).names) < len(names):
        return "~" + "|".join(others)
    return "|".join(names)


def encoded_bytes(data: bytes) -> Any:
    """Bytes as text, or in base64."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = "\x7f"
    if text.isprintable() or "".join(text.split("\n")).translate(_PLAIN).isprintable():
        return text
    return {"base64": base64.b64encode(data).decode()}


def decoded_bytes(given: Any) -> bytes:
    """Bytes of what `encoded_bytes` made. ValueError for anything else."""
    if isinstance(given, str):
        return given.encode()
    if isinstance(given, dict) and isinstance(text := given.get("base64"), str):
        return base64.b64decode(text, validate=True)
    raise ValueError(f"{given!r:.80} is not bytes")


@lru_cache(maxsize=512)
def type_of(annotation: str, types: ModuleType) -> Any:
    """The type that an annotation in a generated package means."""
    return eval(annotation, {**vars(types), "types": types})  # text of our own generator


def decoded(given: Any, kind: Any, types: ModuleType) -> Any:
    """The value of this type that was encoded. ValueError for what is none."""
    if isinstance(kind, UnionType):
        tag = given.get("tag") if isinstance(given, dict) else None
        for case in kind.__args__:
            if encoded(case.tag.fget(None)) == tag:
                return decoded(given, case, types)
    elif isinstance(kind, GenericAlias):
        return _several(given, kind, types)
    elif isinstance(kind, type) and issubclass(kind, IntEnum):
        if isinstance(given, str) and given in kind.__members__:
            return kind[given]
    elif hasattr(kind, "from_names"):
        if isinstance(given, str):
            names = given.removeprefix("~")
            flags = kind.from_names(*names.split("|") if names else ())
            return flags if names == given else ~flags
    elif hasattr(kind, "tag"):
        tag = given.get("tag") if isinstance(given, dict) else None
        if tag == encoded(kind.tag.fget(None)) and isinstance(given.get("value"), list):
            return _record(given["value"], kind, types)
    elif hasattr(kind, "_fields"):
        if isinstance(given, dict) and list(given) == list(kind._fields):
            return _record(list(given.values()), kind, types)
    elif kind in (bytes, memoryview):
        return decoded_bytes(given)
    elif type(given) is kind or (kind is float and type(given) is int):
        return given
    raise ValueError(f"{given!r:.80} is not a {getattr(kind, '__name__', kind)}")


def _record(parts: list[Any], kind: Any, types: ModuleType) -> Any:
    kinds = [type_of(annotation, types) for annotation in kind.__annotations__.values()]
    if len(kinds) != len(parts):
        raise ValueError(f"{kind.__name__} has {len(kinds)} fields, not {len(parts)}")
    return kind._make([decoded(part, one, types) for part, one in zip(parts, kinds, strict=True)])


def _several(given: Any, kind: GenericAlias, types: ModuleType) -> Any:
    if not isinstance(given, list):
        raise ValueError(f"{given!r:.80} is not a list")
    if kind.__origin__ is tuple:
        if len(given) != len(kind.__args__):
            raise ValueError(f"{len(kind.__args__)} values are needed, not {len(given)}")
        return tuple(decoded(one, part, types) for one, part in zip(given, kind.__args__, strict=True))
    return [decoded(one, kind.__args__[0], types) for one in given]
