"""The entry point of `witxgen` and of `python -m witxgen`.

The command is installed with wasihost, but the libraries it needs only with the extra `wasihost[witxgen]`. So nothing
that needs them is imported before this file can say that they are missing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

_EXTRA = ("lark", "jinja2")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
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
