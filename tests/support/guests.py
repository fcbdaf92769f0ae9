"""The programs of tests/guests: C sources compiled when they are first needed, and modules in the text format.

Those in other languages are in `toolchains`, which keeps them here too.

Rules: a compiled guest is kept in a cache folder of the user's, under a name made of everything that went into it, so a
changed source or compiler is a new file and nothing is ever rebuilt in place. It gets there by a rename, and under a
lock: of test processes that run side by side one compiles it, and the others wait for it.

`python -m tests.support.guests` compiles the one that most tests need, and with it the C library.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

if sys.platform != "win32":
    import fcntl

GUESTS = Path(__file__).resolve().parents[1] / "guests"
"""Where the sources are."""

C_FLAGS = ("-target", "wasm32-wasi", "-std=c11", "-Os", "-s", "-Wall", "-Wextra", "-Werror")
"""How C guests are compiled, with the clang and the wasi-libc of the `ziglang` package."""

LINES_FLAGS = ("-target", "wasm32-wasi", "-g", "-O1", "-nostdlib", "-Wall", "-Werror")
"""As above, for those with debug information."""


def cache_dir() -> Path:
    """The folder for compiled guests: `$WASIHOST_GUEST_CACHE`, or one in the user's cache folder. Made if missing."""
    chosen = os.environ.get("WASIHOST_GUEST_CACHE")
    folder = Path(chosen) if chosen else _user_cache() / "wasihost-guests"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def build_c(name: str, *flags: str) -> Path:
    """The compiled tests/guests/NAME.c; `flags` are the compiler's, besides the usual ones.

    Raises RuntimeError with the compiler's messages where it does not compile.
    """
    source = GUESTS / f"{name}.c"
    flags = (*C_FLAGS, *flags)
    recipe = (importlib.metadata.version("ziglang"), *flags)
    command = [sys.executable, "-m", "ziglang", "cc", *flags]
    return kept(name, recipe, (source, *sorted(GUESTS.glob("*.h"))), lambda made: [*command, "-o", made, str(source)])


def build_with_lines(file: str) -> Path:
    """The compiled tests/guests/FILE, C or C++ without its library, with names and debug information."""
    flags = (*LINES_FLAGS, f"-ffile-prefix-map={GUESTS}=guests")
    command = [sys.executable, "-m", "ziglang", "cc", *flags]
    recipe = (importlib.metadata.version("ziglang"), *flags)
    return kept(
        file.replace(".", "-"), recipe, (GUESTS / file,), lambda made: [*command, "-o", made, str(GUESTS / file)]
    )


def kept(
    name: str,
    recipe: Sequence[str],
    sources: Sequence[Path],
    command: Callable[[str], Sequence[str]],
    env: Mapping[str, str] | None = None,
) -> Path:
    """The module that `command` writes to the path it is given, or has written before from these sources.

    `recipe` is what else goes into it: the version of the compiler, its flags. RuntimeError as for `build_c`.
    """
    cache = cache_dir()
    target = cache / f"{name}-{_key(recipe, sources)}.wasm"
    if target.exists():
        return target
    with one_at_a_time(target), tempfile.TemporaryDirectory(dir=cache, prefix=f"{name}-") as work:
        if target.exists():
            return target
        made = Path(work) / "guest.wasm"
        done = subprocess.run(command(str(made)), capture_output=True, text=True, check=False, env=env)
        if done.returncode != 0:
            raise RuntimeError(f"{sources[0].name} does not compile:\n{done.stderr}")
        made.replace(target)
    return target


@contextmanager
def one_at_a_time(target: Path) -> Iterator[None]:
    """While one process of the test run makes `target`, the others wait here. On Windows all of them make it."""
    with open(target.with_name(target.name + ".lock"), "ab") as lock:
        if sys.platform != "win32":
            fcntl.flock(lock, fcntl.LOCK_EX)  # closing it, or dying, lets it go
        yield


def wat(name: str) -> Path:
    """The path of tests/guests/NAME.wat. Raises FileNotFoundError where there is none."""
    source = GUESTS / f"{name}.wat"
    if not source.is_file():
        raise FileNotFoundError(source)
    return source


def _key(recipe: Sequence[str], sources: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for part in recipe:
        digest.update(part.encode() + b"\0")
    for path in sources:
        content = path.read_bytes()
        digest.update(b"%s %d\0" % (path.name.encode(), len(content)) + content)
    return digest.hexdigest()[:16]


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


if __name__ == "__main__":
    build_c("tool")
