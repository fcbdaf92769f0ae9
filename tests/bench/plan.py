"""What one run of the benchmark is to measure, and how thoroughly."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import NamedTuple

from tests.bench.hosts import OURS, Hosts


class Plan(NamedTuple):
    """The options of a run. All parts measure by it."""

    hosts: Hosts
    folder: Path
    """Where files may lie: in memory if there is such a place. Descriptor 3 of the guests."""
    rounds: int = 5
    """Repetitions, with the columns interleaved."""
    budget: int = 40
    """Milliseconds for each case of a guest that measures itself; 0: once."""
    only: str = "*"
    """The cases, as a pattern of file names."""

    @property
    def quick(self) -> bool:
        """Whether it only has to be shown that everything still runs."""
        return self.budget == 0

    def has(self, case: str) -> bool:
        """Whether it is to be measured."""
        return fnmatch.fnmatch(case, self.only)

    @property
    def ours(self) -> list[str]:
        """Those of our columns that can be measured."""
        return [column for column in OURS if column in self.hosts.by_column]
