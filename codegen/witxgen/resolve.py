"""Syntax trees to the checked model: names are looked up, the rules of the language and of the ABI are checked.

Rules of this file: a declaration sees only those before it, so a name's meaning never changes and no type contains
itself. The first fault raises an error at its own place. `scope` handles names and `typedefs` types; modules, functions
and constants are handled here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from witxgen import syntax
from witxgen.abi import refusal
from witxgen.layout import size_align
from witxgen.model import Constant, Document, Function, Module, Param, Ref, TypeDef
from witxgen.reading import Reader
from witxgen.scope import Names, Scope
from witxgen.typedefs import TypeBuilder, constant_range
from witxgen.witx_text import a_kind

_MEMORY = 1 << 32


def load(paths: Sequence[Path]) -> Document:
    """Read and check a spec: the given files and those they use.

    Raises `WitxError` at the first fault, also where a file cannot be read.
    """
    reader = Reader()
    reader.read_all(paths)
    return _Resolver(reader).document()


class _Resolver:
    """Goes through the declarations of a document once, in order."""

    def __init__(self, reader: Reader) -> None:
        self._declarations = reader.declarations
        self._error = reader.error
        self._names = Names(reader)
        self._types = TypeBuilder(self._names)
        self._top = Scope()
        self._module_scopes: dict[str, Scope] = {}
        self._typedefs: list[TypeDef] = []
        self._modules: list[Module] = []
        self._constants: list[Constant] = []
        self._constant_names: dict[TypeDef, list[syntax.Name]] = {}

    def document(self) -> Document:
        for declaration in self._declarations:
            match declaration:
                case syntax.Typename():
                    self._typename(declaration, self._top)
                case syntax.Constant():
                    self._constant(declaration, self._top)
                case syntax.Module():
                    self._module(declaration)
        return Document(tuple(self._typedefs), tuple(self._modules), tuple(self._constants))

    def _typename(self, typename: syntax.Typename, scope: Scope) -> None:
        name = typename.name
        self._names.introduce("type", name)
        self._names.current = name
        type_ = self._types.build(typename.type, scope, named=True)
        self._names.current = None
        definition = TypeDef(name.text, type_, typename.docs, name.span)
        size = size_align(Ref(definition)).size
        if size > _MEMORY:
            raise self._error(name.span, f"`${name.text}` takes {size} bytes, more than a 32-bit memory has")
        scope.types[name.text] = definition
        self._typedefs.append(definition)

    def _constant(self, constant: syntax.Constant, scope: Scope) -> None:
        definition = self._names.type(scope, constant.type)
        others = self._constant_names.setdefault(definition, [])
        others.append(constant.name)
        self._names.unique(f"the constant {{}} of `${definition.name}`", others)
        allowed = constant_range(definition.type)
        if allowed is None:
            label = f"`${definition.name}` is {a_kind(definition.type)}"
            raise self._error(constant.type.span, f"{label}; a constant must be an integer, flags or a handle")
        if constant.value not in allowed:
            bounds = f"its values go from {allowed[0]} to {allowed[-1]}"
            raise self._error(constant.value_span, f"{constant.value} does not fit `${definition.name}`; {bounds}")
        self._constants.append(Constant(definition, constant.name.text, constant.value, constant.docs))

    def _module(self, module: syntax.Module) -> None:
        self._names.introduce("module", module.name)
        scope = Scope(self._top)
        functions: list[Function] = []
        memories: list[str] = []
        externals = [item.name for item in module.items if isinstance(item, syntax.Function | syntax.Memory)]
        self._names.unique("the import or function {}", externals, sigil="")
        for item in module.items:
            match item:
                case syntax.Typename():
                    self._typename(item, scope)
                case syntax.Constant():
                    self._constant(item, scope)
                case syntax.Resource(name=name):
                    scope.resources.add(name.text)
                case syntax.UseNames():
                    self._use(item, scope)
                case syntax.Memory(name=name):
                    memories.append(name.text)
                case syntax.Function():
                    functions.append(self._function(item, scope))
        self._module_scopes[module.name.text] = scope
        name = module.name
        self._modules.append(Module(name.text, tuple(memories), tuple(functions), module.docs, name.span))

    def _use(self, use: syntax.UseNames, scope: Scope) -> None:
        """Make names of another module visible in this one."""
        other = self._module_scopes.get(use.module.text)
        if other is None:
            message = (
                f"there is no module `${use.module.text}` before this one, and no {use.module.text}.witx beside it"
            )
            raise self._error(use.module.span, message)
        if use.names is None:
            scope.types |= other.types
            scope.resources |= other.resources
            return
        for there, here in use.names:
            found = other.types.get(there.text)
            if found is not None and here.text != there.text:
                self._names.introduce("type", here)
                found = TypeDef(here.text, Ref(found), "", here.span)
                self._typedefs.append(found)
            if found is not None:
                scope.types[here.text] = found
            elif there.text in other.resources:
                scope.resources.add(here.text)
            else:
                raise self._error(there.span, f"the module `${use.module.text}` has no type `${there.text}`")

    def _function(self, function: syntax.Function, scope: Scope) -> Function:
        name = function.name
        self._names.unique(
            "the parameter or result {}", (field.name for field in (*function.params, *function.results))
        )
        params = tuple(self._param(field, scope) for field in function.params)
        results = [self._param(field, scope) for field in function.results]
        if len(results) > 1:
            message = (
                "a function has one result at most; return (expected (tuple $a $b) (error $errno)) to yield several"
            )
            first = (function.results[0].name.span, "the first result is here")
            raise self._error(function.results[1].name.span, message, first)
        result = results[0] if results else None
        if result is not None:
            place = function.results[0].type.span
            if function.noreturn is not None:
                first = (function.noreturn, "it is marked here")
                raise self._error(place, "a function that does not return cannot have a result", first)
            reason = refusal(result.type)
            if reason is not None:
                raise self._error(place, reason)
        return Function(name.text, params, result, function.noreturn is not None, function.docs, name.span)

    def _param(self, field: syntax.Field, scope: Scope) -> Param:
        return Param(field.name.text, self._types.build(field.type, scope), field.docs)
