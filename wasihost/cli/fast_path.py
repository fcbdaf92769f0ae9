"""Run a command module to its end with as few imports as possible: the plain run of the `wasihost` command.

Rules of this file: nothing is imported that a plain run does not need. What it does is what `embedding.run` does,
without captured output, host functions and statistics.
"""

from __future__ import annotations

import gc
import os

from wasihost.common import auditing
from wasihost.config import ModuleConfig
from wasihost.engines import engine as engine_of
from wasihost.engines.values import CompileBounds, EngineLimits, OnCompile
from wasihost.errors import ExitError, TimeoutExpired
from wasihost.host.state import State
from wasihost.waiting.cancel_scope import after

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wasihost.packaging.precompiled import Precompiled


def execute(
    module: str | bytes | os.PathLike[str],
    config: ModuleConfig,
    *,
    cache: bool = True,
    timeout: float | None = None,
    on_compile: OnCompile | None = None,
    features: str = "",
    precompiled: Precompiled | None = None,
    engine_name: str | None = None,
) -> int:
    """Run a command module exactly as `config` says. Returns its exit status; raises what `run` raises.

    `timeout` is in seconds; `features` are as `canonical_features` returns them; `precompiled` is the module, if it is
    compiled.
    """
    limits = config.limits
    name = "guest" if isinstance(module, bytes) else os.path.basename(os.fspath(module))
    if precompiled is not None:
        name, features = precompiled.name, features or precompiled.features
    auditing.begins(name, config.args, None)
    engine = engine_of(engine_name)
    mode = engine.compile_mode(timeout is not None, limits.fuel is not None, limits.stack, features)
    if precompiled is None:
        compiled = engine.load(module, cache=cache, mode=mode, on_compile=on_compile, bounds=CompileBounds.of(limits))
    else:
        from wasihost.packaging.precompiled import load

        compiled = load(precompiled, mode)
    execute = engine.execute  # here, because it imports its module
    gc.freeze()  # what is imported stays: collections need not look at it
    gc.enable()
    with State(config=config) as state:
        scope = None
        if timeout is not None:
            scope = state.handlers.scope
            scope.start(after(timeout), TimeoutExpired([os.fsdecode(arg) for arg in config.args], timeout))
        code, ended = 0, ""
        try:
            try:
                engine_limits = EngineLimits(limits.memory, limits.fuel)
                execute(compiled, state, scope=scope, limits=engine_limits, label=name)
            except ExitError as end:
                code = end.code
            if scope is not None:
                scope.check()  # raises if the time passed in a call that cannot be ended
        except BaseException as error:
            ended = type(error).__name__
            raise
        finally:
            auditing.ended(name, ended or code, sorted(state.handlers.met))
        return code
