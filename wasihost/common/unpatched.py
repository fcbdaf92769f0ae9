"""The original `select`, `threading` and `time`, also if gevent or eventlet have replaced their functions.

A guest waits within a callback of the engine. gevent's `poll`, `sleep` and locks would switch to another greenlet
there, on the same thread and stack; and its threads are greenlets, which do not run while a guest computes. So code
that waits on behalf of a guest, watches it or guards our own data imports these modules from here.

Rules of this file: it imports neither gevent nor eventlet; if nothing is patched, these are the usual modules.
"""

from __future__ import annotations

import sys
from types import ModuleType

from wasihost.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import select
    import threading
    import time
    from _thread import start_new_thread
    from typing import Any

__all__ = ["check", "select", "start_new_thread", "threading", "time"]


def _patched() -> bool:
    """Whether threads are greenlets in this process."""
    gevent: Any = sys.modules.get("gevent.monkey")
    eventlet: Any = sys.modules.get("eventlet.patcher")
    return bool(
        (gevent is not None and gevent.is_module_patched("threading"))
        or (eventlet is not None and eventlet.is_monkey_patched("thread"))
    )


def _by_gevent(name: str) -> ModuleType:
    """Return a copy of a module with the originals that gevent has saved.

    `threading` is executed again instead: functions written in Python look up names in the module that they come from.
    """
    import importlib
    import importlib.util

    current = importlib.import_module(name)
    if name == "threading":
        spec = current.__spec__
        assert spec is not None
        assert spec.loader is not None
        made = importlib.util.module_from_spec(spec)
        inner = sys.modules["_thread"]
        sys.modules["_thread"] = _by_gevent("_thread")
        try:
            spec.loader.exec_module(made)
        finally:
            sys.modules["_thread"] = inner
        return made
    made = ModuleType(name, current.__doc__)
    original = sys.modules["gevent.monkey"].get_original
    made.__dict__.update((one, original(name, one)) for one in dir(current) if not one.startswith("__"))
    return made


def _originals() -> tuple[ModuleType, ...]:
    names = "select", "threading", "time", "_thread"
    gevent: Any = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("threading"):
        return tuple(map(_by_gevent, names))
    return tuple(sys.modules["eventlet.patcher"].original(name) for name in names)


_late = False
if not TYPE_CHECKING:
    if _patched():
        select, threading, time, _thread = _originals()
        start_new_thread = _thread.start_new_thread
    else:
        import select
        import threading
        import time
        from _thread import start_new_thread

        _late = True


def check() -> None:
    """Raise ConfigError if threads became greenlets after this module was imported."""
    if _late and ("gevent.monkey" in sys.modules or "eventlet.patcher" in sys.modules) and _patched():
        raise ConfigError(
            "gevent or eventlet patched threading after wasihost was first used: call its monkey patching before that"
        )
