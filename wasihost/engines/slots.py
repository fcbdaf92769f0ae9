"""How numbers are passed to and from functions: in slots of 16 bytes, as large as the largest value of WebAssembly."""

from __future__ import annotations

import struct
from functools import cache

from wasihost.common.names import shown
from wasihost.errors import LinkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from wasihost.engines.base import Signature

_FORMATS = {"i32": "i12x", "i64": "q8x", "f32": "f12x", "f64": "d8x"}
_MASKS = {"i32": 0xFFFF_FFFF, "i64": 0xFFFF_FFFF_FFFF_FFFF}


def passing(
    name: str, params: Sequence[str], results: Sequence[str]
) -> tuple[struct.Struct, list[int | None], struct.Struct]:
    """What writes the parameters, with a mask for each that is an integer, and what reads the results. LinkError for
    types that cannot be passed."""
    types = (*params, *results)
    if any(one not in _FORMATS for one in types):
        raise LinkError(f"export {shown(name)}: has types that cannot be passed here: {', '.join(types)}")
    take = "".join(_FORMATS[one].upper() if one[0] == "i" else _FORMATS[one] for one in params).replace("X", "x")
    give = "".join(_FORMATS[one] for one in results)
    return struct.Struct("<" + take), [_MASKS.get(one) for one in params], struct.Struct("<" + give)


def masked(number: int | float, mask: int) -> int:
    """An integer without its sign. TypeError for what is none, OverflowError for one that is too large."""
    if not isinstance(number, int):
        raise TypeError(f"an integer is needed, not {number!r}")
    if not -(mask >> 1) - 1 <= number <= mask:
        raise OverflowError(f"{number} does not fit {mask.bit_length()} bits")
    return number & mask


def refusing(name: str, params: tuple[str, ...], results: tuple[str, ...]) -> tuple[str, str, Callable[..., bytes]]:
    """For `_native.Door.export`: the `struct` characters of parameters and results, and what is called with numbers
    that are not plain ones. It raises for those that cannot be passed, and returns the bytes of the others' slots."""
    take, masks, _ = passing(name, params, results)

    def refuse(*numbers: int | float) -> bytes:
        if len(numbers) != len(masks):
            raise wrong_count(name, params, len(numbers))
        return take.pack(
            *(one if mask is None else masked(one, mask) for one, mask in zip(numbers, masks, strict=True))
        )

    return "".join(_FORMATS[one][0] for one in params), "".join(_FORMATS[one][0] for one in results), refuse


def wrong_count(name: str, params: tuple[str, ...], given: int) -> TypeError:
    """The error for another number of arguments than the function has parameters."""
    return TypeError(f"{shown(name)} takes {len(params)} numbers ({', '.join(params)}), {given} were given")


@cache
def apart(kinds: str) -> struct.Struct:
    """Values in slots of 16 bytes each, by their `struct` characters."""
    return struct.Struct("<" + "".join(f"{one}{16 - struct.calcsize('<' + one)}x" for one in kinds[:-1]) + kinds[-1:])


def pack_results(signature: Signature, returned: Any) -> bytes:
    """The bytes of the slots of what a function returned. struct.error for what is not of the type's numbers."""
    results = signature.result_slots
    return apart(results).pack(*(returned if len(results) > 1 else (returned,)))
