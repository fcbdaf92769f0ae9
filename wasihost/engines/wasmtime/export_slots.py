"""How numbers are passed to an exported function: in slots of 16 bytes, as in `trampolines` for the other direction."""

import struct
from collections.abc import Sequence

from wasihost.common.names import shown
from wasihost.errors import LinkError

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
