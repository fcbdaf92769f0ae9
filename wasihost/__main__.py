"""The entry point of `wasihost` and of `python -m wasihost`, and that of programs that are built from modules."""

from __future__ import annotations

import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from wasihost.cli.options import RunArguments


def main() -> None:
    """Run the command line and end the process with its exit status.

    After a plain run nothing is left to be done: the guest's files are closed and its writes were never buffered. So
    the process ends at once, without the 6 ms (of 40) that Python takes to shut down.

    The garbage collector starts with the guest: imports make thousands of objects that stay, and no garbage.
    """
    arguments = _parse(sys.argv[1:]) if "_WASIHOST_COMPLETE" not in os.environ else None
    if arguments is not None:
        _run(arguments)
    from wasihost.cli.click_app import main as commands

    gc.enable()
    commands(prog_name="wasihost")


def program(module: str, options: Sequence[str] = (), name: str | None = None) -> NoReturn:
    """Run a module with fixed options of `run`, and the arguments of this process, as a command of its own.

    What `wasihost build` and `wasihost wheel` make calls it, so later versions take these parameters too.

    Args:
        module: The path of the module, or of a folder with the option `--precompiled`.
        options: Options of `wasihost run`. A host directory that is missing ends the process with status 2.
        name: The guest's `argv[0]`; by default the name of this command.
    """
    name = name or os.path.basename(sys.argv[0])
    arguments = _parse(["run", "--argv0", name, *options, module, *sys.argv[1:]])
    if arguments is not None:
        _run(arguments)
    from wasihost.cli.hints import fixed_options

    print(f"{name}: {fixed_options(module, options)}", file=sys.stderr, flush=True)
    sys.exit(2)


def _parse(arguments: list[str]) -> RunArguments | None:
    gc.disable()
    from wasihost.cli import bytecode

    bytecode.use()  # so all other imports come after it
    from wasihost.cli.options import parse_plain

    return parse_plain(arguments)


def _run(arguments: RunArguments) -> NoReturn:
    from wasihost.cli import bytecode
    from wasihost.cli.launch import launch

    status = launch(arguments)
    bytecode.keep()
    os._exit(status)


if __name__ == "__main__":
    main()
