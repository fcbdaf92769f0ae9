"""`wasihost.map` and `wasihost.publish` on a real Dask cluster of two processes."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator

import distributed
import pytest

import wasihost
from tests.scale import cluster
from tests.scale.echo import ECHO
from wasihost import ConfigError

DOUBLE = b"""(module (func (export "double") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2))))"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[distributed.Client]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cluster")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        with cluster.cluster(2, folder) as made:
            yield made


def test_no_result_is_lost_wrong_or_doubled_when_a_worker_is_killed(client: distributed.Client) -> None:
    report = cluster.run(client, 120)
    assert (report.wrong, report.missing, report.doubled) == ([], [], [])
    assert report.killed
    assert report.compiled == 1  # by two workers, and a third in place of the killed one
    assert report.kept == [1, 1]


def test_a_published_function_runs_on_workers_that_have_no_file(client: distributed.Client) -> None:
    double = wasihost.function(DOUBLE, "double", params=[int], returns=int)
    assert wasihost.publish(client, double) == wasihost.publish(client, DOUBLE)
    doubled = client.gather(client.map(double, range(20)))  # type: ignore[no-untyped-call]  # distributed declares few types
    assert doubled == list(range(0, 40, 2))


class _Bomb:
    """An input stream that ends the worker which reads it."""

    def read(self, size: int) -> bytes:
        os._exit(3)


def test_an_input_that_kills_every_worker_is_an_error_of_its_own(client: distributed.Client) -> None:
    inputs = [{"input": b"input 0"}, {"stdin": _Bomb()}, {"input": b"input 2"}]
    results = list(wasihost.map(ECHO, inputs, executor=cluster.executor_of(client), on_error="return", buffersize=1))
    assert [cluster.found(one) for one in results] == ["input 0", "KilledWorker", "input 2"]


def test_what_is_no_client_is_refused() -> None:
    with pytest.raises(ConfigError, match="a module cannot be published to 3: pass a distributed"):
        wasihost.publish(3, DOUBLE)  # type: ignore[arg-type]  # that is the point


def test_errors_come_back_with_all_that_they_have() -> None:
    """Importing distributed changes how exceptions are pickled."""
    error = wasihost.OutputError("utf-8", b"\xff", 0, 1, "invalid start byte")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
