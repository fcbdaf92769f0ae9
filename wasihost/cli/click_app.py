"""The `wasihost` command as click knows it: options, help, messages about bad usage, completion.

Rules of this file: arguments in, `RunArguments` or printed text out. Command lines that `options.parse_plain` reads do
not come here, so a plain run does not pay for the import of click; all others do.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any, Final

import click

from wasihost.cli.click_options import with_options
from wasihost.cli.hints import not_a_module
from wasihost.cli.launch import launch
from wasihost.cli.options import COMMANDS, OPTIONS, STDIN, RunArguments, means_run
from wasihost.errors import WasihostError
from wasihost.native import extension, why
from wasihost.outcomes import printable


class _Commands(click.Group):
    """`run` may be left out before a module, or before one of its options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, ["run", *args] if args and means_run(args[0]) else args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _ELSEWHERE:
            return getattr(import_module(_ELSEWHERE[cmd_name]), cmd_name)  # type: ignore[no-any-return]  # by name
        return super().get_command(ctx, cmd_name)


_ELSEWHERE: Final = {
    "map": "wasihost.cli.map_command",
    "compile": "wasihost.cli.shipping",
    "build": "wasihost.cli.shipping",
    "wheel": "wasihost.cli.shipping",
}
"""Commands that are imported when they are used."""


def _code() -> str:
    """Which code runs guests here, as `--version` reports it."""
    return f"pure Python: {why}" if extension is None else "with its native extension"


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(
    package_name="wasihost", prog_name="wasihost", message=f"%(prog)s, version %(version)s, {_code()}"
)
def main() -> None:
    """Run WebAssembly programs that were built for WASI (preview 1).

    A program can use only the directories, variables and sockets that you pass with options.

    \b
    Examples:
      wasihost tool.wasm --help          run a program; what follows the file is passed to it
      wasihost --dir . tool.wasm in.txt  the same, and it can use the current directory
      wasihost inspect tool.wasm         what the program needs, without running it
      wasihost map tool.wasm *.txt       run the program once for each file

    `wasihost run --help` lists the options of run. Completion in bash: eval "$(_WASIHOST_COMPLETE=bash_source
    wasihost)"; in zsh and fish use zsh_source and fish_source.
    """


class _Run(click.Command):
    """Options with an optional value take it after `=` alone: `--trace tool.wasm` has none."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at, read = 0, list(args)
        while at < len(read) and read[at].startswith("-") and read[at] not in (STDIN, "--"):
            option = OPTIONS.get(read[at])
            if option is not None and option.may_be_bare:
                read[at] += "="
            at += 2 if option is not None and option.read is not None and not option.may_be_bare else 1
        return super().parse_args(ctx, read)


@main.command(
    cls=_Run,
    short_help="Run a program.",
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
)
@with_options()
@click.argument("module", type=click.Path(exists=True, allow_dash=True))
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def run(**given: Any) -> None:
    """Run the program MODULE: a .wasm or .wat file, or - for standard input.

    Everything after MODULE is passed to the program. The word `run` may be left out. In the options below, "guest"
    means the program that runs.

    \b
    Examples:
      wasihost run hello.wasm
      wasihost run --dir . --env LANG=C tool.wasm --verbose input.txt
      wasihost run --ro-dir ~/texts::/in --dir out::/out convert.wasm /in/a.txt /out/a.html
      wasihost run --timeout 10s --max-memory 256MiB --stats python.wasm script.py
      wasihost run --tcplisten 127.0.0.1:8080 server.wasm
      wasihost run --invoke add adder.wasm 1 2

    \b
    Exit status: the guest's own; or
      2    wrong usage, or a module that cannot be run
      124  timeout
      125  a limit was exceeded
      134  trap
    """
    arguments = RunArguments(**given)
    if mistake := not_a_module(arguments):
        raise click.UsageError(mistake, click.get_current_context())
    sys.exit(launch(arguments))


@main.command(short_help="Describe a module without running it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--features",
    multiple=True,
    metavar="LIST",
    help="As for run: check whether the module is valid with these features.",
)
@click.argument("module", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
def inspect(module: str, as_json: bool, features: tuple[str, ...]) -> None:
    """Print what MODULE (a file, or - for standard input) is, what it imports and exports, and how to run it.

    The module is validated, but not compiled. For a component, the modules inside it are shown.

    \b
    Example:
      wasihost inspect tool.wasm
    """
    from wasihost.guest.module import canonical_features
    from wasihost.inspection import inspect as look

    try:
        with click.open_file(module, "rb") as file:
            name = "standard input" if module == STDIN else printable(os.path.basename(module))
            report = look(file.read(), name, canonical_features(",".join(features)))
    except WasihostError as error:
        raise click.ClickException(str(error)) from None
    click.echo(report.json() if as_json else report.text())


@main.group()
def cache() -> None:
    """Show or clear the cache of compiled modules."""


@cache.command()
def info() -> None:
    """Print the folder of the cache, the number of modules in it and their size."""
    from wasihost.common.cache_folder import folder
    from wasihost.engines import default_engine
    from wasihost.packaging.unpacking import programs

    engine = default_engine()
    found = engine.cache_entries()
    click.echo(f"folder   {folder() or 'none'}")
    click.echo(f"modules  {len(found)}")
    if count := len(programs(folder() or "")):
        click.echo(f"programs {count}, unpacked")
    click.echo(
        f"size     {sum(size for _, size in found) / (1 << 20):.1f} MiB of at most {engine.CACHE_LIMIT >> 20} MiB"
    )


@cache.command()
@click.option("--yes", "-y", is_flag=True, help="Remove without asking.")
def clear(yes: bool) -> None:
    """Remove all compiled modules, and unpacked programs that are not running. Guests that are running go on.

    Asks first if standard input is a terminal.
    """
    from wasihost.common.cache_folder import folder
    from wasihost.engines import default_engine
    from wasihost.packaging.unpacking import programs, remove_programs

    engine = default_engine()
    found = engine.cache_entries()
    unpacked = programs(folder() or "")
    size = sum(size for _, size in found) / (1 << 20)
    place = os.path.dirname(found[0][0]) if found else folder()
    click.echo(f"{_modules(len(found))}, {size:.1f} MiB, in {place or 'no folder'}")
    if unpacked:
        click.echo(f"{_counted(len(unpacked), 'unpacked program')}")
    if (found or unpacked) and not yes and sys.stdin is not None and sys.stdin.isatty():
        click.confirm("Remove them?", abort=True)
    count, freed = engine.clear_cache()
    click.echo(f"removed {_modules(count)}, {freed / (1 << 20):.1f} MiB")
    if unpacked:
        click.echo(f"removed {_counted(remove_programs(folder() or ''), 'unpacked program')}")


def _modules(count: int) -> str:
    return _counted(count, "compiled module")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
