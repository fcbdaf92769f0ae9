"""No descriptor stays open, whether an operation succeeds or fails."""

import os
import resource

from tests.sandbox.test_open import CASES
from tests.sandbox.test_operations import ALIKE, OPERATIONS
from tests.sandbox.trees import Tree, open_descriptors, outcome
from wasihost.sandbox import resolve
from wasihost.sandbox.resolve import open_beneath, stat_beneath

PATHS = [case.path for case in CASES] + [path for path, _ in ALIKE]


def test_descriptors_before_and_after(tree: Tree, strategy: resolve.Strategy) -> None:
    before = open_descriptors()
    succeeded = failed = 0
    for case in CASES:
        for call in (open_beneath, strategy):
            opened = outcome(call, tree.fd, case.path, case.flags, 0o600, case.follow)
            if isinstance(opened, int):
                os.close(opened)
                succeeded += 1
            else:
                failed += 1
    for path in PATHS:
        for follow in (True, False):
            outcome(stat_beneath, tree.fd, path, follow)
        for operation in OPERATIONS.values():
            if isinstance(outcome(operation, tree.fd, path), str):
                failed += 1
            else:
                succeeded += 1
    assert succeeded > 200
    assert failed > 1000
    assert open_descriptors() == before


def test_full_descriptor_table(tree: Tree, strategy: resolve.Strategy) -> None:
    """Running out half-way through a walk is EMFILE, and what was open on the way is closed."""
    deep = "/".join(["d"] * 20)
    os.makedirs(tree.base / deep)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(line.split()[0]) for line in open_descriptors())
    filled = [tree.fd]
    while filled[-1] < highest:  # no number is free below the lowest
        filled.append(os.dup(tree.fd))
    lowest = os.dup(tree.fd)
    os.close(lowest)
    before = open_descriptors()
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 5, limits[1]))
    try:
        climbing = outcome(strategy, tree.fd, "d/../" * 30 + "file", os.O_RDONLY, 0, True)
        going_down = outcome(strategy, tree.fd, deep, os.O_RDONLY, 0, True)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    for opened in (climbing, going_down):
        if isinstance(opened, int):
            os.close(opened)
    assert isinstance(climbing, int)
    assert (going_down == "EMFILE") == (strategy is resolve.by_walk)
    assert open_descriptors() == before
    for fd in filled[1:]:
        os.close(fd)
