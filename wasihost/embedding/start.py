"""`start`: begin a guest in a thread of its own, with pipes to talk with it."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any, Literal, overload

from wasihost.config import ModuleConfig
from wasihost.descriptors.pipe_end import PipeEnd
from wasihost.embedding.pipes import from_guest, to_guest
from wasihost.embedding.process import Guest, Killed, Process
from wasihost.errors import ConfigError
from wasihost.guest.capture import TextMode
from wasihost.guest.module import ModuleSource
from wasihost.guest.options import PIPE, CommonOptions, Options, RunSetup

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from wasihost.config import Stdout
    from wasihost.vfs import Lazy
    from wasihost.vfs.mounting import VirtualSource


@overload
def start(
    module: ModuleSource,
    config: None = None,
    *,
    text: Literal[False] | None = None,
    encoding: None = None,
    errors: None = None,
    timeout: float | None = None,
    bufsize: int = -1,
    input: None = None,
    stdin: None = None,
    stdout: None = None,
    stderr: Stdout | None = None,
    capture_output: Literal[False] = False,
    files: Mapping[str, bytes | Lazy] | None = None,
    fs: VirtualSource | None = None,
    **options: Unpack[CommonOptions],
) -> Process[IO[bytes], IO[bytes], None]: ...
@overload
def start(
    module: ModuleSource,
    config: None = None,
    *,
    text: Literal[True],
    encoding: str | None = None,
    errors: str | None = None,
    timeout: float | None = None,
    bufsize: int = -1,
    input: None = None,
    stdin: None = None,
    stdout: None = None,
    stderr: Stdout | None = None,
    capture_output: Literal[False] = False,
    files: Mapping[str, bytes | Lazy] | None = None,
    fs: VirtualSource | None = None,
    **options: Unpack[CommonOptions],
) -> Process[IO[str], IO[str], None]: ...
@overload
def start(
    module: ModuleSource,
    config: ModuleConfig | None = None,
    *,
    text: bool | None = None,
    encoding: str | None = None,
    timeout: float | None = None,
    bufsize: int = -1,
    **options: Unpack[Options],
) -> Process[Any, Any, Any]: ...


def start(
    module: ModuleSource,
    config: ModuleConfig | None = None,
    *,
    text: bool | None = None,
    encoding: str | None = None,
    timeout: float | None = None,
    bufsize: int = -1,
    **options: Unpack[Options],
) -> Process[Any, Any, Any]:
    """Start a command module in a thread of its own, to talk with it while it runs.

    The options are those of `run`. But PIPE is a pipe here, to `stdin`, `stdout` and `stderr` of what is returned, and
    standard input and output are pipes where neither you nor the config gives another: close `stdin`, or give
    `stdin=DEVNULL`, for a guest that reads to the end of its input. `timeout` ends the guest, as with `run`. `bufsize`
    is that of `subprocess.Popen`: 0 no buffer, 1 by lines for text, else a size; what is written to `stdin` comes to
    the guest when the buffer is full or flushed.

    Raises what `run` raises before a guest begins: ModuleError, LinkError, ConfigError, OSError.
    """
    given: dict[str, Any] = dict(options)
    base = config if config is not None else ModuleConfig()
    if given.pop("capture_output", False):
        if given.get("stdout") is not None or given.get("stderr") is not None:
            raise ConfigError("capture_output keeps both outputs: leave out stdout and stderr")
        given["stdout"] = given["stderr"] = PIPE
    if given.get("input") is None and given.get("stdin") is None and base.stdin is None:
        given["stdin"] = PIPE
    if given.get("stdout") is None and base.stdout is None:
        given["stdout"] = PIPE
    text_mode = TextMode(text, encoding, given.get("errors"))
    ends: list[PipeEnd] = []
    files: dict[str, Any] = {}
    guest: Guest | None = None
    starting = False
    try:
        for name, make in (("stdin", to_guest), ("stdout", from_guest), ("stderr", from_guest)):
            value = given.get(name)
            if isinstance(value, int) and value == PIPE and not (name == "stdin" and given.get("input") is not None):
                given[name], files[name] = make(text_mode, bufsize)
                ends.append(given[name])
        setup = RunSetup(module, config, given, text, encoding, timeout)
        starting = True
        guest = Guest(module, options, setup, timeout, ends)
        guest.thread.begun.wait()
        if guest.thread.never_began and (error := guest.error()) is not None:
            raise error
        return Process(guest, files.get("stdin"), files.get("stdout"), files.get("stderr"))
    except BaseException:  # what went wrong, or Ctrl-C
        if guest is not None:
            guest.thread.end(Killed(signal.SIGKILL))
        _close([] if starting else ends, files)  # later they are the guest's
        raise


def _close(ends: list[PipeEnd], files: dict[str, IO[Any]]) -> None:
    for end in ends:
        end.close()
    for file in files.values():
        file.close()
