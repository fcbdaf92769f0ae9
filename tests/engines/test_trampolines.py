"""Numbers and memory cross the border between guest and host unharmed."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.engines.conftest import through_execute
from tests.support.engine import Host, fill
from wasihost.engines.base import HostState
from wasihost.errors import ExitError

Enter = Callable[[str, HostState], None]


def test_numbers_arrive_canonical(enter: Enter) -> None:
    def say(answer: int) -> Callable[..., int]:
        def stub(host: Host, *numbers: Any) -> int:
            host.said.append(numbers)
            return answer

        return stub

    host = Host(fd_seek=say(2**32 - 1), fd_allocate=say(40), sched_yield=say(3))
    with pytest.raises(ExitError) as caught:
        enter("numbers", host)
    assert host.said == [(2**32 - 1, -5, 255, 8), (2**31, 2**64 - 1, 2**63), ()]
    assert caught.value.code == 42


def test_memory_that_grows_is_seen(enter: Enter) -> None:
    enter("grow", Host(random_get=fill))


def test_memory_is_a_writable_view_of_bytes(enter: Enter) -> None:
    def look(host: Host, *_numbers: int) -> int:
        view = host.guest.refresh()
        host.said.append((view.format, view.readonly, view.nbytes))
        return 0

    host = Host(args_sizes_get=look)
    with pytest.raises(ExitError):
        enter("exit", host)
    assert host.said == [("B", False, 65536)]


def test_a_guest_within_a_call_of_a_guest(enter: Enter) -> None:
    """A handler may run another guest; each keeps its own memory and end."""

    def nest(host: Host, at: int, _size_at: int) -> int:
        def inner_sizes(inner: Host, inner_at: int, _inner_size_at: int) -> int:
            inner.put(inner_at, 5)
            return 0

        with pytest.raises(ExitError) as caught:
            enter("exit", Host(args_sizes_get=inner_sizes))
        host.put(at, caught.value.code + 1)
        return 0

    with pytest.raises(ExitError) as caught:
        enter("exit", Host(args_sizes_get=nest))
    assert caught.value.code == 6


def test_one_state_is_one_guest_at_a_time() -> None:
    """On our own door; what a user's linker does is in test_linker.py."""

    def again(host: Host, at: int, _size_at: int) -> int:
        with pytest.raises(RuntimeError, match="running already"):
            through_execute("exit", host)
        host.put(at, 8)
        return 0

    with pytest.raises(ExitError) as caught:
        through_execute("exit", Host(args_sizes_get=again))
    assert caught.value.code == 8


def test_other_threads_run_while_a_guest_computes(enter: Enter) -> None:
    beats = 0
    done = threading.Event()

    def beat() -> None:
        nonlocal beats
        while not done.wait(0.001):
            beats += 1

    def stop(_host: Host) -> int:
        raise ExitError(1)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(ExitError):
            enter("busy", Host(sched_yield=stop))
    finally:
        done.set()
        thread.join()
    assert beats > 10
