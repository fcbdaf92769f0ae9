"""The table of options for click: what commands that run guests have in common.

Rules of this file: a value is read as `options` reads it; what is wrong with one is said by `hints`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import click

from wasihost.cli.hints import bad_value
from wasihost.cli.options import OPTIONS, Option


def _reader(name: str, option: Option) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Returns a click callback that reads the values of an option by the table."""

    def one(parameter: click.Parameter, text: str) -> Any:
        value = option.value(text)
        if value is None:
            raise click.BadParameter(bad_value(name, option, text), param=parameter)
        return value

    def callback(_context: click.Context, parameter: click.Parameter, given: Any) -> Any:
        if option.repeated:
            return tuple(one(parameter, text) for text in given)
        return None if given is None else one(parameter, given)

    return callback


def with_options(names: Collection[str] = OPTIONS) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator for a command that takes these options of the table, by default all."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        return _decorated(command, names)

    return decorate


def _decorated(command: Callable[..., None], names: Collection[str]) -> Callable[..., None]:
    for name, option in reversed(OPTIONS.items()):
        if name not in names:
            continue
        text = option.help + (" Can be repeated." if option.repeated else "")
        if option.read is None:
            decorate = click.option(name, option.field, is_flag=True, help=text)
        else:
            decorate = click.option(
                name,
                option.field,
                metavar=f"[={option.metavar}]" if option.may_be_bare else option.metavar,
                multiple=option.repeated,
                help=text,
                callback=_reader(name, option),
            )
        command = decorate(command)
    return command
