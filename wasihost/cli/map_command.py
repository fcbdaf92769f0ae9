"""`wasihost map` as click knows it: its options, its help, and what is wrong with a command line.

Rules of this file: arguments in, a `Batch` out. What follows `--` are the guest's arguments.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from wasihost.cli.click_options import with_options
from wasihost.cli.options import RunArguments

OF_RUN: Final = [
    "--dir",
    "--ro-dir",
    "--one-file-system",
    "--kernel-files",
    "--env",
    "--env-inherit",
    "--argv0",
    "--timeout",
    "--max-memory",
    "--max-stack",
    "--compile-timeout",
    "--compile-memory",
    "--fuel",
    "--max-output",
    "--max-open-files",
    "--features",
    "--no-cache",
    "--isolate",
    "--handlers",
    "--hooks",
]
"""The options of `run` that hold for each run."""


class _Map(click.Command):
    """Takes what follows the first `--` as the guest's arguments."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own, rest = args, tuple[str, ...]()
        if "--" in args:
            at = args.index("--")
            own, rest = args[:at], tuple(args[at + 1 :])
        left = super().parse_args(ctx, own)
        ctx.params["args"] = rest
        return left


def _statuses(_context: click.Context, _parameter: click.Parameter, texts: Sequence[str]) -> frozenset[int]:
    found = {0}
    for text in ",".join(texts).split(",") if texts else ():
        if not text.isascii() or not text.isdigit():
            raise click.BadParameter(f"{text!r} is no exit status: give numbers, such as 1 or 1,2")
        found.add(int(text))
    return frozenset(found)


@click.command("map", cls=_Map, short_help="Run a program once for each file.")
@click.option("--jobs", "-j", type=click.IntRange(1), metavar="N", help="Run N at once. Default: one per processor.")
@click.option("--out", "-o", metavar="DIR", help="Write each output into this folder. Without it they are printed.")
@click.option(
    "--name",
    metavar="TEMPLATE",
    default="{name}",
    help="The name of an output in DIR: {name} is that of the file, {stem} the same without its {suffix}, {path} its "
    "path as given, {number} its place, from 1. Default: {name}.",
)
@click.option("--resume", is_flag=True, help="Skip files whose outputs are in DIR, made by the same command.")
@click.option(
    "--accept", multiple=True, callback=_statuses, metavar="STATUS", help="Exit statuses beside 0 that are no failure."
)
@click.option("--files-from", metavar="LIST", help="Read more names of files from LIST, one a line; - is stdin.")
@click.option("--progress", is_flag=True, help="Show a bar; needs tqdm.")
@with_options(OF_RUN)
@click.argument("module", type=click.Path(exists=True, dir_okay=False))
@click.argument("files", nargs=-1)
def map(
    jobs: int | None,
    out: str | None,
    name: str,
    resume: bool,
    accept: frozenset[int],
    files_from: str | None,
    progress: bool,
    files: tuple[str, ...],
    **given: Any,
) -> None:
    """Run the program MODULE once for each of FILES, several at a time.

    The program reads the file on standard input, and what it prints is the output. What follows -- are its arguments.
    If one of them contains {}, the program gets the file as a file instead: {} is its path, and it can read no other.
    If one contains {out}, the program writes the output to a file, whose path that is.

    An output appears in DIR when its run has succeeded, and not before; what fails leaves none. Two files that would
    have the same output are an error, before anything runs. What a program prints on standard error is printed
    when it has ended, behind the name of its file.

    \b
    Examples:
      wasihost map upper.wasm *.txt
      wasihost map --jobs 8 --out html --name '{stem}.html' markdown.wasm *.md
      wasihost map --out png convert.wasm *.svg --name '{stem}.png' -- {} -o {out}
      find . -name '*.log' | wasihost map --out redacted --name '{path}' --resume redact.wasm --files-from -

    \b
    Exit status:
      0    all runs succeeded
      1    some failed
      2    wrong usage, or a module that cannot be run
    """
    from wasihost.cli.batch import run_batch

    if files_from is not None:
        files = (*files, *_lines(files_from))
    elif not files:
        raise click.UsageError("name the files to run it for; or give --files-from LIST")
    if out is None and (resume or name != "{name}" or any("{out}" in one for one in given["args"])):
        raise click.UsageError("--resume, --name and {out} are for outputs in a folder: give --out DIR")
    sys.exit(run_batch(RunArguments(**given), files, jobs, out, name, resume, accept, progress))


def _lines(name: str) -> list[str]:
    try:
        with click.open_file(name, "rb") as file:
            content: bytes = file.read()
    except OSError as error:
        raise click.UsageError(f"--files-from {name}: {error.strerror}") from None
    return [os.fsdecode(line) for line in content.split(b"\n") if line]
