"""Compiling ahead of time: into a folder of its own for each module, or into the cache.

Rules of this file: a folder is made under another name and then renamed, so it is whole or not there; a folder that is
in the way is replaced only if it is one of a precompiled module.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zlib
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from wasihost.config.limits import STACK
from wasihost.engines import default_engine
from wasihost.errors import ConfigError, ModuleError
from wasihost.guest.module import canonical_features
from wasihost.outcomes import printable
from wasihost.packaging.precompiled import (
    CODE_MODE,
    KINDS,
    LIST,
    MODULE,
    SUFFIX,
    Listed,
    Precompiled,
    is_precompiled,
    text_of,
)

if TYPE_CHECKING:
    from wasihost.config.features import FeatureChoice
    from wasihost.engines.values import CompileMode, OnCompile

Cpu = Literal["baseline", "native"]
LARGEST: Final = 512 << 20
"""Bytes of a module that is read."""


class Kept(NamedTuple):
    """An entry of the cache: its path, its bytes, and whether it was compiled now."""

    path: str
    size: int
    compiled: bool


def precompile(
    source: str | os.PathLike[str],
    folder: str | os.PathLike[str] = ".",
    *,
    cpu: Cpu = "native",
    fuel: bool = False,
    features: FeatureChoice | None = None,
    on_compile: OnCompile | None = None,
) -> str:
    """Compile a module into a folder of its own, `FOLDER/NAME.precompiled`, which `load_precompiled` loads.

    It has code for runs that can be ended and for those that cannot, as both are used.

    Args:
        source: The path of a module in binary or text form.
        folder: Where the folder is made; it is made too. An older one of this name is replaced.
        cpu: "native" for processors with all features of this one, "baseline" for all of its kind.
        fuel: Compile also for runs with `fuel`.
        features: WebAssembly features to switch on or off, as `Module` takes them.
        on_compile: Called when each compilation begins and ends.

    Returns:
        The path of the folder.

    Raises:
        ModuleError: It is not a module that can run here.
        OSError: The module cannot be read, or the folder not be written.
        ConfigError: A feature that the engine cannot switch, or a `cpu` that is neither.
    """
    code, name = read_module(source)
    chosen = "" if features is None else canonical_features(features)
    files: dict[str, bytes] = {}
    for kind in KINDS if fuel else list(KINDS)[:2]:
        binary, files[f"{kind}.cwasm"] = default_engine().precompile(
            code, name, _mode(*KINDS[kind], chosen, cpu), on_compile=on_compile
        )
        files[MODULE] = binary
    target = os.path.join(os.fspath(folder), stem(name) + SUFFIX)
    listed = {name: Listed(len(content), zlib.crc32(content)) for name, content in files.items()}
    made = Precompiled(target, name, default_engine().code_kind(), cpu, chosen, listed)
    _write(target, files | {LIST: text_of(made).encode()})
    return target


def fill_cache(
    source: str | os.PathLike[str],
    *,
    cpu: Cpu | None = None,
    fuel: bool = False,
    features: FeatureChoice | None = None,
    on_compile: OnCompile | None = None,
) -> list[Kept]:
    """Compile a module into the cache, for runs that can be ended and for those that cannot.

    Args:
        source, fuel, features, on_compile: As for `precompile`.
        cpu: As for `precompile`, and then it is compiled again even if it is there; None takes what is there.

    Raises:
        ModuleError: It is not a module that can run here.
        OSError: The module cannot be read.
        ConfigError: There is no cache that can be written to; or as for `precompile`.
    """
    code, name = read_module(source)
    chosen = "" if features is None else canonical_features(features)
    kept = []
    for counted in (False, True)[: 1 + fuel]:
        for interruptible in (False, True):
            mode = _mode(interruptible, counted, chosen, cpu or "native")
            entry = default_engine().fill_cache(code, name, mode, again=cpu is not None, on_compile=on_compile)
            kept.append(Kept(*entry))
    return kept


def _mode(interruptible: bool, fuel: bool, features: str, cpu: str) -> CompileMode:
    if cpu not in ("baseline", "native"):
        raise ConfigError(f"cpu is 'baseline' or 'native', not {cpu!r}")
    mode = default_engine().compile_mode(interruptible, fuel, STACK, features)
    return mode._replace(baseline=cpu == "baseline")


def read_module(source: str | os.PathLike[str]) -> tuple[bytes, str]:
    """Return the bytes of a module's file, and its name."""
    path = os.fspath(source)
    name = printable(os.path.basename(path))
    with open(path, "rb") as file:
        code = file.read(LARGEST + 1)
    if len(code) > LARGEST:
        raise ModuleError(f"{name}: larger than {LARGEST:,} bytes")
    return code, name


def stem(name: str) -> str:
    """Return the name of a module's file without its ending."""
    return name.removesuffix(".wasm").removesuffix(".wat") or "module"


def _write(target: str, files: dict[str, bytes]) -> None:
    """Make the folder with these files, in place of an older one."""
    if os.path.lexists(target) and not is_precompiled(target):
        raise ConfigError(f"{printable(target)}: is in the way, and is not a precompiled module: remove it")
    parent = os.path.dirname(target) or "."
    os.makedirs(parent, exist_ok=True)
    scratch = tempfile.mkdtemp(prefix=".precompiled-", dir=parent)
    try:
        new = os.path.join(scratch, "new")
        os.mkdir(new, 0o755)
        for name, content in files.items():
            path = os.path.join(new, name)
            with open(path, "wb") as file:
                file.write(content)
            os.chmod(path, CODE_MODE if name.endswith(".cwasm") else 0o444)
        os.chmod(new, 0o755)
        if os.path.lexists(target):
            os.rename(target, os.path.join(scratch, "old"))
        os.rename(new, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
