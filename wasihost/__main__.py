"""The entry point of `wasihost` and of `python -m wasihost`."""

from __future__ import annotations

import os
import sys

from wasihost.cli import launch, plain


def main() -> None:
    """Run what was asked for; ends the process with the exit status."""
    order = plain(sys.argv[1:]) if "_WASIHOST_COMPLETE" not in os.environ else None
    if order is not None:
        sys.exit(launch(*order))
    from wasihost.commands import main as commands

    commands(prog_name="wasihost")


if __name__ == "__main__":
    main()
