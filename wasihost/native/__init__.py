"""The extension `wasihost.native._native`, written in C: the same work in less time. It is optional.

Rules of this package: everything works without the extension, and in the same way. Code that uses it asks here, keeps
the Python code beside it, and is tested on both paths. The C code knows no room above: what it needs is passed to it.

`module.c` makes the extension; each other `.c` file adds one part of it. `codegen/hatch_build.py` compiles them.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

extension: ModuleType | None = None
"""The extension, or None where the pure Python code does its work. Its types are in `wasihost/native/_native.pyi`."""
why: str = ""
"""Why there is no extension; empty if there is one."""

if os.environ.get("WASIHOST_PURE", "") not in ("", "0"):
    why = "WASIHOST_PURE is set"
else:
    try:
        import wasihost.native._native as extension  # noqa: F401 - for those who import it from here
    except ModuleNotFoundError:
        why = "it was installed without the extension for this Python"
    except ImportError as _error:
        why = f"the extension cannot be loaded: {_error}"
