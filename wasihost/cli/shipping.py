"""The commands that make what is shipped: `compile`, `build`, `wheel`.

Rules of this file: arguments in, printed text out; the work is done in `wasihost.packaging`. It is imported only for
these commands.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from wasihost.cli.hints import fixed_options
from wasihost.cli.progress import Progress
from wasihost.errors import WasihostError
from wasihost.outcomes import printable
from wasihost.packaging.executable import PYTHON
from wasihost.packaging.executable import build as make
from wasihost.packaging.precompiled import SUFFIX

if TYPE_CHECKING:
    from wasihost.packaging.ahead import Cpu

_FILE = click.Path(exists=True, dir_okay=False)
_FEATURES = click.option(
    "--features", multiple=True, metavar="LIST", help="As for run: compile it for runs with these features."
)


@contextmanager
def _messages() -> Iterator[None]:
    """Print errors as messages of one line."""
    try:
        yield
    except WasihostError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{printable(str(error.filename or ''))}: {error.strerror or error}") from None


def _progress() -> Progress | None:
    return Progress() if sys.stderr is not None and sys.stderr.isatty() else None


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"


_CPU = click.option(
    "--cpu",
    type=click.Choice(["baseline", "native"]),
    help="For all processors of this kind, or for those with all features of this one. Default: native.",
)
_FUEL = click.option("--fuel", is_flag=True, help="Compile also for runs with --fuel.")
_RUN_OPTIONS = click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[-- RUN_OPTIONS...]")


@click.command(name="compile", short_help="Compile modules before they are run.")
@click.option("-o", "--output", type=click.Path(file_okay=False), metavar="DIR", help="Make DIR/NAME.precompiled.")
@_CPU
@_FUEL
@_FEATURES
@click.argument("modules", type=_FILE, nargs=-1, required=True)
def compile(
    modules: tuple[str, ...], output: str | None, cpu: Cpu | None, fuel: bool, features: tuple[str, ...]
) -> None:
    """Compile each MODULE into the cache, so that runs of it start at once; or, with -o, into a folder of its own.

    Such a folder, NAME.precompiled, can be copied to other machines that have the same version of the engine:
    `wasihost run --precompiled DIR/NAME.precompiled` runs it. It holds machine code: run only what comes from where
    your programs come from.

    \b
    Examples:
      wasihost compile tool.wasm
      wasihost compile --cpu baseline -o build tool.wasm other.wasm
    """
    from wasihost.packaging import ahead

    stems = [ahead.stem(os.path.basename(module)) for module in modules]
    if output is not None and len(set(stems)) < len(stems):
        twice = next(one for one in stems if stems.count(one) > 1)
        raise click.UsageError(f"two modules would be {printable(twice)}{SUFFIX}: compile them into different folders")
    for module in modules:
        with _messages():
            name = printable(os.path.basename(module))
            chosen = ",".join(features) or None
            if output is None:
                kept = ahead.fill_cache(module, cpu=cpu, fuel=fuel, features=chosen, on_compile=_progress())
                what = "compiled" if any(one.compiled for one in kept) else "was compiled before"
                where = printable(os.path.dirname(kept[0].path))
                click.echo(f"{name}: {what}, {_mib(sum(one.size for one in kept))} in {where}")
            else:
                made = ahead.precompile(
                    module, output, cpu=cpu or "native", fuel=fuel, features=chosen, on_compile=_progress()
                )
                size = sum(entry.stat().st_size for entry in os.scandir(made))
                click.echo(f"{name}: {printable(made)}, {_mib(size)}")


def _check_run_options(options: tuple[str, ...]) -> None:
    """UsageError for options that `run` would refuse; host directories may be missing on this machine."""
    if mistake := fixed_options("", options, here=False):
        raise click.UsageError(mistake, click.get_current_context())


@click.command(short_help="Make an executable of a module.")
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), metavar="FILE", help="The executable.")
@click.option("--python", default=PYTHON, show_default=True, metavar="PATH", help="Its interpreter.")
@_CPU
@_FUEL
@_FEATURES
@click.argument("module", type=_FILE)
@_RUN_OPTIONS
def build(
    module: str,
    output: str,
    python: str,
    cpu: Cpu | None,
    fuel: bool,
    features: tuple[str, ...],
    options: tuple[str, ...],
) -> None:
    """Make one executable file of MODULE, with its compiled code, the engine and wasihost in it.

    It runs on machines of this kind that have a Python, and unpacks itself once, into the user's cache. What follows
    `--` are options of `wasihost run` that it always has; by default its program can use no directory and no variable.

    \b
    Examples:
      wasihost build tool.wasm -o tool
      wasihost build --cpu baseline tool.wasm -o tool -- --dir . --env LANG
    """
    _check_run_options(options)
    with _messages():
        size = make(
            module,
            output,
            options=options,
            python=python,
            cpu=cpu or "native",
            fuel=fuel,
            features=",".join(features) or None,
            on_compile=_progress(),
        )
    click.echo(f"{printable(os.path.basename(module))}: {printable(output)}, {_mib(size)}")


@click.command(short_help="Make a wheel of a module.")
@click.option("--name", required=True, metavar="NAME", help="The project, and the package to import.")
@click.option("--version", default="0.1.0", show_default=True, metavar="VERSION", help="Of the project.")
@click.option("--summary", default="", metavar="TEXT", help="What it is, in one line.")
@click.option("-o", "--output", default="dist", show_default=True, type=click.Path(file_okay=False), metavar="DIR")
@click.option(
    "--commands", multiple=True, metavar="NAMES", help="Names of its commands, with commas between. Default: NAME."
)
@click.option("--typed", type=_FILE, metavar="FILE", help="A TOML file that describes its Python functions.")
@click.option("--stub", "stubs", multiple=True, metavar="NAME", help="As for run, for commands and functions.")
@click.option("--license", "expression", metavar="SPDX", help="Its licence, such as MIT OR Apache-2.0.")
@click.option("--license-file", "licences", multiple=True, type=_FILE, metavar="FILE", help="A file to carry along.")
@click.argument("module", type=_FILE)
@_RUN_OPTIONS
def wheel(
    module: str,
    name: str,
    version: str,
    summary: str,
    output: str,
    commands: tuple[str, ...],
    typed: str | None,
    stubs: tuple[str, ...],
    expression: str | None,
    licences: tuple[str, ...],
    options: tuple[str, ...],
) -> None:
    """Make a wheel of MODULE, for all systems: with commands, and a typed Python function for each of them.

    What follows `--` are options of `wasihost run` that the commands always have. Licences beside MODULE are carried
    along.

    \b
    Examples:
      wasihost wheel tool.wasm --name tool
      wasihost wheel graphviz.wasm --name my-graphviz --commands dot,neato -- --dir .
    """
    from wasihost.packaging.wheel import wheel as make_wheel

    _check_run_options(options)
    with _messages():
        made = make_wheel(
            module,
            output,
            name=name,
            version=version,
            summary=summary,
            commands=[one.strip() for one in ",".join(commands).split(",") if one.strip()] if commands else None,
            typed=typed,
            options=options,
            stubs=stubs,
            license_expression=expression,
            license_files=licences,
        )
    click.echo(f"{printable(made.path)}: {_mib(made.size)}, functions: {', '.join(made.functions)}")
