"""What a run can go through without a difference for the guest: for tables and suites that are run through each.

Rule: a function here takes a config and returns the config of the same guest, with something between guest and host.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wasihost import ModuleConfig, Policy
from wasihost.cassettes import Cassette
from wasihost.hooks import Proceed
from wasihost.policy.enforcing import Enforcer
from wasihost.policy.rules import CLOCKS


def identity(call: Any, proceed: Proceed) -> Any:
    """A hook that passes on an equal call, and its result."""
    return proceed(call._make(call))


def plainly(config: ModuleConfig) -> ModuleConfig:
    """Through nothing."""
    return config


def through_hooks(config: ModuleConfig) -> ModuleConfig:
    """Through a hook on every function that changes nothing, and a trace whose lines are made and forgotten."""
    return config.with_hooks(identity).with_trace(_Nowhere())


class _Nowhere:
    """A stream that takes text."""

    def write(self, text: str) -> int:
        """Forget it."""
        return len(text)


CASSETTE = "cassette"
"""Recorded, and replayed without what it was recorded with: two runs, for which `twice` has the configs."""


def twice(config: ModuleConfig, folder: Path) -> tuple[ModuleConfig, Callable[[], ModuleConfig]]:
    """The config of a run that is recorded, and a function that returns that of its replay."""
    file = folder / "of.cassette"
    return Cassette(file, "all").config(config), lambda: Cassette(file, "none").config(config)


def through_policy(config: ModuleConfig) -> ModuleConfig:
    """Through a policy that allows everything."""
    sockets = [one.name for one in config.sockets]
    names = [os.fsdecode(entry.partition(b"=")[0]) for entry in config.environ]
    policy = Policy(read=["/", "./"], write=["/", "./"], env=names, clocks=CLOCKS, random=True, sockets=sockets)
    return config.with_hooks(Enforcer(policy, config))


THROUGH: dict[str, Callable[[ModuleConfig], ModuleConfig]] = {
    "nothing": plainly,
    "hooks": through_hooks,
    "policy": through_policy,
}
