"""Errors for arguments that cannot be meant: each says what was wrong, and what to type instead.

Rules of this file: every function returns an error with a message of one line, for its caller to raise. It is imported
only when there is a mistake to report. No message shows the value of an environment variable.
"""

from __future__ import annotations

import os
import reprlib
from collections.abc import Collection, Mapping
from typing import Final

from wasihost.errors import ConfigError

_MAGIC: Final = b"\0asm"
_ELSEWHERE: Final = {
    "argv": "give args=[...]",
    "bufsize": "output goes to a stream as the guest writes it",
    "cwd": "a guest's working directory is what is mounted at '.': dirs={'.': PATH}",
    "environ": "did you mean env?",
    "executable": "the guest's own name is ModuleConfig().with_name(NAME)",
    "memory": "give max_memory=...",
    "mounts": "give dirs={GUEST_PATH: HOST_PATH}",
    "output": "give stdout=...",
    "shell": "there is no shell; give args=[...]",
    "universal_newlines": "give text=True",
    "volumes": "give dirs={GUEST_PATH: HOST_PATH}",
}
"""Options known from `subprocess` and the like -> what to use here."""

_LOOKS_LIKE: Final = (
    (b"\x1f\x8b", "compressed by gzip: unpack it with gunzip"),
    (b"BZh", "compressed by bzip2: unpack it with bunzip2"),
    (b"\xfd7zXZ", "compressed by xz: unpack it with unxz"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd: unpack it with unzstd"),
    (b"PK\x03\x04", "a zip archive: unpack it and give the module in it"),
    (b"#!", "a script: give the module that it runs"),
    (
        b"\x7fELF",
        "a program of a machine's own kind, or one compiled by an engine: give the .wasm file, or "
        "the folder that `wasihost compile -o` made, with --precompiled",
    ),
    (b"MZ", "a program for Windows: build it for wasm32-wasip1"),
    (b"\xcf\xfa\xed\xfe", "a program for macOS: build it for wasm32-wasip1"),
    (b"BC\xc0\xde", "LLVM bitcode: link it for wasm32-wasip1"),
    (b"!<arch>", "a static library: link it for wasm32-wasip1"),
    (b"version https://git-lfs", "a pointer to a file in Git LFS: run git lfs pull"),
    (b"\xef\xbb\xbf", "text with a byte order mark: remove it"),
    (b"<", "a web page, or other markup: was it downloaded from the right place?"),
    (b"%PDF", "a PDF file"),
    (b"{", "JSON or a source text: give the module"),
)
"""First bytes of files that are passed as modules by mistake, what they are and what to do."""

_shown = reprlib.Repr()
_shown.maxstring = _shown.maxother = 60


def unknown_option(names: Collection[str], known: Collection[str]) -> TypeError:
    """Options that do not exist: a TypeError, as for an unknown keyword in Python."""
    import difflib

    hints = []
    for name in sorted(names):
        longer = [one for one in sorted(known) if one.startswith(name)] if len(name) > 2 else []
        near = longer or difflib.get_close_matches(name, known, 1, 0.6)
        hint = _ELSEWHERE.get(name) or (f"did you mean {near[0]}?" if near else "")
        hints.append(f"{name} ({hint})" if hint and len(names) > 1 else f"{name}; {hint}" if hint else name)
    return TypeError(f"unknown option{'s' * (len(names) > 1)}: {', '.join(hints)}")


def not_a_module(given: object) -> ConfigError:
    """A module of a wrong type."""
    if isinstance(given, (list, tuple)) and given and isinstance(given[0], (str, os.PathLike)):
        first, *rest = given
        more = f", args={rest!r}" if rest else ""
        return ConfigError(f"the module comes first, and its arguments by their name: {os.fspath(first)!r}{more}")
    if hasattr(given, "read"):
        return ConfigError(f"a module cannot be an open file ({_type(given)}): give its path, or its read()")
    return ConfigError(f"a module cannot be {_type(given)}: give a path, its bytes, its text or a wasihost.Module")


def not_wasm(content: bytes) -> str:
    """Return what a file that is not a module looks like, as the end of "it is ..."."""
    if not content:
        return "empty"
    for begin, what in _LOOKS_LIKE:
        if content.lstrip().startswith(begin) if begin in (b"<", b"{") else content.startswith(begin):
            return f"begins with {bytes(content[:8])!r}, {what}"
    try:
        first = content[:200].decode().split("\n")[0].strip()
    except UnicodeDecodeError:
        first = ""
    if first.isprintable() and first:
        return f"a text that begins with {_shown.repr(first)}; one of WebAssembly begins with '(module'"
    return f"begins with {bytes(content[:8])!r} instead of {_MAGIC!r}"


def not_a_config(given: object) -> ConfigError:
    """A config of a wrong type."""
    if isinstance(given, (list, tuple, str, bytes)):
        arguments = [given] if isinstance(given, (str, bytes)) else list(given)
        return ConfigError(f"the second argument is a ModuleConfig: give arguments by their name, args={arguments!r}")
    name = "env" if isinstance(given, Mapping) else "config"
    hint = "ModuleConfig().with_args(...)" if name == "config" else "options by their names, such as env={...}"
    return ConfigError(f"a config is a wasihost.ModuleConfig, not {_type(given)}: give {hint}")


def one_string(name: str, given: str | bytes) -> ConfigError:
    """One string instead of a sequence of arguments."""
    return ConfigError(f"{name} is a sequence of arguments, not one string: {name}=[{given!r}]")


def not_arguments(given: object) -> ConfigError:
    """Arguments that are not iterable."""
    return ConfigError(f"args is a sequence of arguments, not {_type(given)}: args=[{str(given)!r}]")


def not_text(what: str, given: object, *, secret: bool = False) -> ConfigError:
    """An argument or a variable that is not text; the value of a `secret` one is not shown."""
    shown = _type(given) if secret or given is None else f"{_shown.repr(given)}, {_type(given)}"
    advice = "leave it out" if given is None else "give str(...) of it" if secret else f"give {str(given)!r}"
    return ConfigError(f"{what} is text or bytes, not {shown}: {advice}")


def not_an_environment(given: object) -> ConfigError:
    """An environment that is not a mapping."""
    entries = given if isinstance(given, (list, tuple)) else [given]
    names = [entry.partition("=")[0] for entry in entries if isinstance(entry, str)]
    example = ", ".join(f"{name!r}: ..." for name in names[:3]) or "'NAME': 'value'"
    return ConfigError(f"env is a dict of names and values, not {_type(given)}: env={{{example}}}")


def not_directories(name: str, given: object) -> ConfigError:
    """Directories that are not a mapping."""
    entries = given if isinstance(given, (list, tuple, set)) else [given]
    pairs = []
    for entry in entries:
        if isinstance(entry, (str, os.PathLike)):
            host, _, guest = os.fspath(entry).partition(":")
            pairs.append(f"{guest.lstrip(':') or host!r}: {host!r}")
    example = ", ".join(pairs[:3]) or "'/data': 'data'"
    return ConfigError(f"{name} is a dict of guest path -> host directory, not {_type(given)}: {name}={{{example}}}")


def not_a_path(what: str, given: object) -> ConfigError:
    """A path that is not text."""
    return ConfigError(f"{what} is a path, not {_shown.repr(given)}: give a str such as '/data'")


def wrong_files(given: object) -> ConfigError | None:
    """Files that cannot be put into a file system; None if nothing is wrong with them."""
    if not isinstance(given, Mapping):
        return ConfigError(f"files is a dict of path -> content, not {_type(given)}: files={{'a.txt': b'...'}}")
    for path, content in given.items():
        if not isinstance(path, str):
            return ConfigError(
                f"files has a path that is not a str, {_shown.repr(path)}: give 'a.txt' or '/folder/a.txt'"
            )
        if isinstance(content, str):
            return ConfigError(f"the content of the file {path!r} is text: give bytes, content.encode()")
        if not isinstance(content, (bytes, bytearray, memoryview)):
            return ConfigError(f"the content of the file {path!r} is {_type(content)}: give bytes, or a wasihost.Lazy")
    return None


def not_a_file_system(guest_path: str, given: object) -> ConfigError:
    """A file system of a wrong type."""
    if isinstance(given, str):
        return ConfigError(
            f"{given!r} is the path of a host directory: give dirs={{{guest_path!r}: {given!r}}}, or "
            f"ModuleConfig().with_host_directory_preopen({guest_path!r}, {given!r})"
        )
    return ConfigError(
        f"cannot mount {_shown.repr(given)} as {guest_path!r}: not a MemoryFS, Overlay, dict, Traversable, "
        "zipfile.Path, fsspec file system or wasihost.vfs.Directory"
    )


def not_seconds(name: str, given: object) -> ConfigError:
    """A number of seconds that is not one."""
    advice = "give seconds, 0 or more, or None for no end"
    if isinstance(given, str):
        try:
            advice = f"give a number, {float(given):g}"
        except ValueError:
            advice = "give a number of seconds, such as 2.5"
    return ConfigError(f"{name} cannot be {_shown.repr(given)}: {advice}")


def _type(given: object) -> str:
    if given is None:
        return "None"
    name = type(given).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
