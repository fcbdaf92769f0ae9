"""The options `policy` and `learn` of one run: a config with their hooks, and what is done when the run has ended."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wasihost.common.names import shown
from wasihost.errors import ConfigError
from wasihost.policy.enforcing import Enforcer
from wasihost.policy.learning import Learner
from wasihost.policy.rules import Policy

if TYPE_CHECKING:
    from wasihost.config import ModuleConfig
    from wasihost.stats import Stats


class PolicyRun:
    """One run under a policy, or one to learn from, or both: then what passes is learnt.

    `config` is the config for it. The hooks are the innermost: they see what the guest's calls have become.

    Raises:
        ConfigError: One of the options is not what it should be, or the file to be written has no folder.
    """

    def __init__(self, config: ModuleConfig, policy: Any, learn: Any) -> None:
        self._enforcer: Enforcer | None = None
        self._learner: Learner | None = None
        self._file: str | None = None
        if policy is not None:
            if isinstance(policy, (str, os.PathLike)):
                policy = Policy.load(policy)
            if not isinstance(policy, Policy):
                raise ConfigError(f"policy cannot be {shown(repr(policy))}: give a Policy, or the path of its file")
            self._enforcer = Enforcer(policy, config)
            config = policy.narrowed(config)
        if learn is not None:
            if isinstance(learn, (str, os.PathLike)):
                self._file = os.path.abspath(learn)
                if not Path(self._file).parent.is_dir():
                    raise ConfigError(f"learn cannot be {shown(os.fspath(learn))}: there is no such folder")
                if Path(self._file).is_dir():
                    raise ConfigError(f"learn cannot be {shown(os.fspath(learn))}: it is a folder; give a file in it")
                if not os.access(Path(self._file).parent, os.W_OK | os.X_OK):
                    raise ConfigError(f"learn cannot be {shown(os.fspath(learn))}: its folder cannot be written to")
                learn = Learner()
            if not isinstance(learn, Learner):
                raise ConfigError(f"learn cannot be {shown(repr(learn))}: give the path of a file, or a Learner")
            self._learner = learn
            config = config.with_hooks(learn.hook(config))
        if self._enforcer is not None:
            config = config.with_hooks(self._enforcer)
        self.config: ModuleConfig = config

    def note_refusals(self, stats: Stats) -> None:
        """Set what was refused so far."""
        if self._enforcer is not None:
            stats.refusals = tuple(self._enforcer.refusals)

    def end(self, stats: Stats) -> None:
        """Note what was used, and write the file. Raises ConfigError if it cannot be written."""
        if self._learner is not None:
            self._learner.note_use(stats)
            if self._file is not None:
                self._learner.save(self._file)
