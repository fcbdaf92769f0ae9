"""`--handlers`, `--hooks`, `--bind` and `--trace`: what a command line says about the guest's calls.

Rules of this file: imported only for a command line with one of these options.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from wasihost.cli.options import RunArguments
from wasihost.config import ModuleConfig
from wasihost.errors import WasihostError

if TYPE_CHECKING:
    from wasihost.binding import Binding


def with_calls(config: ModuleConfig, arguments: RunArguments) -> ModuleConfig:
    """Return the config with handlers, hooks and trace.

    Raises:
        WasihostError: One of them cannot be loaded or used.
    """
    config = config.with_handlers(*(_load(f"--handlers {reference}", reference) for reference in arguments.handlers))
    for reference in arguments.hooks:
        hook = _load(f"--hooks {reference}", reference)
        config = config.with_hooks(hook() if isinstance(hook, type) else hook)
    if arguments.trace is not None or arguments.trace_summary:
        from wasihost.trace import Trace

        made = Trace(
            arguments.trace_to or True,
            filter=arguments.trace or "",
            format="json" if arguments.trace_format == "json" else "text",
            summary=arguments.trace_summary,
            calls=arguments.trace is not None,
        )
        config = config.with_trace(made)
    return config


def bindings(arguments: RunArguments) -> list[Binding]:
    """Return the packages that are served. Raises WasihostError if one cannot be loaded or used."""
    from wasihost.binding import bind

    made = []
    for package, handlers in arguments.bind:
        option = f"--bind {package}={handlers}"
        made.append(bind(_module(option, package), _load(option, handlers)))
    return made


def failure(error: Exception) -> str:
    """Return an error of a hook or of handlers as one line, with the place in their own source."""
    import os
    import sysconfig
    import traceback

    import wasihost

    others = (*(sysconfig.get_path(name) for name in ("stdlib", "purelib")), os.path.dirname(wasihost.__file__), "<")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(others)]
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if not frames:
        return text
    return f"{os.path.relpath(frames[-1].filename)}, line {frames[-1].lineno}, in {frames[-1].name}: {text}"


def _load(option: str, reference: str) -> Any:
    """Return what `MODULE:NAME` means. `option` is what messages begin with."""
    name, _, attribute = reference.partition(":")
    found = _module(option, name)
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise WasihostError(f"{option}: {name} has no {attribute}")
        found = getattr(found, part)
    return found


def _module(option: str, name: str) -> Any:
    if "" not in sys.path:
        sys.path.insert(0, "")  # the current folder, as `python -m` has it
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        where = "" if error.name == name else f", which {name} imports"
        raise WasihostError(
            f"{option}: there is no module {error.name}{where}; is it in this folder, or installed?"
        ) from None
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        raise WasihostError(f"{option}: the import of {name} failed: {problem}") from error
