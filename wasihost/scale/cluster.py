"""`publish`: a module on every worker of a Dask cluster before tasks name it by its digest.

Rules of this file: it imports `distributed`, the extra `dask`, when a module is published, and not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from wasihost.common.names import shown
from wasihost.errors import ConfigError
from wasihost.guest.module import Module
from wasihost.scale.function import GuestFunction
from wasihost.scale.references import ModuleReference, shared_module

if TYPE_CHECKING:
    from distributed import Client

    from wasihost.guest.module import ModuleSource

_published: Final[WeakKeyDictionary[Any, set[ModuleReference]]] = WeakKeyDictionary()
"""What each client has sent."""


def publish(client: Client, module: ModuleSource | GuestFunction[..., Any]) -> str:
    """Send a module to all workers of a Dask cluster, once to each, and to those that start later.

    `wasihost.map` does it by itself if its executor is a client's; a `function` that runs on other machines needs it,
    unless its file is there too.

    Args:
        client: The client of the cluster.
        module: A module as for `run`, or a function that `wasihost.function` made. A `Module` that was made with
            options is compiled with the same ones.

    Returns:
        The SHA-256 of the module, in hexadecimal.

    Raises:
        ConfigError: The client is not a synchronous client of `distributed`.
        ModuleError: The module is not valid.
        OSError: The module's file cannot be read.
    """
    try:
        from distributed import Client

        from wasihost.scale.cluster_plugin import plugin_of
    except ImportError as error:
        raise ConfigError("a cluster needs dask.distributed: pip install wasihost[dask]") from error
    if not isinstance(client, Client) or client.asynchronous:
        raise ConfigError(
            f"a module cannot be published to {client!r:.100}: pass a distributed.Client that is not async"
        )
    if isinstance(module, GuestFunction):
        module = module.module
    made = module if isinstance(module, Module) else shared_module(module, {})
    reference = ModuleReference.of(made)
    sent = _published.setdefault(client, set())
    if reference not in sent:
        plugin = plugin_of(reference, made.content())
        for worker, result in client.register_plugin(plugin, name=f"wasihost-{reference.digest}").items():
            if result.get("status") == "error":
                failure: Exception = result["exception"]
                failure.add_note(f"when {shown(made.name)} was published to the worker {worker}")
                raise failure
        sent.add(reference)
    return reference.digest
