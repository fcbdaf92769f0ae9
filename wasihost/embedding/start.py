"""`start`: begin a guest in a thread of its own, with pipes to talk with it.

Rules of this file: whatever goes wrong before the `Process` exists closes every pipe and ends the guest.
"""

from __future__ import annotations

import signal
from typing import IO, TYPE_CHECKING, Any, overload

from wasihost.config import ModuleConfig
from wasihost.descriptors.pipe_end import PipeEnd
from wasihost.embedding.pipes import from_guest, to_guest
from wasihost.embedding.process import Guest, Killed, Process
from wasihost.embedding.signatures import describe
from wasihost.errors import ConfigError
from wasihost.guest.capture import TextMode
from wasihost.guest.module import ModuleSource
from wasihost.guest.options import PIPE, RunSetup

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from wasihost.embedding import signatures


if TYPE_CHECKING:

    @overload
    def start(
        module: ModuleSource, config: None = None, **options: Unpack[signatures.StartBytes]
    ) -> Process[IO[bytes], IO[bytes], None]: ...

    @overload
    def start(
        module: ModuleSource, config: None = None, **options: Unpack[signatures.StartText]
    ) -> Process[IO[str], IO[str], None]: ...

    @overload
    @signatures.with_parameters_of(signatures.OF_START)
    def start() -> Process[Any, Any, Any]: ...


@describe
def start(
    module: ModuleSource, config: ModuleConfig | None = None, *, bufsize: int = -1, **options: Any
) -> Process[Any, Any, Any]:
    """Start a WASI command in a thread of its own, to talk with it while it runs, as `subprocess.Popen` does.

    The options are those of `run`, with two differences. `PIPE` is a pipe, whose other end is `stdin`, `stdout` or
    `stderr` of the `Process`. Standard input and output are pipes unless you or the config pass something else: close
    `stdin`, or pass `stdin=DEVNULL`, for a guest that reads to the end of its input.

    Args:
        module: As for `run`.
        config: As for `run`.
        bufsize: As for `subprocess.Popen`: 0 for no buffer, 1 for lines of text, or a size in bytes. What is written to
            `stdin` reaches the guest when the buffer is full or flushed.
        **options: See `wasihost.Options`; `help(wasihost.start)` lists their names.

    Returns:
        The guest, which has begun. Use it in a `with` block.

    Raises:
        ModuleError: The module is not valid, or not a core module.
        LinkError: The module imports something that nothing provides, or exports no `_start`.
        ConfigError: An option or the config cannot work.
        LimitExceeded: Compiling the module needed more than a limit allows.
        OSError: The module's file cannot be read.
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
    text_mode = TextMode(given.get("text"), given.get("encoding"), given.get("errors"))
    ends: list[PipeEnd] = []
    files: dict[str, Any] = {}
    guest: Guest | None = None
    try:
        for name, make in (("stdin", to_guest), ("stdout", from_guest), ("stderr", from_guest)):
            value = given.get(name)
            if isinstance(value, int) and value == PIPE and not (name == "stdin" and given.get("input") is not None):
                given[name], files[name] = make(text_mode, bufsize)
                ends.append(given[name])
        setup = RunSetup(module, config, given)
        guest = Guest(module, options, setup, ends)
        guest.thread.start()
        guest.thread.begun.wait()
        if guest.thread.never_began and (error := guest.error()) is not None:
            raise error
        return Process(guest, files.get("stdin"), files.get("stdout"), files.get("stderr"))
    except BaseException:  # what went wrong, or Ctrl-C
        if guest is not None:
            guest.thread.end(Killed(signal.SIGKILL))
        _close([] if guest is not None and guest.thread.started else ends, files)  # else the guest closes its ends
        raise


def _close(ends: list[PipeEnd], files: dict[str, IO[Any]]) -> None:
    for end in ends:
        end.close()
    for file in files.values():
        file.close()
