"""The log: loggers of the standard library whose names begin with `wasihost.`, for causes that a guest cannot be told.

`logging` is imported when there is something to say: few runs have that.
"""

from __future__ import annotations


def warn(logger: str, message: str, *args: object) -> None:
    """A warning to `wasihost.<logger>`; `args` go into `message` as `logging` has it."""
    import logging

    logging.getLogger(f"wasihost.{logger}").warning(message, *args)
