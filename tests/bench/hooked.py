"""What hooks cost: the guest `bench` reads one byte over and over, with more and more between it and the host.

    python -m tests.bench.hooked CASE GUEST FOLDER ARGUMENTS...

runs one case in this process. Rules: as for `calls`; only our own columns have hooks.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.bench.cases import Samples
    from tests.bench.plan import Plan
    from wasihost import ModuleConfig

_MEMORY: Final = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
CALL: Final = "fd_read_1"
"""The case of the guest that is measured."""

PROFILE: Final = "hook_profile"
"""What is an option of the run, and not of its config."""


def _nothing(config: ModuleConfig) -> ModuleConfig:
    return config


def _identity(_call: Any, proceed: Any) -> Any:
    return proceed()


def _limited(pattern: str) -> Callable[[ModuleConfig], ModuleConfig]:
    def between(config: ModuleConfig) -> ModuleConfig:
        from wasihost import hook

        return config.with_hooks(hook(_identity, on=pattern))

    return between


def _everything(config: ModuleConfig) -> ModuleConfig:
    return config.with_hooks(_identity)


def _handlers(config: ModuleConfig) -> ModuleConfig:
    from wasihost.handlers import FdFunctions

    class Own(FdFunctions):
        def fd_read(self, fd: int, iovs: list[memoryview]) -> int:
            return super().fd_read(fd, iovs)

    return config.with_handlers(Own)


class _Nowhere:
    def write(self, _text: str) -> None:
        pass


def _trace(config: ModuleConfig) -> ModuleConfig:
    return config.with_trace(_Nowhere())


def _record(config: ModuleConfig) -> ModuleConfig:
    import atexit
    import tempfile

    from wasihost.cassettes import Cassette

    folder = tempfile.TemporaryDirectory(dir=_MEMORY, prefix="wasihost-bench-")
    atexit.register(folder.cleanup)
    return Cassette(f"{folder.name}/of.cassette", "all", max_bytes=1 << 40).config(config)


BETWEEN: Final[dict[str, Callable[[ModuleConfig], ModuleConfig]]] = {
    "hook_none": _nothing,
    "hook_elsewhere": _limited("path_*"),
    "hook_handler": _handlers,
    "hook_one": _limited("fd_read"),
    "hook_all": _everything,
    "hook_trace": _trace,
    "hook_record": _record,
    PROFILE: _nothing,
}
"""Case -> what lies between guest and host."""


def measure(plan: Plan) -> Samples:
    """Each case of the plan in our columns."""
    from tests.bench.hosts import environment
    from tests.bench.processes import endless, numbers_of
    from tests.support.guests import build_c

    guest = build_c("bench")
    samples: Samples = {case: {} for case in BETWEEN if plan.has(case)}
    for _ in range(plan.rounds if samples else 0):
        for case, found in samples.items():
            for column in plan.ours:
                with endless() as stdin:
                    command = [plan.hosts.python, "-m", "tests.bench.hooked", case, str(guest), str(plan.folder)]
                    for _name, took in numbers_of([*command, str(plan.budget), CALL], environment(column), stdin):
                        found.setdefault(column, []).extend(took)
    return samples


def main() -> None:
    """Run the guest in the case named first."""
    from tests.bench.columns import prepare, with_streams
    from wasihost import Profile, run

    case, guest, folder, *args = sys.argv[1:]
    prepare()
    profile = Profile() if case == PROFILE else None
    run(guest, BETWEEN[case](with_streams(folder, args)), check=True, profile=profile)


if __name__ == "__main__":
    main()
