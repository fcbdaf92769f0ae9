"""`--overlay` and its options: directories that a guest changes on trial, and what becomes of the changes.

Rules of this file: imported only for a command line with one of these options.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from wasihost.cli.options import RunArguments
from wasihost.config import ModuleConfig
from wasihost.errors import WasihostError
from wasihost.outcomes import printable
from wasihost.overlays import Overlay
from wasihost.overlays.overlay import DEFAULT_MAX_BYTES, DEFAULT_MAX_ENTRIES


class Overlays:
    """The overlays of a command line, until the guest has ended. `status` is its exit status.

    Raises:
        WasihostError: An option that needs `--overlay`, or a directory that cannot be opened.
    """

    def __init__(self, arguments: RunArguments) -> None:
        if not arguments.overlays:
            raise WasihostError("--diff, --apply and --upper are for what a guest changes on trial: add --overlay HOST")
        if arguments.upper is not None and len(arguments.overlays) > 1:
            raise WasihostError("--upper is the folder of one --overlay: give only one")
        if arguments.isolate:
            raise WasihostError("an --overlay stays in this process, and an isolated guest runs in another: choose one")
        self.status: int | None = None
        self._arguments = arguments
        self._opened: list[tuple[str, str, Overlay]] = []
        for guest, host in arguments.overlays:
            made = Overlay(
                host,
                arguments.upper,
                max_bytes=arguments.max_dir_bytes if arguments.max_dir_bytes is not None else DEFAULT_MAX_BYTES,
                max_entries=arguments.max_dir_entries if arguments.max_dir_entries is not None else DEFAULT_MAX_ENTRIES,
                max_file_size=arguments.max_file_size,
                kernel_files=arguments.kernel_files,
                one_file_system=arguments.one_file_system,
            )
            self._opened.append((guest, host, made))

    def mounted(self, config: ModuleConfig) -> ModuleConfig:
        """Return the config with the overlays."""
        for guest, _, overlay in self._opened:
            config = config.with_mount(guest, overlay)
        return config

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._arguments.diff and isinstance(error, WasihostError | KeyboardInterrupt | None):
            for _, host, overlay in self._opened:
                self._print_diff(host, overlay)
        if self._arguments.apply and error is None:
            self._apply()
        for _, _, overlay in self._opened:
            overlay.close()

    def _print_diff(self, host: str, overlay: Overlay) -> None:
        text = overlay.diff()
        if len(self._opened) > 1 and text:
            text = f"overlay {host}:\n{text}"
        if sys.stdout.isatty():
            text = "\n".join(map(printable, text.split("\n")))
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
        sys.stdout.flush()

    def _apply(self) -> None:
        if self.status:
            print(f"wasihost: not applied: the guest ended with exit status {self.status}", file=sys.stderr)
            return
        for _, _, overlay in self._opened:
            overlay.apply()
