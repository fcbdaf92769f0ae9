"""`Entries`, the environment of a config: each appended one is an independent value, and shares its storage."""

from __future__ import annotations

import pickle
import threading

from wasihost import ModuleConfig
from wasihost.config.values import NO_ENTRIES, Entries


def test_each_step_stays_what_it_was() -> None:
    one = NO_ENTRIES.plus(b"A=1")
    two = one.plus(b"B=2")
    other = one.plus(b"B=3")
    assert [each.as_tuple() for each in (NO_ENTRIES, one, two, other)] == [
        (), (b"A=1",), (b"A=1", b"B=2"), (b"A=1", b"B=3"),
    ]  # fmt: skip
    assert two.plus(b"C").as_tuple() == (b"A=1", b"B=2", b"C")
    assert other.plus(b"D").as_tuple() == (b"A=1", b"B=3", b"D")


def test_equality_hash_and_pickle_are_by_content() -> None:
    grown, given = NO_ENTRIES.plus(b"A").plus(b"B"), Entries((b"A", b"B"))
    assert grown == given
    assert hash(grown) == hash(given)
    assert pickle.loads(pickle.dumps(grown)) == given
    assert grown != grown.plus(b"C")
    assert repr(grown) == "(b'A', b'B')"


def test_configs_of_several_threads_that_start_from_one_do_not_mix() -> None:
    start = ModuleConfig().with_env("START", "1")
    made: dict[int, tuple[bytes, ...]] = {}

    def grow(number: int) -> None:
        config = start
        for i in range(500):
            config = config.with_env(f"V{i}", str(number))
        made[number] = config.environ

    threads = [threading.Thread(target=grow, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(8):
        assert made[number] == (b"START=1", *(b"V%d=%d" % (i, number) for i in range(500)))


def test_a_step_does_not_copy_what_came_before() -> None:
    config = ModuleConfig()
    for i in range(100_000):
        config = config.with_env(f"V{i}", "x")  # a copy at each step would be 40 GB by now, and most of a minute
    assert len(config.environ) == 100_000
    assert config.environ[-1] == b"V99999=x"
