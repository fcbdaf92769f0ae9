"""What Dask runs on each worker to give it a module. The only module that imports `distributed` when it is imported."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from distributed import WorkerPlugin

if TYPE_CHECKING:
    from distributed import Worker

    from wasihost.scale.references import ModuleReference


class _ModulePlugin(WorkerPlugin):
    """Gives a worker a module when the plugin is registered, or when the worker starts later.

    It compiles in a thread: the worker keeps reporting to the scheduler meanwhile. Workers of one machine share what
    the first of them compiled.
    """

    def __init__(self, reference: ModuleReference, content: bytes) -> None:
        self.reference: ModuleReference = reference
        self.content: bytes = content

    async def setup(self, worker: Worker) -> None:
        """Compile the module, or take it from the cache of the machine."""
        await asyncio.to_thread(self.reference.resolve, self.content)


def plugin_of(reference: ModuleReference, content: bytes) -> WorkerPlugin:
    """The plugin that gives workers this module."""
    return _ModulePlugin(reference, content)
