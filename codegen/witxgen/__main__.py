"""The entry point of `witxgen` and of `python -m witxgen`.

The command is installed with wasihost for everybody, what it needs only by the extra; so nothing that needs it is
imported before this can say so.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

_EXTRA = ("lark", "jinja2")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    try:
        from witxgen.command import main as command

        return command(argv)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        print(f'witxgen: needs {error.name}, which is not installed: pip install "wasihost[witxgen]"', file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
