"""What an engine adapter asks of a State. Types only: adapters import this for the type checker, never at run time."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from typing_extensions import Buffer

Stub: TypeAlias = Callable[..., int | float | None]
"""A raw function: canonical numbers in, the value of its one result (an errno) out, `None` where it has no result.

What it raises ends the run: the adapter stops the guest by a trap and raises the very same exception from the run.
"""


class Signature(Protocol):
    """The core wasm type of a function.

    `slots` and `result_slots` have one `struct` character per parameter and result, which give their signedness.
    """

    @property
    def params(self) -> tuple[str, ...]: ...
    @property
    def results(self) -> tuple[str, ...]: ...
    @property
    def slots(self) -> str: ...
    @property
    def result_slots(self) -> str: ...


Imports: TypeAlias = Mapping[str, Mapping[str, tuple[Signature, Stub]]]
"""Module name -> function name -> type and stub. Looked up by name, so a mapping may bind a stub when it is asked."""


class Guest(Protocol):
    """The guest's memory as the stubs see it; the adapter sets both for the time of a run and takes them back after."""

    view: memoryview
    memory: "Callable[[], Buffer]"


class CancelCheck(Protocol):
    """When a guest has to end; see `wasihost.waiting.cancel_scope`."""

    @property
    def expires(self) -> int | None:
        """In ns of `time.monotonic_ns`; None for never."""

    def check(self) -> None:
        """Raises the reason if the time has come: it ends the guest and is raised from the run."""


class HostState(Protocol):
    """One process of a guest."""

    @property
    def guest(self) -> Guest: ...
    @property
    def faults(self) -> tuple[type[BaseException], ...]:
        """What stubs raise when the guest broke the ABI (a pointer out of bounds): it becomes a TrapError."""

    def imports(self) -> Imports: ...
