"""The C functions that we use, declared on first use, and the few C structures that they need.

Rules of this file. Each function here has the same C prototype in all wheels from 25 on; where versions differ, there
are two names, and `has` finds which one exists. Objects of the engine are plain addresses (`c_void_p`, an int in
Python). No structure whose layout differs between versions is declared: an extern is an opaque block with its kind in
the first byte and its payload (func, memory) at offset 8, the same in every version.
"""

from __future__ import annotations

import ctypes
import functools
from ctypes import c_bool, c_char_p, c_int64, c_size_t, c_ubyte, c_uint32, c_uint64, c_void_p

from wasihost.common.forking import kept_from_forks
from wasihost.engines.values import MemoryType
from wasihost.engines.wasmtime.library import load
from wasihost.errors import LinkError
from wasihost.outcomes import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final, TypeAlias

_P, _N, _S = c_void_p, c_size_t, c_char_p
_Declaration: TypeAlias = "tuple[type[Any] | None, tuple[type[Any], ...]]"

# Take long or may run guest or host code: called without the GIL.
_WITHOUT_GIL: dict[str, _Declaration] = {
    "wasm_engine_new_with_config": (_P, (_P,)),
    "wasm_engine_delete": (None, (_P,)),
    "wasmtime_wat2wasm": (_P, (_S, _N, _P)),
    "wasmtime_module_new": (_P, (_P, _S, _N, _P)),
    "wasmtime_module_validate": (_P, (_P, _S, _N)),
    "wasmtime_module_serialize": (_P, (_P, _P)),
    "wasmtime_module_deserialize_file": (_P, (_P, _S, _P)),
    "wasmtime_module_deserialize": (_P, (_P, _S, _N, _P)),
    "wasmtime_module_delete": (None, (_P,)),
    "wasmtime_store_delete": (None, (_P,)),
    "wasmtime_memory_new": (_P, (_P, _P, _P)),
    "wasmtime_linker_instantiate_pre": (_P, (_P, _P, _P)),
    "wasmtime_instance_pre_delete": (None, (_P,)),
    "wasmtime_instance_pre_instantiate": (_P, (_P, _P, _P, _P)),
    "wasmtime_linker_instantiate": (_P, (_P, _P, _P, _P, _P)),
    "wasmtime_func_call_unchecked": (_P, (_P, _P, _P, _N, _P)),
}

_LOCKING = frozenset(_WITHOUT_GIL) - {"wasmtime_wat2wasm", "wasmtime_module_serialize", "wasmtime_func_call_unchecked"}
"""Functions that take locks of the engine: no fork may happen meanwhile, since the child would find the lock taken. A
call of a guest takes a lock only to look up a trap, and can last for any time, so it is not one of them."""

# Return in well under a microsecond and never call back: called with the GIL held.
_WITH_GIL: dict[str, _Declaration] = {
    "wasm_config_new": (_P, ()),
    "wasmtime_config_parallel_compilation_set": (None, (_P, c_bool)),
    "wasmtime_config_memory_reservation_set": (None, (_P, c_uint64)),  # newer wheels
    "wasmtime_config_memory_may_move_set": (None, (_P, c_bool)),  # newer wheels
    "wasmtime_config_static_memory_maximum_size_set": (None, (_P, c_uint64)),  # older wheels
    "wasmtime_config_epoch_interruption_set": (None, (_P, c_bool)),
    "wasmtime_config_target_set": (_P, (_P, _S)),
    "wasmtime_config_consume_fuel_set": (None, (_P, c_bool)),
    "wasmtime_config_max_wasm_stack_set": (None, (_P, _N)),
    "wasmtime_config_async_stack_size_set": (None, (_P, c_uint64)),  # where the library can be asynchronous
    **{
        f"wasmtime_config_wasm_{name}_set": (None, (_P, c_bool))
        for name in (
            "bulk_memory",
            "component_model_async",
            "custom_page_sizes",
            "exceptions",
            "function_references",
            "gc",
            "memory64",
            "multi_memory",
            "multi_value",
            "reference_types",
            "relaxed_simd",
            "simd",
            "tail_call",
            "threads",
            "wide_arithmetic",
        )
    },  # the newer ones in newer wheels
    "wasmtime_engine_increment_epoch": (None, (_P,)),
    "wasmtime_guestprofiler_sample": (None, (_P, _P, c_uint64)),
    "wasmtime_guestprofiler_finish": (_P, (_P, _P)),
    "wasmtime_guestprofiler_delete": (None, (_P,)),
    "wasmtime_store_epoch_deadline_callback": (None, (_P, _P, _P, _P)),
    "wasmtime_store_limiter": (None, (_P, c_int64, c_int64, c_int64, c_int64, c_int64)),
    "wasmtime_context_set_epoch_deadline": (None, (_P, c_uint64)),
    "wasmtime_context_set_fuel": (_P, (_P, c_uint64)),
    "wasmtime_context_get_fuel": (_P, (_P, _P)),
    "wasmtime_error_new": (_P, (_S,)),
    "wasmtime_module_imports": (None, (_P, _P)),
    "wasmtime_module_exports": (None, (_P, _P)),
    "wasm_importtype_vec_delete": (None, (_P,)),
    "wasm_exporttype_vec_delete": (None, (_P,)),
    "wasm_importtype_module": (_P, (_P,)),
    "wasm_importtype_name": (_P, (_P,)),
    "wasm_importtype_type": (_P, (_P,)),
    "wasm_exporttype_name": (_P, (_P,)),
    "wasm_exporttype_type": (_P, (_P,)),
    "wasm_externtype_kind": (c_ubyte, (_P,)),
    "wasm_externtype_as_functype_const": (_P, (_P,)),
    "wasm_externtype_as_memorytype_const": (_P, (_P,)),
    "wasmtime_memorytype_minimum": (c_uint64, (_P,)),
    "wasmtime_memorytype_maximum": (c_bool, (_P, _P)),
    "wasmtime_memorytype_is64": (c_bool, (_P,)),
    "wasmtime_memorytype_isshared": (c_bool, (_P,)),
    "wasmtime_memorytype_page_size": (c_uint64, (_P,)),  # newer wheels
    "wasm_memorytype_new": (_P, (_P,)),
    "wasm_memorytype_delete": (None, (_P,)),
    "wasm_functype_new": (_P, (_P, _P)),
    "wasm_functype_delete": (None, (_P,)),
    "wasm_functype_params": (_P, (_P,)),
    "wasm_functype_results": (_P, (_P,)),
    "wasm_valtype_new": (_P, (c_ubyte,)),
    "wasm_valtype_kind": (c_ubyte, (_P,)),
    "wasm_valtype_vec_new": (None, (_P, _N, _P)),
    "wasmtime_store_new": (_P, (_P, _P, _P)),
    "wasmtime_store_context": (_P, (_P,)),
    "wasmtime_linker_new": (_P, (_P,)),
    "wasmtime_linker_delete": (None, (_P,)),
    "wasmtime_linker_allow_shadowing": (None, (_P, c_bool)),
    "wasmtime_linker_define": (_P, (_P, _P, _S, _N, _S, _N, _P)),
    "wasmtime_linker_define_func_unchecked": (_P, (_P, _S, _N, _S, _N, _P, _P, _P, _P)),
    "wasmtime_instance_export_get": (c_bool, (_P, _P, _S, _N, _P)),
    "wasmtime_caller_export_get": (c_bool, (_P, _S, _N, _P)),
    "wasmtime_caller_context": (_P, (_P,)),
    "wasmtime_global_get": (None, (_P, _P, _P)),
    "wasmtime_global_set": (_P, (_P, _P, _P)),
    "wasmtime_table_size": (c_uint32, (_P, _P)),  # 64 bits in newer wheels, of which tables use 32
    "wasmtime_memory_data": (_P, (_P, _P)),
    "wasmtime_memory_data_size": (_N, (_P, _P)),
    "wasmtime_trap_new": (_P, (_S, _N)),
    "wasmtime_trap_new_code": (_P, (c_ubyte,)),  # newer wheels
    "wasmtime_trap_code": (c_bool, (_P, _P)),
    "wasm_trap_message": (None, (_P, _P)),
    "wasm_trap_trace": (None, (_P, _P)),
    "wasm_trap_delete": (None, (_P,)),
    "wasm_frame_func_index": (c_uint32, (_P,)),
    "wasm_frame_module_offset": (_N, (_P,)),
    "wasmtime_frame_func_name": (_P, (_P,)),
    "wasmtime_frame_module_name": (_P, (_P,)),
    "wasm_frame_vec_delete": (None, (_P,)),
    "wasmtime_error_message": (None, (_P, _P)),
    "wasmtime_error_wasm_trace": (None, (_P, _P)),
    "wasmtime_error_delete": (None, (_P,)),
    "wasm_byte_vec_delete": (None, (_P,)),
}


class _Functions:
    """`c.NAME(...)`: the function NAME of the library. A missing one is an AttributeError."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        library = load()
        dll = library.without_gil if name in _WITHOUT_GIL else library.with_gil
        result, arguments = _WITHOUT_GIL[name] if name in _WITHOUT_GIL else _WITH_GIL[name]
        function = dll[name]  # a new object, so that declarations of other code do not change
        function.restype = result
        function.argtypes = arguments
        found = kept_from_forks(function) if name in _LOCKING else function
        setattr(self, name, found)
        return found


c: Final = _Functions()


def has(name: str) -> bool:
    """Return whether this version of the library has the function."""
    return hasattr(load().with_gil, name)


def load_library() -> None:
    """Load the library and find every function in it, so that processes forked from this one need not."""
    for name in (*_WITHOUT_GIL, *_WITH_GIL):
        if has(name):
            getattr(c, name)


class Vec(ctypes.Structure):
    """`wasm_*_vec_t`: a count and an address."""

    _fields_ = (("size", c_size_t), ("data", c_void_p))
    size: int
    data: int | None

    def text(self, most: int | None = None) -> bytes:
        size = self.size if most is None else min(self.size, most)
        return ctypes.string_at(self.data, size) if self.data else b""

    def pointers(self) -> list[int]:
        return list((c_void_p * self.size).from_address(self.data)) if self.data else []


@functools.lru_cache(maxsize=128)
def array(kind: type[Any], count: int) -> type[Any]:
    """Return the ctypes type of an array. Types are cached: only the garbage collector frees one."""
    made: type[Any] = kind * count
    return made


class Extern:
    """A buffer for any `wasmtime_extern_t` (24 bytes in some versions, 32 in others)."""

    FUNC, GLOBAL, TABLE, MEMORY = range(4)
    __slots__ = ("_block", "item")

    def __init__(self, kind: int = 0) -> None:
        self._block: ctypes.Array[c_uint64] = array(c_uint64, 8)(kind)
        self.item: int = ctypes.addressof(self._block) + 8

    @property
    def kind(self) -> int:
        return self._block[0] & 0xFF

    @property
    def address(self) -> int:
        """The address of the whole."""
        return self.item - 8

    @property
    def block(self) -> ctypes.Array[c_uint64]:
        return self._block


def name_at(address: int | None, most: int | None = None) -> str | None:
    """Return the text of a `wasm_name_t *`, at most `most` bytes of it; None for a null pointer."""
    return Vec.from_address(address).text(most).decode("utf-8", "replace") if address else None


def take_error(error: int) -> str:
    """Return the text of a `wasmtime_error_t`, and free it. Slow if RUST_BACKTRACE makes the engine add its own stack.

    The text may contain names from the module, so unprintable characters are escaped; but not line ends, because the
    engine writes those itself.
    """
    message = Vec()
    c.wasmtime_error_message(error, ctypes.byref(message))
    text = message.text().decode("utf-8", "replace")
    c.wasm_byte_vec_delete(ctypes.byref(message))
    c.wasmtime_error_delete(error)
    return "\n".join(map(printable, without_stack(text).split("\n")))


def without_stack(text: str) -> str:
    """Return a text of the engine without the backtrace of the engine's own code."""
    return text.partition("\n\nStack backtrace:")[0].strip()


KINDS = {0: "i32", 1: "i64", 2: "f32", 3: "f64", 4: "v128", 128: "externref", 129: "funcref"}
_NUMBERS = {name: number for number, name in KINDS.items()}


def _valtypes_at(address: int) -> tuple[str, ...]:
    numbers = (c.wasm_valtype_kind(item) for item in Vec.from_address(address).pointers())
    return tuple(KINDS.get(number, f"type {number}") for number in numbers)


def functype_at(address: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return parameters and results of a `wasm_functype_t *`."""
    return _valtypes_at(c.wasm_functype_params(address)), _valtypes_at(c.wasm_functype_results(address))


def memorytype_at(address: int) -> MemoryType:
    """Return the contents of a `wasm_memorytype_t *`."""
    most = c_uint64()
    bounded = c.wasmtime_memorytype_maximum(address, ctypes.byref(most))
    return MemoryType(
        c.wasmtime_memorytype_minimum(address),
        most.value if bounded else None,
        c.wasmtime_memorytype_is64(address),
        c.wasmtime_memorytype_isshared(address),
        c.wasmtime_memorytype_page_size(address) if has("wasmtime_memorytype_page_size") else 1 << 16,
    )


def new_memorytype(memory: MemoryType) -> int:
    """Return a new `wasm_memorytype_t *` for a 32-bit memory.

    Its `wasm_limits_t` is two u32; the greatest number means no maximum.
    """
    limits = array(c_uint32, 2)(memory.least, 0xFFFF_FFFF if memory.most is None else memory.most)
    return c.wasm_memorytype_new(limits)  # type: ignore[no-any-return]  # see c


def new_functype(params: Sequence[str], results: Sequence[str]) -> int:
    """Return a new `wasm_functype_t *`. Use it with one engine only: the first that uses it registers it."""
    vecs = []
    for names in (params, results):
        vec = Vec()
        items = (c_void_p * len(names))(*(c.wasm_valtype_new(_NUMBERS[name]) for name in names))
        c.wasm_valtype_vec_new(ctypes.byref(vec), len(names), items)
        vecs.append(vec)
    return c.wasm_functype_new(ctypes.byref(vecs[0]), ctypes.byref(vecs[1]))  # type: ignore[no-any-return]  # see c


def instance_pre(linker: int, module: int) -> int:
    """Let the engine resolve the imports of a module, all of which are in the linker. Returns the address of the
    `wasmtime_instance_pre_t`."""
    made = c_void_p()
    if error := c.wasmtime_linker_instantiate_pre(linker, module, ctypes.byref(made)):
        raise LinkError(f"the engine cannot run this module here: {take_error(error)}")
    return made.value or 0
