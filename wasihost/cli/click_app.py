"""The `wasihost` command as click knows it: options, help, messages about bad usage, completion.

Rules of this file: arguments in, an `Order` or a report out. What `options.plain` understands does not come here, so
that a plain run does not pay for importing click; everything that it does not understand does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import click

from wasihost.cli.hints import bad_value, no_folder
from wasihost.cli.launch import launch
from wasihost.cli.options import OPTIONS, STDIN, Option, Order, means_run, mount
from wasihost.errors import WasihostError
from wasihost.outcomes import printable


class _Commands(click.Group):
    """`run` may be left out before a module, or before one of its options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, ["run", *args] if args and means_run(args[0]) else args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="wasihost", prog_name="wasihost")
def main() -> None:
    """Run WebAssembly programs made for WASI, with just what you give them.

    For completion in bash: eval "$(_WASIHOST_COMPLETE=bash_source wasihost)"; zsh and fish have theirs.
    """


def _reading(option: Option) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A click callback that reads values as `options` does."""
    read = option.read
    assert read is not None

    def one(parameter: click.Parameter, text: str) -> Any:
        value = read(text)
        if value is None:
            raise click.BadParameter(bad_value(option.metavar, text), param=parameter)
        if read is mount and not os.path.isdir(value[1]):
            raise click.BadParameter(no_folder(parameter.opts[0], text, value[1]), param=parameter)
        return value

    def callback(_context: click.Context, parameter: click.Parameter, given: Any) -> Any:
        if option.repeated:
            return tuple(one(parameter, text) for text in given)
        return None if given is None else one(parameter, given)

    return callback


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    for name, option in reversed(OPTIONS.items()):
        about = option.help + (" Repeatable." if option.repeated else "")
        if option.read is None:
            command = click.option(name, option.field, is_flag=True, help=about)(command)
        else:
            command = click.option(name, option.field, metavar=option.metavar, multiple=option.repeated, help=about,
                                   callback=_reading(option))(command)  # fmt: skip
    return command


@main.command(context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@_with_options
@click.argument("module", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def run(**given: Any) -> None:
    """Run MODULE: a .wasm or .wat file, or - for standard input.

    Everything after it belongs to the guest. The word `run` may be left out.

    \b
    Examples:
      wasihost run hello.wasm
      wasihost run --dir . --env LANG=C tool.wasm --verbose input.txt
      wasihost run --ro-dir ~/texts::/in --dir out::/out convert.wasm /in/a.txt /out/a.html
      wasihost run --timeout 10s --max-memory 256MiB --stats python.wasm script.py
      wasihost run --tcplisten 127.0.0.1:8080 server.wasm
      wasihost run --invoke add adder.wasm 1 2

    \b
    Exit status: the guest's; 124 timeout, 125 limit exceeded, 134 trap, 2 bad usage or a module that cannot be run.
    """
    sys.exit(launch(Order(**given)))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--features", multiple=True, metavar="LIST", help="As for run: whether the module does without those "
              "that are off.")  # fmt: skip
@click.argument("module", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
def inspect(module: str, as_json: bool, features: tuple[str, ...]) -> None:
    """Say what MODULE (a file, or - for standard input) is, what it wants from its host, and how to run it.

    It is validated, but not compiled. Components are looked into.

    \b
    Example:
      wasihost inspect tool.wasm
    """
    from wasihost.guest.module import settled
    from wasihost.inspection import inspect as look

    try:
        with click.open_file(module, "rb") as file:
            name = "standard input" if module == STDIN else printable(os.path.basename(module))
            report = look(file.read(), name, settled(",".join(features)))
    except WasihostError as error:
        raise click.ClickException(str(error)) from None
    click.echo(report.json() if as_json else report.text())


@main.group()
def cache() -> None:
    """Compiled modules kept on disk."""


@cache.command()
def info() -> None:
    """Where they are, how many, and how much room they take."""
    from wasihost.common.cache_folder import folder
    from wasihost.engines.wasmtime.cache import LIMIT, entries

    found = entries()
    click.echo(f"folder   {folder() or 'none'}")
    click.echo(f"modules  {len(found)}")
    click.echo(f"size     {sum(size for _, size in found) / (1 << 20):.1f} MiB of at most {LIMIT >> 20} MiB")


@cache.command()
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def clear(yes: bool) -> None:
    """Remove all of them, and nothing else. Guests that run now go on.

    Where there is no terminal nobody is asked.
    """
    from wasihost.common.cache_folder import folder
    from wasihost.engines.wasmtime.cache import clear as remove
    from wasihost.engines.wasmtime.cache import entries

    found = entries()
    size = sum(size for _, size in found) / (1 << 20)
    place = os.path.dirname(found[0][0]) if found else folder()
    click.echo(f"{_modules(len(found))}, {size:.1f} MiB, in {place or 'no folder'}")
    if found and not yes and sys.stdin is not None and sys.stdin.isatty():
        click.confirm("Remove them?", abort=True)
    count, freed = remove()
    click.echo(f"removed {_modules(count)}, {freed / (1 << 20):.1f} MiB")


def _modules(count: int) -> str:
    return f"{count} compiled module{'s' * (count != 1)}"
