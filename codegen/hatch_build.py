"""Build the optional extension in C: hatchling calls this for wheels and editable installs, `make native` runs it.

Rules of this file: it needs the standard library and hatchling alone. The extension is optional: where it cannot be
built the wheel is pure Python, and one line says why. `make native` is strict: a warning of the compiler is an error.

`CC`, `CFLAGS` and `LDFLAGS` are obeyed as by other builds; `WASIHOST_PURE=1` builds no extension. `wheels.py`, which
builds for other systems, sets `WASIHOST_TARGET` to the tags of the wheel and `WASIHOST_INCLUDE` to a folder of headers.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT: Final = Path(__file__).resolve().parents[1]
SOURCES: Final = ("wasihost/native/*.c", "generated/wasi_preview1/witx_*.c", "generated/*/stubs.c")
HEADERS: Final = ("wasihost/native/*.h", "generated/*/*.h")
STABLE_FROM: Final = (3, 12)
"""The first version whose stable ABI has the vectorcall protocol: one extension serves it and all later ones."""
FLAGS: Final = (
    "-std=c11",
    "-O2",
    "-fPIC",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-Wno-missing-field-initializers",
)


class CannotBuild(Exception):
    """No extension can be made here; the text says why."""


def files(*patterns: str, root: Path = ROOT) -> list[Path]:
    """Return the files of the tree that match, in a fixed order."""
    return sorted(path for pattern in patterns for path in root.glob(pattern))


def check_python() -> None:
    """Raise CannotBuild for a Python that the extension is not written for."""
    if os.environ.get("WASIHOST_PURE", "") not in ("", "0"):
        raise CannotBuild("WASIHOST_PURE is set")
    if sys.implementation.name != "cpython":
        raise CannotBuild(f"the extension is for CPython, this is {sys.implementation.name}")
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise CannotBuild("the extension needs a Python that has the global interpreter lock")
    if os.name != "posix":
        raise CannotBuild(f"the extension is not written for {sys.platform}")


def compiler() -> list[str]:
    """Return the command of a C compiler: that of CC, that which built this Python, a usual one, or ziglang's."""
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    for command in (sysconfig.get_config_var("CC") or "", "cc", "gcc", "clang"):
        words = shlex.split(command)
        if words and shutil.which(words[0]):
            return words
    if find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc"]
    raise CannotBuild("no C compiler was found (cc, gcc, clang, or ziglang from PyPI)")


def run(command: list[str]) -> None:
    """Run a step of the build; raise CannotBuild with the first line of its errors if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise CannotBuild(f"{command[0]} cannot be run: {error.strerror}") from error
    sys.stderr.write(done.stderr)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line] or [f"status {done.returncode}"]
        raise CannotBuild(f"{Path(command[0]).name} failed: {errors[0]}")


def build(target: Path, *, strict: bool = False, root: Path = ROOT) -> None:
    """Compile and link the extension to `target`, which is replaced in one step.

    Args:
        target: The file to make.
        strict: Whether a warning is an error; what is built so can also be debugged.
        root: The tree of the project.

    Raises:
        CannotBuild: There is no compiler, it fails, or Python's headers are missing.
    """
    tags = os.environ.get("WASIHOST_TARGET", "")
    if not tags:
        check_python()
    include = Path(os.environ.get("WASIHOST_INCLUDE") or sysconfig.get_path("include"))
    if not (include / "Python.h").exists():
        raise CannotBuild(f"the headers of Python are not installed: there is no {include / 'Python.h'}")
    flags = [
        *compiler(),
        *FLAGS,
        f"-I{include}",
        f"-I{root / 'generated/wasi_preview1'}",
        f"-I{root / 'wasihost/native'}",
    ]
    if "-abi3-" in (tags or own_tags()):
        flags.append(f"-DPy_LIMITED_API=0x{STABLE_FROM[0]:02x}{STABLE_FROM[1]:02x}0000")
    flags += [*(["-g", "-Werror"] if strict else []), *shlex.split(os.environ.get("CFLAGS", ""))]
    macos = "-macosx_" in (tags or own_tags())
    shared = ["-shared", *(["-undefined", "dynamic_lookup"] if macos else [])]
    with tempfile.TemporaryDirectory(prefix="wasihost-native-") as folder:
        objects = {path: str(Path(folder, f"{path.parent.name}-{path.stem}.o")) for path in files(*SOURCES, root=root)}
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda one: run([*flags, "-c", str(one[0]), "-o", one[1]]), objects.items()))
        linked = Path(folder, "linked")
        run([*compiler(), *shared, *objects.values(), "-o", str(linked), *shlex.split(os.environ.get("LDFLAGS", ""))])
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.copy(linked, beside)
        beside.replace(target)


def own_tags() -> str:
    """Return the tags of a wheel for this Python and system."""
    stable = sys.version_info >= STABLE_FROM
    major, minor = STABLE_FROM if stable else sys.version_info[:2]
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    return f"cp{major}{minor}-{'abi3' if stable else f'cp{major}{minor}'}-{platform}"


def in_place() -> Path:
    """Return where an editable install has the extension.

    The name is that of this version of Python also where the file would serve later ones: several may use a tree.
    """
    return ROOT / f"wasihost/native/_native{sysconfig.get_config_var('EXT_SUFFIX')}"


def is_current() -> bool:
    """Whether the extension in the tree is newer than everything that it is made of."""
    target = in_place()
    made_of = [Path(__file__), *files(*SOURCES, *HEADERS)]
    return target.exists() and target.stat().st_mtime >= max(path.stat().st_mtime for path in made_of)


class CustomBuildHook(BuildHookInterface[Any]):
    """Adds the extension to a wheel, or builds it in the tree for an editable install."""

    _folder: Path | None = None
    """Where the extension is until the wheel has it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it builds a target."""
        if self.target_name != "wheel":
            return
        try:
            if version == "editable":
                if not is_current():
                    build(in_place())
                return
            target = os.environ.get("WASIHOST_TARGET")
            name = in_place().name if not target else "_native.so"
            if "-abi3-" in (target or own_tags()):
                name = "_native.abi3.so"
            made = Path(tempfile.mkdtemp(prefix="wasihost-wheel-"), name)
            self._folder = made.parent
            build(made, root=Path(self.root))
        except CannotBuild as reason:
            if os.environ.get("WASIHOST_TARGET"):
                raise
            self.app.display_warning(f"wasihost is built in pure Python, which is slower: {reason}")
            return
        build_data["force_include"][str(made)] = f"wasihost/native/{name}"
        build_data["pure_python"] = False
        build_data["tag"] = target or own_tags()

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Called by hatchling when the target is built."""
        if self._folder:
            shutil.rmtree(self._folder)


def main() -> int:
    """Build the extension in the tree (`make native`)."""
    try:
        build(in_place(), strict=True)
    except CannotBuild as reason:
        in_place().unlink(missing_ok=True)  # it would not be what the sources say
        print(f"wasihost runs in pure Python, which is slower: {reason}", file=sys.stderr)
        return 1 if " failed: " in str(reason) else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
