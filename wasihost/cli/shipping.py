"""The commands that make what is shipped: `compile`.

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

from wasihost.cli.progress import Progress
from wasihost.errors import WasihostError
from wasihost.outcomes import printable

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


@click.command(name="compile", short_help="Compile modules before they are run.")
@click.option("-o", "--output", type=click.Path(file_okay=False), metavar="DIR", help="Make DIR/NAME.precompiled.")
@click.option(
    "--cpu",
    type=click.Choice(["baseline", "native"]),
    help="For all processors of this kind, or for those with all features of this one. Default: native.",
)
@click.option("--fuel", is_flag=True, help="Compile also for runs with --fuel.")
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
