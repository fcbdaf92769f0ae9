"""One input's run, as often as it may be tried: in a thread of this process, or in a process of an executor.

Rules of this file: what ends a guest is returned, not raised, so that no executor sees an exception that is the
guest's, and none tries again by itself what would end the same way.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from wasihost.embedding.run import CompletedProcess, finish
from wasihost.errors import ConfigError, LinkError, ModuleError, WasihostError
from wasihost.guest.options import RunSetup
from wasihost.scale.references import ModuleMissing, ModuleReference
from wasihost.scale.threads import Ended, Guests

if TYPE_CHECKING:
    from wasihost.config import ModuleConfig
    from wasihost.guest.module import Module
    from wasihost.waiting.cancel_scope import Endable

SAME_AGAIN: Final = (ConfigError, LinkError, ModuleError, Ended)
"""Errors that another attempt would meet too."""


class Task(NamedTuple):
    """What all inputs of a map have in common, but the module."""

    config: ModuleConfig | None
    retries: int
    check: bool


class Ran(NamedTuple):
    """How an input's last attempt ended."""

    completed: CompletedProcess[Any, Any, Any] | None
    error: Exception | None
    attempts: int


def run_here(module: Module, task: Task, options: Mapping[str, Any], guests: Guests | None) -> Ran:
    """Run an input in this process, with `guests` to end it."""
    made: list[Endable] = []

    def began(guest: Endable) -> None:
        if guests is not None:
            made[:] = [guest]
            guests.began(guest)

    attempt = 0
    while True:
        attempt += 1
        try:
            setup = RunSetup(module, task.config, options)
            return Ran(finish(module, setup, task.check, began), None, attempt)
        except SAME_AGAIN as error:
            return Ran(None, error, attempt)
        except Exception as error:
            if attempt > task.retries:
                return Ran(None, error, attempt)
        finally:
            if made and guests is not None:
                guests.over(made.pop())


def run_elsewhere(
    reference: ModuleReference, content: bytes | None, task: Task, options: Mapping[str, Any]
) -> Ran | Literal["missing"]:
    """Run an input in a process of an executor. Returns "missing" if it needs the module's content for that."""
    try:
        module = reference.resolve(content)
    except ModuleMissing:
        return "missing"
    except WasihostError as error:
        return Ran(None, error, 1)
    done = run_here(module, task, options, None)
    if done.error is not None and not isinstance(done.error, WasihostError):
        done.error.add_note("".join(traceback.format_exception(done.error)).rstrip())  # pickling drops it
    if done.error is not None:
        try:
            pickle.dumps(done.error)
        except Exception:
            return done._replace(error=RuntimeError(f"{type(done.error).__name__}: {done.error}"))
    return done
