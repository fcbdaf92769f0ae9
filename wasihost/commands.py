"""The `wasihost` command as click knows it: options, help, messages about bad usage, completion.

Rules of this file: arguments in, `cli.launch` out. What `cli.plain` understands does not come here, so that a plain run
does not pay for importing click; everything that it does not understand does.
"""

from __future__ import annotations

import os
import sys

import click

from wasihost.cli import launch, mount, variable


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="wasihost", prog_name="wasihost")
def main() -> None:
    """Run WebAssembly programs made for WASI, with just what you give them."""


def _mounts(_context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> list[tuple[str, str]]:
    """HOST[::GUEST] -> (guest path, host directory)."""
    pairs = []
    for value in values:
        pair = mount(value)
        if pair is None:
            raise click.BadParameter(f"{value!r} is not HOST or HOST::GUEST", param=parameter)
        if not os.path.isdir(pair[1]):
            raise click.BadParameter(f"{pair[1]!r} is no directory on this machine", param=parameter)
        pairs.append(pair)
    return pairs


def _variables(_context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> list[tuple[str, str]]:
    """NAME=VALUE -> (name, value)."""
    pairs = []
    for value in values:
        pair = variable(value)
        if pair is None:
            raise click.BadParameter(f"{value!r} is not NAME=VALUE", param=parameter)
        pairs.append(pair)
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
    sys.exit(launch(dirs, ro_dirs, env, module, args))
