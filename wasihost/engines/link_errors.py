"""The message for a module that does not fit its host: names each misfit, and what to do about it.

Rules of this file: one line for all functions of one import module, and no advice twice. Names from a module are
printed through `names`. Imported only if there is a misfit.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from wasihost.binary.toolchains import MadeFor, made_for
from wasihost.common.names import listed, near, shown
from wasihost.engines.checks import passable, signed_text, unfit_import
from wasihost.engines.values import Item

if TYPE_CHECKING:
    from wasihost.engines.base import CompiledModule, Imports, Offered, Signature, Stub

_SHOWN = 10  # lines in one message
_NAMED = 3  # modules or names in one advice
_LOOKED_AT = 50  # unknown names for which a similar one is searched


class _Misfit(NamedTuple):
    """What is wrong, and what to do about it."""

    what: str
    advice: str = ""
    unknown: str = ""  # the import module, if functions of it can be provided or stubbed


def _misfits(module: "CompiledModule", provided: "Imports", offered: "Offered") -> list[_Misfit]:
    """Return the misfits of imports, in order; unknown functions of one import module are one misfit."""
    found: list[_Misfit] = []
    unknown: dict[str, list[str]] = {}
    others: dict[str, list[Item]] = {}
    for item in dict.fromkeys(module.imports):
        if item.memory:
            if text := unfit_import(f"import {_full(item)}", item.memory):
                found.append(_Misfit(text))
        elif item.kind != "func":
            others.setdefault(item.module, []).append(item)
        elif not passable(item):
            found.append(
                _Misfit(
                    f"import {_full(item)}: has type {signed_text(item.params, item.results)}, with types that "
                    "cannot be passed between guest and host"
                )
            )
        elif (known := _provided(provided, item.module).get(item.name)) is None:
            unknown.setdefault(item.module, []).append(item.name)
        else:
            signature, _ = known
            if (item.params, item.results) != (signature.params, signature.results):
                found.append(
                    _Misfit(
                        f"import {_full(item)}: has type {signed_text(item.params, item.results)}, "
                        f"the specification says {signed_text(signature.params, signature.results)}"
                    )
                )
    for name, items in others.items():
        names = [item.name for item in items]
        kinds = " and ".join(sorted({f"a {item.kind}" if len(items) == 1 else f"{item.kind}s" for item in items}))
        host = made_for(name, [*names, *unknown.get(name, ())])
        found.append(
            _Misfit(
                f"{_imports(name, names)}: {kinds}",
                _advice(host) if host else "this host provides functions and memories: link the guest statically",
            )
        )
    return [_unknown(name, unknown[name], others.get(name, ()), provided, offered) for name in unknown] + found


def _provided(provided: "Imports", module: str) -> "Mapping[str, tuple[Signature, Stub]]":
    try:
        return provided[module]  # some modules are made at this moment
    except KeyError:
        return {}


def _unknown(
    module: str, names: Sequence[str], others: Sequence[Item], provided: "Imports", offered: "Offered"
) -> _Misfit:
    what = f"{_imports(module, names)}: unknown"
    known = {*offered.get(module, ()), *_provided(provided, module)}
    meant = {name: other for name in names[:_LOOKED_AT] if (other := near(name, known))}
    if len(names) == len(meant) == 1:
        return _Misfit(f"{what}; did you mean {meant[names[0]]}?", unknown=module)
    if meant:
        pairs = [f"{other} by {shown(name)}" for name, other in meant.items()]
        return _Misfit(f"{what}; did you mean {', '.join(pairs[:_NAMED])}?", unknown=module)
    if host := made_for(module, [*names, *(item.name for item in others)]):
        return _Misfit(what, _advice(host), module)
    if module.startswith("wasi_") and known:
        return _Misfit(
            what, "the specification has no such function: is the guest built for another version of WASI?", module
        )
    if offered.get(module):
        return _Misfit(f"{what}; what is given for {shown(module)} has {listed(sorted(known))}", unknown=module)
    if module not in offered and not known and (other := near(module, [*provided, *offered])):
        return _Misfit(f"{what}; did you mean the module {shown(other)}?", unknown=module)
    if module == "env" and "abort" in names:
        return _Misfit(what, "AssemblyScript's abort takes (message: int, file: int, line: int, column: int)", module)
    return _Misfit(what, unknown=module)


def _advice(host: MadeFor) -> str:
    return f"the guest was made for {host.host}: {host.advice}"


def _to_type(modules: Sequence[str], one: bool) -> str:
    """Return what a user can type to provide or to stub the functions of these import modules."""
    names = [shown(module) for module in modules[:_NAMED]]
    quoted = [shlex.quote(name) for name in names]
    more = ", ..." if len(modules) > _NAMED else ""
    given = ", ".join(f"wasihost.Imports({name!r})" for name in names if not name.startswith("wasi_")) + more
    stubs = ", ".join(f"wasihost.Imports.stub({name!r})" for name in names) + more
    what = "it" if one else "them"
    ways = []
    if real := [name for name in quoted if not name.startswith("wasi_")]:
        ways.append(f"give {what} by imports=[{given}] with your functions")
        ways.append("by another guest (" + " ".join(f"--preload {name}=FILE.wasm" for name in real) + ")")
    ways.append(
        f"{'or ' * bool(ways)}stub what is never called (imports=[{stubs}]; "
        f"{' '.join(f'--stub {name}' for name in quoted)})"
    )
    return ", ".join(ways)


def _imports(module: str, names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"import {shown(module)}.{shown(names[0])}"
    return f"imports from {shown(module)}: {listed(names)}"


def _full(item: Item) -> str:
    return f"{shown(item.module)}.{shown(item.name)}"


def report(module: "CompiledModule", provided: "Imports", lacking: str, label: str, offered: "Offered") -> str:
    """Return the whole message about a module called `label`; `lacking` is what is wrong with its exports."""
    misfits = _misfits(module, provided, offered)
    if lacking:
        misfits.append(_Misfit(lacking))
    unknown = [one.unknown for one in misfits if one.unknown]
    if len(misfits) == 1:
        what, advice, _ = misfits[0]
        parts = [f"{shown(label)}: {what}", advice, _to_type(unknown, "imports from" not in what) if unknown else ""]
        return "; ".join(filter(None, parts))
    lines = [one.what for one in misfits[:_SHOWN]]
    if len(misfits) > _SHOWN:
        lines.append(f"and {len(misfits) - _SHOWN} more")
    hints = list(dict.fromkeys(one.advice for one in misfits if one.advice))
    if unknown:
        hints.append(_to_type(unknown, False))
    return f"{shown(label)} does not fit this host:\n  " + "\n  ".join(lines) + "".join(f"\n{one}" for one in hints)
