"""The types of keyword arguments of a config's methods.

Rule of this file: it is for type checkers, and imports `typing`; so a run does not import it.
"""

from __future__ import annotations

from typing import TypedDict


class LimitChanges(TypedDict, total=False):
    """The fields of `Limits`, each of them optional. Sizes may be text, such as "64MiB"."""

    memory: int | str | None
    fuel: int | None
    output: int | str | None
    open_files: int | None
    path: int | None
    sleep: float | None
    subscriptions: int | None
    stack: int | str | None
    compile_timeout: float | None
    compile_memory: int | str | None


class MountOptions(TypedDict, total=False):
    """How a host directory is mounted: see `FSConfig.with_dir_mount`."""

    kernel_files: bool
    one_file_system: bool


class WritableMountOptions(MountOptions, total=False):
    """The same of a writable one, with its quota."""

    max_bytes: int | str | None
    max_entries: int | None
    max_file_size: int | str | None
