"""`instantiate`: a guest that stays, to be called as often as one likes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wasihost.config import ModuleConfig
from wasihost.errors import ConfigError
from wasihost.guest.instance import Instance
from wasihost.guest.module import ModuleSource, as_module
from wasihost.guest.options import Options, RunSetup

if TYPE_CHECKING:
    from typing_extensions import Unpack


def instantiate(
    module: ModuleSource,
    config: ModuleConfig | None = None,
    *,
    text: bool | None = None,
    encoding: str | None = None,
    timeout: float | None = None,
    **options: Unpack[Options],
) -> Instance:
    """Make an instance of a module and keep it: for reactors, whose `_initialize` is called now, and libraries.

    The options are those of `Options`. `timeout` is in seconds, for what the module does now; given here, calls can
    have timeouts in any thread.
    """
    setup = RunSetup(module, config, options, text, encoding, timeout)
    if setup.isolation is not None:
        raise ConfigError("isolation is for run, run_async and start: an instance is in this process")
    return Instance(as_module(module, options), setup, None, timeout)
