"""`instantiate`: a guest that stays, whose exports can be called any number of times."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wasihost.config import ModuleConfig
from wasihost.embedding.signatures import describe
from wasihost.errors import ConfigError
from wasihost.guest.instance import Instance
from wasihost.guest.module import ModuleSource, as_module
from wasihost.guest.options import Options, RunSetup

if TYPE_CHECKING:
    from typing_extensions import Unpack


@describe
def instantiate(module: ModuleSource, config: ModuleConfig | None = None, **options: Unpack[Options]) -> Instance:
    """Make an instance of a module and keep it, to call its exports: for reactors and libraries.

    `_initialize`, if the module exports it, is called now.

    Args:
        module: As for `run`.
        config: As for `run`.
        **options: See `wasihost.Options`; `help(wasihost.instantiate)` lists their names. `timeout` is in seconds, for
            what the module does now. With it, later calls can have timeouts in any thread.

    Returns:
        The guest. Close it, or use it in a `with` block.

    Raises:
        ModuleError: The module is not valid, or not a core module.
        LinkError: The module imports something that nothing provides.
        ConfigError: An option or the config cannot work; `isolation` was passed.
        TimeoutExpired: `timeout` seconds passed.
        TrapError: The guest trapped while it was initialized.
        ExitError: The guest exited while it was initialized.
        LimitExceeded: The guest, or compiling its module, needed more than a limit allows.
        OSError: The module's file cannot be read.
    """
    setup = RunSetup(module, config, options)
    if setup.isolation is not None:
        raise ConfigError("isolation is for run, run_async and start: an instance is in this process")
    return Instance(as_module(module, options), setup, None, setup.timeout)
