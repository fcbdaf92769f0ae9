"""The `wasihost` command: from its arguments to an exit status.

Rules of this file: arguments to a config and errors to messages and exit statuses; nothing else. Exit statuses: the
guest's own, 134 for a trap (as a shell sees SIGABRT), 2 for bad usage or a module that cannot be run.

A plain `wasihost run` is read here, because importing click takes as long as all the rest of a start; whatever is not
plain (help, a mistake, an abbreviation, completion) goes to `commands`, which knows the same options.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import NamedTuple

from wasihost.config import INHERIT, ModuleConfig
from wasihost.errors import TrapError, WasihostError

TRAP_STATUS = 134
USAGE_STATUS = 2


class Order(NamedTuple):
    """What a `wasihost run` asks for: pairs of guest path and host directory, variables, the module, its arguments."""

    dirs: list[tuple[str, str]]
    ro_dirs: list[tuple[str, str]]
    env: list[tuple[str, str]]
    module: str
    args: tuple[str, ...]


def mount(value: str) -> tuple[str, str] | None:
    """HOST[::GUEST] -> (guest path, host directory); None for anything else."""
    host, separator, guest = value.partition("::")
    if not separator:
        guest = host
    return (guest, host) if host and guest else None


def variable(value: str) -> tuple[str, str] | None:
    """NAME=VALUE -> (name, value); None for anything else."""
    name, separator, content = value.partition("=")
    return (name, content) if name and separator else None


def plain(arguments: Sequence[str]) -> Order | None:
    """The order, if every argument before the module is a full option with a good value; else None, for click."""
    if not arguments or arguments[0] != "run":
        return None
    order = Order([], [], [], "", ())
    into = {"--dir": (order.dirs, mount), "--ro-dir": (order.ro_dirs, mount), "--env": (order.env, variable)}
    at = 1
    while at < len(arguments) and arguments[at].startswith("-"):
        name, separator, value = arguments[at].partition("=")
        at += 1
        if name == "--" and not separator:
            break
        if name not in into or (not separator and at >= len(arguments)):
            return None
        if not separator:
            value = arguments[at]
            at += 1
        pairs, read = into[name]
        pair = read(value)
        if pair is None or (read is mount and not os.path.isdir(pair[1])):
            return None
        pairs.append(pair)
    if at >= len(arguments) or not os.path.isfile(arguments[at]):
        return None
    return order._replace(module=arguments[at], args=tuple(arguments[at + 1 :]))


def launch(
    dirs: list[tuple[str, str]],
    ro_dirs: list[tuple[str, str]],
    env: list[tuple[str, str]],
    module: str,
    args: tuple[str, ...],
) -> int:
    """Run the module and answer the exit status; what went wrong is said on standard error."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not so where Ctrl-C is ignored
        # Python's own way waits for the next call of the guest; one that only computes could not be stopped.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    _occupy_standard_descriptors()
    try:
        from wasihost.execute import execute

        config = ModuleConfig().with_args(os.path.basename(module), *args)
        config = config.with_stdin(INHERIT).with_stdout(INHERIT).with_stderr(INHERIT)
        for guest, host in dirs:
            config = config.with_host_directory_preopen(guest, host)
        for guest, host in ro_dirs:
            config = config.with_read_only_fs(guest, host)
        for name, value in env:
            config = config.with_env(name, value)
        status = execute(module, config)
    except OSError as error:
        _complain(f"{module}: {error.strerror or error}")
        status = USAGE_STATUS
    except TrapError as error:
        _complain(str(error))
        status = TRAP_STATUS
    except WasihostError as error:
        _complain(str(error))
        status = USAGE_STATUS
    return status & 0xFF


def _occupy_standard_descriptors() -> None:
    """Where this process was started with one of 0, 1 and 2 closed, `/dev/null`: else the next file that is opened
    takes the number, and the guest has that file as its stream."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free


def _complain(text: str) -> None:
    """A message on standard error, if there is anyone to read it: the exit status says the same."""
    with contextlib.suppress(OSError, AttributeError, ValueError):  # None or closed where the process began without it
        print(f"wasihost: {text}", file=sys.stderr, flush=True)
