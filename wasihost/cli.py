"""The `wasihost` command.

Rules of this file: arguments to a config and errors to messages and exit statuses; nothing else. Exit statuses: the
guest's own, 134 for a trap (as a shell sees SIGABRT), 2 for bad usage or a module that cannot be run.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys

import click

from wasihost.config import INHERIT, ModuleConfig
from wasihost.errors import ConfigError, TrapError, WasihostError

TRAP_STATUS = 134
USAGE_STATUS = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="wasihost", prog_name="wasihost")
def main() -> None:
    """Run WebAssembly programs made for WASI, with just what you give them."""


def _mounts(_context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> list[tuple[str, str]]:
    """HOST[::GUEST] -> (guest path, host directory)."""
    pairs = []
    for value in values:
        host, separator, guest = value.rpartition("::")
        if not separator:
            host = guest = value
        if not host or not guest:
            raise click.BadParameter(f"{value!r} is not HOST or HOST::GUEST", param=parameter)
        if not os.path.isdir(host):
            raise click.BadParameter(f"{host!r} is no directory on this machine", param=parameter)
        pairs.append((guest, host))
    return pairs


def _variables(_context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> list[tuple[str, str]]:
    """NAME=VALUE -> (name, value)."""
    pairs = []
    for value in values:
        name, separator, content = value.partition("=")
        if not name or not separator:
            raise click.BadParameter(f"{value!r} is not NAME=VALUE", param=parameter)
        pairs.append((name, content))
    return pairs


@main.command(context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@click.option("--dir", "dirs", multiple=True, metavar="HOST[::GUEST]", callback=_mounts,
              help="Give the guest a directory, under its own or another path. Repeatable.")  # fmt: skip
@click.option("--ro-dir", "ro_dirs", multiple=True, metavar="HOST[::GUEST]", callback=_mounts,
              help="The same, but the guest cannot change anything in it. Repeatable.")  # fmt: skip
@click.option("--env", "env", multiple=True, metavar="NAME=VALUE", callback=_variables,
              help="Set a variable of the guest's environment, which is otherwise empty. Repeatable.")  # fmt: skip
@click.argument("module", type=click.Path(exists=True, dir_okay=False))
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def run(
    dirs: list[tuple[str, str]],
    ro_dirs: list[tuple[str, str]],
    env: list[tuple[str, str]],
    module: str,
    args: tuple[str, ...],
) -> None:
    """Run MODULE, a .wasm or .wat file. Everything after it belongs to the guest.

    \b
    Examples:
      wasihost run hello.wasm
      wasihost run --dir . --env LANG=C tool.wasm --verbose input.txt
      wasihost run --ro-dir ~/texts::/in --dir out::/out convert.wasm /in/a.txt /out/a.html
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not so where Ctrl-C is ignored
        # Python's own way waits for the next call of the guest; one that only computes could not be stopped.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    _occupy_standard_descriptors()
    from wasihost.run import execute

    try:
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
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    except TrapError as error:
        _complain(str(error))
        status = TRAP_STATUS
    except WasihostError as error:
        _complain(str(error))
        status = USAGE_STATUS
    sys.exit(status & 0xFF)


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
    with contextlib.suppress(OSError):
        click.echo(f"wasihost: {text}", err=True)
