"""A precompiled module: a folder with a module, its compiled code for some kinds of runs, and a list of these files.

Compiled code is machine code, which the engine runs as it is. Size and checksum in the list find damage; they are no
signature. So a folder is used only if it and its files belong to this user or to root, no other user may write to
them, and the files with code are executable: no call of WASI sets that bit, so no guest has made them, and no archive
tool drops it.

Rules of this file: a run that only loads such a module imports nothing more than it needs.
"""

from __future__ import annotations

import os
import stat
import zlib

from wasi_preview1.light_typing import NamedTuple

from wasihost.engines import default_engine
from wasihost.errors import ModuleError
from wasihost.outcomes import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from wasihost.engines.base import CompiledModule
    from wasihost.engines.values import CompileMode

LIST: Final = "precompiled.txt"
FIRST: Final = "wasihost precompiled module, format 1"
MODULE: Final = "module.wasm"
SUFFIX: Final = ".precompiled"
CODE_MODE: Final = 0o555
"""Permissions of files with code."""
_LONGEST: Final = 1 << 14
"""Bytes of a list."""
KINDS: Final = {"plain": (False, False), "interruptible": (True, False), "fuel": (True, True)}
"""The files with code, without their suffix, and for which runs each is: those that can be ended while they compute,
those whose work is counted."""


class Listed(NamedTuple):
    """Size in bytes and CRC-32 of a file."""

    size: int
    checksum: int


class Precompiled(NamedTuple):
    """What the list in a folder says.

    `name` is that of the module's file, `made_for` the engine and machine, `cpu` "baseline" or "native"; `features`
    are as `canonical_features` returns them.
    """

    folder: str
    name: str
    made_for: str
    cpu: str
    features: str
    files: dict[str, Listed]

    @property
    def module(self) -> str:
        """The path of the module in binary form."""
        return os.path.join(self.folder, MODULE)


def is_precompiled(folder: str) -> bool:
    """Return whether a path looks like the folder of a precompiled module."""
    return os.path.isfile(os.path.join(folder, LIST))


def text_of(one: Precompiled) -> str:
    """Return the list, as a file has it."""
    files = (f"{name}: {listed.size} {listed.checksum:08x}" for name, listed in sorted(one.files.items()))
    head = FIRST, f"name: {one.name}", f"engine: {one.made_for}", f"cpu: {one.cpu}", f"features: {one.features}"
    return "\n".join((*head, *files, ""))


def read(folder: str) -> Precompiled:
    """Read the list in a folder.

    Raises:
        ModuleError: The folder is not one of a precompiled module, another user or a guest may have written it, or it
            is for another engine or another kind of machine.
    """
    label = printable(folder)
    try:
        _check_owner(os.stat(folder), label, "the folder")
        with open(os.path.join(folder, LIST), "rb") as file:
            _check_owner(os.fstat(file.fileno()), label, LIST)
            text = file.read(_LONGEST).decode()
    except (FileNotFoundError, NotADirectoryError):
        raise ModuleError(
            f"{label}: not the folder of a precompiled module: `wasihost compile -o DIR MODULE` makes one"
        ) from None
    except UnicodeDecodeError:
        raise ModuleError(f"{label}: {LIST} is damaged: compile the module again") from None
    first, *lines = text.split("\n")
    if first != FIRST:
        raise ModuleError(f"{label}: written by another version of wasihost: compile the module again")
    given = dict(line.split(": ", 1) for line in lines if ": " in line)
    try:
        name, made_for, cpu, features = (given.pop(key) for key in ("name", "engine", "cpu", "features"))
        files = {file: _listed(entry) for file, entry in given.items()}
    except (KeyError, ValueError):
        raise ModuleError(f"{label}: {LIST} is damaged: compile the module again") from None
    found = Precompiled(folder, name, made_for, cpu, features, files)
    here = default_engine().code_kind()
    if found.made_for != here:
        theirs, ours = (kind.partition(";")[0] for kind in (found.made_for, here))
        what = f"for {printable(theirs)}, and this is {ours}" if theirs != ours else "by another version of wasihost"
        raise ModuleError(f"{label}: compiled {what}: compile the module again")
    return found


def load(one: Precompiled, mode: CompileMode) -> CompiledModule:
    """Load the code for this way of running.

    Raises:
        ModuleError: There is no such code in the folder, or it cannot be used.
    """
    label = printable(one.folder)
    if mode.features != one.features:
        raise ModuleError(
            f"{label}: compiled with the features {one.features or 'that the engine has'}, and run with "
            f"{mode.features or 'those that the engine has'}: compile it again with --features"
        )
    kind = next(kind for kind, flags in KINDS.items() if flags == (mode.interruptible or mode.fuel, mode.fuel))
    if f"{kind}.cwasm" not in one.files:
        raise ModuleError(f"{label}: not compiled for runs with {kind}: compile the module again with --fuel")
    path = os.path.join(one.folder, f"{kind}.cwasm")
    _check(path, one.files[f"{kind}.cwasm"], label, executable=True)
    _check(one.module, one.files.get(MODULE), label, content=False)
    interruptible, fuel = KINDS[kind]
    return default_engine().load_code(path, one.module, mode._replace(interruptible=interruptible, fuel=fuel), label)


def _listed(entry: str) -> Listed:
    size, checksum = entry.split(" ")
    return Listed(int(size), int(checksum, 16))


def _check(path: str, listed: Listed | None, label: str, *, executable: bool = False, content: bool = True) -> None:
    """ModuleError for a file that is damaged, or that another user may have written."""
    name = os.path.basename(path)
    try:
        with open(path, "rb") as file:
            about = os.fstat(file.fileno())
            _check_owner(about, label, name)
            if executable and not about.st_mode & stat.S_IXUSR:
                raise ModuleError(
                    f"{label}: {name} is not executable, as `wasihost compile` makes it: copy the folder with its "
                    "permissions, or compile the module again"
                )
            whole = listed is not None and about.st_size == listed.size
            if whole and content and listed is not None:
                import mmap

                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
                    whole = zlib.crc32(view) == listed.checksum
    except FileNotFoundError:
        whole = False
    if not whole:
        raise ModuleError(f"{label}: {name} is missing or damaged: compile the module again")


def _check_owner(about: os.stat_result, label: str, what: str) -> None:
    """ModuleError for what another user owns or may write to, as then it may be that user's code."""
    if about.st_uid not in (0, os.geteuid()):
        raise ModuleError(
            f"{label}: {what} belongs to user {about.st_uid}, whose code this would run: use a copy that belongs to "
            "you or to root"
        )
    if about.st_mode & 0o022:
        raise ModuleError(
            f"{label}: other users may write to {what}, and this would run their code: chmod -R go-w the folder"
        )
