"""What a guest's function takes and returns, from its export and from the types that the caller says.

Rules of this file: everything that can be wrong is found when the function is made, not at a call.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_type_hints

from wasihost.common.names import listed, near, shown
from wasihost.errors import ConfigError, LinkError
from wasihost.guest.calling import check_result
from wasihost.imports import Unsigned

if TYPE_CHECKING:
    from wasihost.engines.values import Item
    from wasihost.guest.calling import ResultAs

_TEXTS: Final = (str, bytes)
_ACCEPTED: Final[Mapping[Any, tuple[type, ...]]] = {
    int: (int,),
    bool: (int,),
    float: (float, int),
    str: (str,),
    bytes: (bytes, bytearray, memoryview),
    Unsigned: (int,),
}
_INTEGERS: Final = ("i32", "i64")


class Signature(NamedTuple):
    """`params` and `returns` are types, or None where nothing is said; `of` is that of a Python function."""

    params: tuple[Any, ...] | None
    returns: Any
    of: inspect.Signature | None

    @property
    def accepted(self) -> tuple[tuple[type, ...], ...] | None:
        """The types that each argument may have."""
        return None if self.params is None else tuple(_ACCEPTED[one] for one in self.params)

    @property
    def texts(self) -> bool:
        """Whether a call has to convert more than a number or a bool."""
        return self.returns in (str, bytes, Unsigned) or any(one in _TEXTS for one in self.params or ())

    def misfit(self, arguments: Sequence[Any], name: str) -> TypeError:
        """The error for arguments that are not of these types."""
        params = self.params or ()
        if len(arguments) != len(params):
            return TypeError(f"{shown(name)} takes {len(params)} arguments, {len(arguments)} were given")
        fits = [isinstance(value, _ACCEPTED[kind]) for value, kind in zip(arguments, params, strict=True)]
        number = fits.index(False)
        named = f" ({list(self.of.parameters)[number]})" if self.of else ""
        wanted, given = params[number].__name__, type(arguments[number]).__name__
        return TypeError(f"{shown(name)}: argument {number + 1}{named} has to be {wanted}, not {given}")

    def bound(self, arguments: tuple[Any, ...], named: Mapping[str, Any], name: str) -> tuple[Any, ...]:
        """The arguments in their order, with defaults. Raises TypeError."""
        if self.of is None:
            raise TypeError(f"{shown(name)} takes no arguments by name") if named else self.misfit(arguments, name)
        made = self.of.bind(*arguments, **named)
        made.apply_defaults()
        return made.args


def export_of(exports: Mapping[str, Item], name: str, module: str) -> Item:
    """The exported function of this name. LinkError if there is none."""
    item = exports.get(name)
    if item is not None and item.kind == "func":
        return item
    functions = [one.name for one in exports.values() if one.kind == "func"]
    meant = near(name, functions)
    raise LinkError(
        f"{shown(module)} exports no function {name!r}: "
        + (f"did you mean {shown(meant)}?" if meant else f"it exports {listed(functions, 20) or 'none'}")
    )


def declared(params: Sequence[Any] | None, returns: Any, python: Callable[..., Any] | None) -> Signature:
    """The signature that `params` and `returns` say, or the annotations of a Python function.

    Raises:
        ConfigError: A type is none that a guest's function can have.
    """
    of = None
    if python is not None:
        of = inspect.signature(python)
        hints = get_type_hints(python)
        kinds = {one.kind for one in of.parameters.values()}
        if kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}:
            raise ConfigError(
                f"{python.__name__}: a guest's function takes neither *args, **kwargs nor keyword-only ones"
            )
        missing = [name for name in of.parameters if name not in hints]
        if missing or "return" not in hints:
            raise ConfigError(f"{python.__name__}: annotate {', '.join(missing) or 'what it returns'}")
        params = [hints[name] for name in of.parameters]
        returns = hints["return"]
        returns = None if returns is type(None) else returns
    for one in params or ():
        if one not in _ACCEPTED:
            raise ConfigError(f"a parameter cannot be {_shown(one)}: int, float, bool, str or bytes")
    if returns is not None and returns not in _ACCEPTED:
        raise ConfigError(f"returns cannot be {_shown(returns)}: int, Unsigned, float, bool, str, bytes or None")
    return Signature(None if params is None else tuple(params), returns, of)


def check_export(item: Item, signature: Signature, result_as: ResultAs | None) -> None:
    """Check that an export can have this signature.

    Raises:
        LinkError: It cannot.
    """
    params, returns = signature.params, signature.returns
    try:
        check_result(item, returns, result_as)
    except TypeError as error:
        raise LinkError(str(error)) from None
    # Then its first parameter is where it writes its result.
    out = returns in _TEXTS and (result_as == "out" or (result_as is None and not item.results))
    if params is None:
        return
    wasm = item.params[1:] if out else item.params
    texts = sum(one in _TEXTS for one in params)
    if len(wasm) not in (len(params), len(params) + texts):
        raise LinkError(
            f"{shown(item.name)} takes ({', '.join(wasm)}), which cannot be ({', '.join(map(_shown, params))})"
        )
    wide, at = len(wasm) != len(params), 0
    for one in params:
        width = 2 if wide and one in _TEXTS else 1
        fits = wasm[at : at + width]
        if any((kind in _INTEGERS) == (one is float) for kind in fits):
            raise LinkError(
                f"{shown(item.name)} takes ({', '.join(wasm)}), which cannot be ({', '.join(map(_shown, params))})"
            )
        at += width


def _shown(kind: Any) -> str:
    return getattr(kind, "__name__", None) or repr(kind)
