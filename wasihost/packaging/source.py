"""Writes the Python of a wheel: its functions, its commands.

Rules of this file: every text that comes from outside is written by `ascii`, every name is an identifier (`api`), so
no text can become code. What is written runs with this version of wasihost and later ones, and starts as fast as the
command: `wasihost` imports what is used.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from wasihost.packaging.api import Conditional, Function, identifier, pieces

MODULE = "module.wasm"


def commands_source(commands: Sequence[str], options: Sequence[str]) -> str:
    """Return the module with one function for each console script."""
    lines = [
        '"""The commands of this package."""',
        "",
        "import os",
        "",
        "from wasihost.__main__ import program",
        "",
        f'MODULE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "{MODULE}")',
        f"OPTIONS = {_texts(options)}",
    ]
    for name in commands:
        lines += ["", "", f"def {identifier(name)}() -> None:", f'    """Run {_doc(name)}, as a command does."""']
        lines += [f"    program(MODULE, OPTIONS, {name!a})"]
    return "\n".join([*lines, ""])


def main_source(command: str) -> str:
    """Return what `python -m` runs."""
    name = identifier(command)
    return f'"""The first command of this package."""\n\nfrom ._commands import {name}\n\n{name}()\n'


def functions_source(title: str, functions: Sequence[Function], commands: Sequence[str], stubs: Sequence[str]) -> str:
    """Return the package's own module: a typed function for each of these, and one for each command."""
    plain = [name for name in commands if identifier(name) not in {one.name for one in functions}]
    names = sorted([*(one.name for one in functions), *filter(None, map(identifier, plain))])
    returns = "wasihost.CompletedProcess[Any, Any, Any]"
    parts = [
        f'"""{_doc(title)}."""\n\nfrom __future__ import annotations\n',
        "import os\nimport threading\n\nimport wasihost\n",
        "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from collections.abc import Sequence\n"
        "    from typing import Any, Unpack\n",
        f"__all__ = {_texts(names, list_=True)}\n",
        f'_MODULE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "{MODULE}")\n'
        "_lock = threading.Lock()\n_compiled: list[wasihost.Module] = []\n_local = threading.local()\n",
        '''
def _module() -> wasihost.Module:
    """The module, compiled at its first use for runs in any thread."""
    with _lock:
        if not _compiled:
            _compiled.append(wasihost.Module(_MODULE, interruptible=True))
    return _compiled[0]
''',
    ]
    stubbed = f"    options.setdefault({'imports'!a}, {_stubs(stubs)})\n" if stubs else ""
    for name in plain:
        parts.append(
            f"\ndef {identifier(name)}(*arguments: str | bytes, **options: Unpack[wasihost.Options]) -> {returns}:\n"
            f'    """Run {_doc(name)} with these arguments; options are those of `wasihost.run`."""\n'
            f"{stubbed}"
            f"    config = wasihost.ModuleConfig().with_args({name!a}, *arguments)\n"
            f"    done: {returns} = wasihost.run(_module(), config, **options)\n"
            "    return done\n"
        )
    if any(one.kind == "export" for one in functions):
        imports = f", imports={_stubs(stubs)}" if stubs else ""
        parts.append(
            f'''
def _export(name: str, *arguments: Any, **how: Any) -> Any:
    """Call an export of this thread's guest, which is made at the first call, and again after one that failed."""
    guest = getattr(_local, "guest", None)
    if guest is None:
        guest = _local.guest = wasihost.instantiate(_module(){imports})
    try:
        return guest.exports[name](*arguments, **how)
    except wasihost.GuestError:
        _local.guest = None
        guest.close()
        raise
'''
        )
    parts += [_command(one, stubs) if one.kind == "command" else _exported(one) for one in functions]
    return "\n".join(parts)


def _head(one: Function, returns: str) -> str:
    needed = [f"{each.name}: {each.type}" for each in one.parameters if each.default is None]
    others = [f"{each.name}: {each.type} = {each.default}" for each in one.parameters if each.default is not None]
    text = ", ".join([*needed, *(["*"] if others and one.kind == "command" else []), *others])
    doc = _doc(one.doc or f"Call {one.target}")
    return f'\ndef {one.name}({text}) -> {returns}:\n    """{doc}."""\n'


def _exported(one: Function) -> str:
    names = {f"{{{each.name}}}": each.name for each in one.parameters}
    passed = "".join(f", {names.get(str(each)) or ascii(each)}" for each in one.args)
    if one.returns == "none":
        return f"{_head(one, 'None')}    _export({one.target!a}{passed})\n"
    how = f", returns={one.returns}" if one.returns in ("str", "bytes") else ""
    how += ", free_result=True" * one.free_result
    return (
        f"{_head(one, one.returns)}    result: {one.returns} = _export({one.target!a}{passed}{how})\n"
        "    return result\n"
    )


def _command(one: Function, stubs: Sequence[str]) -> str:
    types = {each.name: each.type for each in one.parameters}
    lines = ["_args: list[str] = []"]
    for argument in one.args:
        if isinstance(argument, Conditional):
            lines += [f"if {argument.when}:", f"    _args.append({_formatted(argument.arg)})"]
        elif types.get(str(argument)[1:-1]) == "Sequence[str]":
            lines.append(f"_args.extend({str(argument)[1:-1]})")
        else:
            lines.append(f"_args.append({_formatted(str(argument))})")
    lines += [
        "_done = wasihost.run(",
        "    _module(),",
        f"    wasihost.ModuleConfig().with_args({one.target!a}, *_args),",
    ]
    if one.stdin is not None:
        lines.append(f"    input={_content(one.stdin, types)},")
    files = [f"{name!a}: {_content(content, types)}" for name, content in one.files]
    if files or one.output is not None:
        lines.append(f"    files={{{', '.join(files)}}},")
    if stubs:
        lines.append(f"    imports={_stubs(stubs)},")
    lines += ["    capture_output=True,", "    check=True,", ")"]
    result = "_done.stdout" if one.output is None else f"bytes(_done.files[{one.output!a}])"
    returns = "None" if one.returns == "none" else one.returns
    if one.returns == "str":
        lines.append(f"return {result}.decode()")
    elif one.returns == "bytes":
        lines.append(f"return {result}")
    return _head(one, returns) + textwrap.indent("\n".join(lines), "    ") + "\n"


def _formatted(text: str) -> str:
    """Return an expression for a text with parameters in it."""
    found = [f"str({part})" if parameter else ascii(part) for parameter, part in pieces(text)]
    return " + ".join(found) or "''"


def _content(text: str, types: dict[str, str]) -> str:
    if types.get(text[1:-1]) == "bytes" and text == f"{{{text[1:-1]}}}":
        return text[1:-1]
    return f"({_formatted(text)}).encode()"


def _stubs(stubs: Sequence[str]) -> str:
    return f"[{', '.join(f'wasihost.Imports.stub({one!a})' for one in stubs)}]"


def _texts(texts: Sequence[str], *, list_: bool = False) -> str:
    inner = ", ".join(map(ascii, texts))
    return f"[{inner}]" if list_ else f"({inner},)" if texts else "()"


def _doc(text: str) -> str:
    """Return a text for a docstring: one that cannot end it, and has nothing to escape."""
    shown = " ".join(text.split()).replace("\\", "/").replace('"', "'")
    return "".join(one for one in shown if one.isprintable())[:500].rstrip(".") or "A function of this package"
