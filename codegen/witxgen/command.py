"""What the command `witxgen` does: bindings from a spec, a spec as data, the difference of two specs.

Rules of this file: arguments in, exit status out. 0 is done or equal, 1 a faulty spec, a refused directory or a
difference, 2 bad usage. A faulty spec changes nothing on disk. What needs lark or jinja2 is imported inside functions,
so that `--help`, `--version` and messages about bad usage do without them.
"""

from __future__ import annotations

import argparse
import json
import keyword
import os
import re
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from witxgen.diff import diff
from witxgen.dump import dump
from witxgen.errors import WitxError
from witxgen.model import Document, Span
from witxgen.output import OutputError, check, write


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        match args.command:
            case "generate":
                status = _generate(parser, args)
            case "dump":
                print(json.dumps(dump(_load(args.files)), indent=2))
                status = 0
            case _:
                status = _diff(args.old, args.new)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # The reader of stdout is gone. What is still buffered must not fail again when Python closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (WitxError, OutputError) as error:
        print(error if isinstance(error, WitxError) else f"witxgen: error: {error}", file=sys.stderr)
        return 1


def _load(files: Sequence[Path]) -> Document:
    from witxgen.resolve import load

    return load(files)


def _generate(parser: argparse.ArgumentParser, args: argparse.Namespace) -> int:
    document = _load(args.files)
    package = args.package or re.sub(r"\W", "_", args.files[0].stem)
    if not package.isidentifier() or keyword.iskeyword(package):
        parser.error(f"{package!r} cannot be the name of a Python package; choose one with --package")
    if not document.types and not any(document.functions()):
        message = "it declares no type and no function, so there is nothing to generate"
        raise WitxError(Span(str(args.files[0]), 0, 0), message)
    from witxgen.render import render

    files = render(document, package)
    directory = args.output / package
    if not args.check:
        for line in write(files, directory):
            print(line)
        return 0
    difference = check(files, directory)
    if difference:
        print(difference, end="")
        print(f"witxgen: {directory} is not what the spec says; run witxgen generate", file=sys.stderr)
    return 1 if difference else 0


def _diff(old: Path, new: Path) -> int:
    lines = diff(_load([old]), _load([new]))
    print("\n".join(lines) if lines else "no differences")
    return 1 if lines else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="witxgen", description="Typed Python bindings from .witx specifications.")
    parser.add_argument("--version", action="version", version=f"witxgen, version {version('wasihost')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    generate = commands.add_parser(
        "generate",
        help="write a Python package",
        description="Write the package DIR/NAME and remove the files of earlier runs that it no longer has.",
    )
    generate.add_argument("files", nargs="+", type=Path, metavar="FILE.witx")
    generate.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="folder that the package is put into"
    )
    generate.add_argument("--package", metavar="NAME", help="name of the package; that of the first file by default")
    generate.add_argument(
        "--check", action="store_true", help="write nothing; print what differs and exit 1 if anything does"
    )

    dumping = commands.add_parser(
        "dump",
        help="print the checked model as JSON",
        description="Print sizes, alignments, offsets, cases and core signatures of a spec as JSON.",
    )
    dumping.add_argument("files", nargs="+", type=Path, metavar="FILE.witx")

    comparing = commands.add_parser(
        "diff",
        help="say what a change of a spec means; exit 1 if anything does",
        description="Print what is added, removed, moved or resized from OLD to NEW; exit 1 if anything is.",
    )
    comparing.add_argument("old", type=Path, metavar="OLD.witx")
    comparing.add_argument("new", type=Path, metavar="NEW.witx")
    return parser
