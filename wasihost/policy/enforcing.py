"""The hook that holds a guest to a policy: what no rule allows is EACCES for the guest, and a `Refusal` for the caller.

Rules of this file: it is the innermost hook, so it judges what will really be done. A call with paths is made with the
paths that were judged, which have no links; host directories then refuse a link that another process puts in the way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from wasi_preview1.errors import WasiError
from wasi_preview1.types import Errno, Lookupflags

from wasihost.descriptors.host_directory import HostDirectory
from wasihost.policy import needs
from wasihost.policy.files import quoted
from wasihost.policy.places import Mounts, Place, is_directory, mounts_of, named, note_rename
from wasihost.policy.rules import CLOCKS, Policy, normal
from wasihost.stats import Refusal

if TYPE_CHECKING:
    from wasihost.config import ModuleConfig
    from wasihost.host.functions import Host

MOST: Final = 1000
"""How many different refusals are kept."""


class Enforcer:
    """A hook that holds one guest to a policy. It is the last of its hooks, so that it judges what will really be done.

    Args:
        policy: The policy.
        config: What the guest was to get, before it was narrowed by `policy.narrowed`.

    Attributes:
        refusals: What was refused so far, each once, at most 1,000: the keys of a dict, in their order.
    """

    def __init__(self, policy: Policy, config: ModuleConfig) -> None:
        self.policy = policy
        self.refusals: dict[Refusal, None] = {}
        self._host: Host | None = None
        self._mounts: Mounts = {}
        self._roots: set[str] = set()
        names = [name.partition(b"=")[0].decode("utf-8", "surrogateescape") for name in config.environ]
        self._hidden = sorted({name for name in names if name not in policy.env})
        sockets = [one.name for one in config.sockets]
        self._judges: dict[str, Callable[[Any, Any], Any]] = dict.fromkeys(needs.PATHS, self._paths)
        self._judges |= dict.fromkeys(needs.OPEN, self._open)
        if set(policy.clocks) != set(CLOCKS):
            self._judges |= dict.fromkeys((*needs.CLOCK, "poll_oneoff"), self._clocks)
        if not policy.random:
            self._judges["random_get"] = self._random
        if any(name not in policy.sockets for name in sockets):
            self._judges |= dict.fromkeys(needs.SOCKET, self._socket)
        if self._hidden:
            self._judges |= dict.fromkeys(needs.ENVIRONMENT, self._environment)
        self.on: tuple[str, ...] = tuple(self._judges)

    def open(self, host: Host) -> None:
        """Called with the host of the guest."""
        self._host = host
        self._mounts = mounts_of(host)
        self._roots = set(map(normal, self._mounts))
        for one in host.table.open.values():
            if isinstance(one, HostDirectory):
                one.bounds.forbid_links()

    def __call__(self, call: Any, proceed: Any) -> Any:
        """Make the call if the policy allows it."""
        return self._judges[call.function](call, proceed)

    def _refuse(self, function: str, what: str, rule: str) -> WasiError:
        if len(self.refusals) < MOST:
            self.refusals[Refusal(function, what, rule)] = None
        return WasiError(Errno.ACCES)

    def _paths(self, call: Any, proceed: Any) -> Any:
        host = self._host
        assert host is not None
        changed: dict[str, Any] = {}
        places: list[Place] = []
        for use in needs.PATHS[call.function]:
            place = needs.place_for(host, self._mounts, call, use)
            if place is None:
                return proceed()  # which fails
            self._judge(call.function, place, needs.changes(call, use))
            places.append(place)
            changed[use.path] = place.passed
            if use.flags is not None and needs.follows(call, use):
                changed[use.flags] = Lookupflags(0)
        if call.function != "path_rename":
            return proceed(call._replace(**changed))
        old, new = places
        if not self.policy.may_write(old.path, below=True) and is_directory(old):
            raise self._refuse(call.function, old.path, f"write = [{quoted(old.path + '/')}]")
        result = proceed(call._replace(**changed))
        note_rename(host, old.path, new.path, new.mount)
        return result

    def _judge(self, function: str, place: Place, write: bool) -> None:
        path = place.path
        if place.hidden and not (function == "path_filestat_get" and path in self._roots):
            raise self._refuse(function, path, "none is possible: another mount lies over this path")
        if not (self.policy.may_write(path) if write else self.policy.may_read(path)):
            raise self._refuse(function, path, f"{'write' if write else 'read'} = [{quoted(path)}]")

    def _open(self, call: Any, proceed: Any) -> Any:
        assert self._host is not None
        path, write = named(self._host, call.fd), needs.OPEN[call.function]
        if path is not None and not (self.policy.may_write(path) if write else self.policy.may_read(path)):
            raise self._refuse(call.function, path, f"{'write' if write else 'read'} = [{quoted(path)}]")
        return proceed()

    def _clocks(self, call: Any, proceed: Any) -> Any:
        assert self._host is not None
        for name in sorted(needs.clocks_of(call, self._host)):
            if name not in self.policy.clocks:
                raise self._refuse(call.function, name, f'clocks = ["{name}"]')
        return proceed()

    def _random(self, call: Any, _proceed: Any) -> Any:
        raise self._refuse(call.function, "random bytes", "random = true")

    def _socket(self, call: Any, proceed: Any) -> Any:
        assert self._host is not None
        name = needs.socket_name(self._host, call.fd)
        if name is not None and name not in self.policy.sockets:
            raise self._refuse(call.function, name, f"sockets = [{quoted(name)}]")
        return proceed()

    def _environment(self, call: Any, proceed: Any) -> Any:
        for name in self._hidden:
            self._refuse(call.function, name, f"env = [{quoted(name)}]")  # it is not there, and the call succeeds
        return proceed()
