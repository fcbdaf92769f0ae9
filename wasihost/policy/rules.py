"""`Policy`: the rules as values, and what they allow. A guest may do what a rule allows, and nothing else.

Rules of this file: no call and no file; a rule is checked when the policy is made.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from posixpath import normpath
from types import MappingProxyType
from typing import Any, Final

from wasihost.common.names import near
from wasihost.config import ModuleConfig
from wasihost.config.limits import Limits, changed
from wasihost.errors import ConfigError
from wasihost.policy.files import load

CLOCKS: Final = ("realtime", "monotonic", "process_cputime_id", "thread_cputime_id")
"""The clocks of WASI, in the order of their numbers."""
LIMITS: Final = ("memory", "open_files", "output", "fuel", "path", "sleep", "subscriptions", "stack")
"""Limits that a policy can have."""


class Policy:
    """What a guest may read, write and call of what its config gives it. It cannot be changed.

    Args:
        read: Guest paths that it may read and look at. A path stands for that file or directory itself; one that ends
            in `/` also for everything below. Paths are the real ones, with links resolved.
        write: Guest paths that it may read, create, write, rename and remove, as for `read`.
        env: Names of variables of its environment that it gets.
        clocks: Which clocks it may read and wait for: "realtime", "monotonic", "process_cputime_id",
            "thread_cputime_id".
        random: Whether it gets random bytes.
        sockets: Names of sockets of its config that it may use.
        limits: Limits, as `Limits` has them; of these and those of the config the smaller one holds.

    Raises:
        ConfigError: A rule is not one.
    """

    __slots__ = ("_read", "_write", "clocks", "env", "limits", "random", "read", "sockets", "write")

    def __init__(
        self,
        *,
        read: Iterable[str] = (),
        write: Iterable[str] = (),
        env: Iterable[str] = (),
        clocks: Iterable[str] = (),
        random: bool = False,
        sockets: Iterable[str] = (),
        limits: Mapping[str, Any] | None = None,
    ) -> None:
        self.read: tuple[str, ...] = _texts("read", read)
        self.write: tuple[str, ...] = _texts("write", write)
        self.env: tuple[str, ...] = _texts("env", env)
        self.clocks: tuple[str, ...] = _texts("clocks", clocks)
        self.sockets: tuple[str, ...] = _texts("sockets", sockets)
        if not isinstance(random, bool):
            raise ConfigError(f"random of a policy is true or false, not {random!r}")
        self.random: bool = random
        for name in self.clocks:
            if name not in CLOCKS:
                raise ConfigError(f"clocks of a policy has {name!r}{_meant(name, CLOCKS)}")
        self.limits: Mapping[str, Any] = MappingProxyType(dict(limits or {}))
        for name in self.limits:
            if name not in LIMITS:
                raise ConfigError(f"limits of a policy has {name!r}{_meant(name, LIMITS)}")
        changed(Limits(), self.limits)
        self._read = _Paths(self.read)
        self._write = _Paths(self.write)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Policy:
        """Return the policy in a TOML file.

        Raises:
            ConfigError: The file cannot be read, is not TOML, or has what is not a rule.
        """
        return load(path, cls)

    def may_read(self, path: str) -> bool:
        """Return whether the guest may read the file or directory at this guest path, which has no links in it."""
        return path in self._read or path in self._write

    def may_write(self, path: str, *, below: bool = False) -> bool:
        """Return whether it may change what is at this guest path; `below`: and everything below."""
        return self._write.has_all_below(path) if below else path in self._write

    def narrowed(self, config: ModuleConfig) -> ModuleConfig:
        """Return the config with less of the environment and tighter limits. Calls are refused by a hook."""
        kept = [entry for entry in config.environ if os.fsdecode(entry.partition(b"=")[0]) in self.env]
        config = config.without_env()
        for entry in kept:
            config = config.with_env_raw(entry)
        limits = changed(Limits(), self.limits)
        tighter = {}
        for name in self.limits:
            wanted, given = getattr(limits, name), getattr(config.limits, name)
            if wanted is not None and (given is None or wanted < given):
                tighter[name] = wanted
        return config.with_limits(**tighter) if tighter else config

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Policy) and all(getattr(self, name) == getattr(other, name) for name in _FIELDS)

    def __hash__(self) -> int:
        return hash((self.read, self.write, self.env, self.clocks, self.random, self.sockets))

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name in _FIELDS if getattr(self, name))
        return f"Policy({', '.join(shown)})".replace("mappingproxy(", "").replace("})", "}")


_FIELDS: Final = ("read", "write", "env", "clocks", "random", "sockets")


class _Paths:
    """The rules of one kind for paths."""

    def __init__(self, rules: Iterable[str]) -> None:
        self._exact: set[str] = set()
        self._below: set[str] = set()
        for rule in rules:
            (self._below if rule.endswith("/") else self._exact).add(normal(rule))

    def __contains__(self, path: object) -> bool:
        return path in self._exact or any(above in self._below for above in ancestors(str(path)))

    def has_all_below(self, path: str) -> bool:
        return any(above in self._below for above in ancestors(path))


def ancestors(path: str) -> Iterator[str]:
    """A normal path, and the directories that it is in, up to the root or `.`."""
    while True:
        yield path
        if path in ("/", "."):
            return
        at = path.rfind("/")
        path = path[:at] if at > 0 else "/" if at == 0 else "."


def normal(path: str) -> str:
    """Return a guest path without `.`, `..`, and slashes that say nothing."""
    path = normpath(path)
    return path[1:] if path.startswith("//") else path


def _texts(name: str, given: Any) -> tuple[str, ...]:
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise ConfigError(f"{name} of a policy is a list of texts, not {given!r}")
    texts = tuple(given)
    for text in texts:
        if not isinstance(text, str) or not text:
            raise ConfigError(f"{name} of a policy has {text!r}: give texts that are not empty")
    return texts


def _meant(name: str, known: Iterable[str]) -> str:
    found = near(str(name), known)
    return f"; did you mean {found}?" if found else f": there are {', '.join(known)}"
