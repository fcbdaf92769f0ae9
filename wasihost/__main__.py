"""The entry point of `wasihost` and of `python -m wasihost`."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """Run the command line and end the process with its exit status.

    After a plain run nothing is left to be done: the guest's files are closed and its writes were never buffered. So
    the process ends at once, without the 6 ms (of 40) that Python takes to shut down.

    The garbage collector starts with the guest: imports make thousands of objects that stay, and no garbage.
    """
    gc.disable()
    from wasihost.cli import bytecode

    bytecode.use()  # so all other imports come after it
    from wasihost.cli.launch import launch
    from wasihost.cli.options import parse_plain

    arguments = parse_plain(sys.argv[1:]) if "_WASIHOST_COMPLETE" not in os.environ else None
    if arguments is not None:
        status = launch(arguments)
        bytecode.keep()
        os._exit(status)
    from wasihost.cli.click_app import main as commands

    gc.enable()
    commands(prog_name="wasihost")


if __name__ == "__main__":
    main()
