"""A State under a policy, called through its raw methods."""

from __future__ import annotations

from typing import Any

from tests.support.raw import Raw
from wasihost import ModuleConfig, Policy
from wasihost.policy.enforcing import Enforcer
from wasihost.policy.learning import Learner


class Held(Raw):
    """A guest under a policy. `refused` has what was refused so far, as (function, what, rule)."""

    def __init__(self, config: ModuleConfig, policy: Policy | None = None, **rules: Any) -> None:
        policy = Policy(**rules) if policy is None else policy
        self.enforcer = Enforcer(policy, config)
        super().__init__(policy.narrowed(config).with_hooks(self.enforcer))

    @property
    def refused(self) -> list[tuple[str, str, str]]:
        return [(one.function, one.what, one.rule) for one in self.enforcer.refusals]

    def path(self, name: str, fd: int, path: str, *rest: int) -> int:
        """Call a function that takes a directory and a path."""
        return self.call(name, fd, *self.text(path), *rest)

    def two(self, name: str, fd: int, old: str, new_fd: int, new: str) -> int:
        """Call `path_rename`, or `path_link` without following."""
        flags = [0] if name == "path_link" else []
        return self.call(name, fd, *flags, *self.text(old), new_fd, *self.text(new))

    def opening(self, path: str, *, fd: int = 3, follow: bool = True, oflags: int = 0, rights: int = 2) -> int:
        """The errno of `path_open`, by default for reading."""
        return self.call("path_open", fd, int(follow), *self.text(path), oflags, rights, 0, 0, self.new(4))


def learn(config: ModuleConfig, learner: Learner) -> Raw:
    """A guest that a policy is learnt from."""
    return Raw(config.with_hooks(learner.hook(config)))
