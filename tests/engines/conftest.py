"""The ways into a guest, and a compiled-module cache of the tests' own."""

from collections.abc import Callable

import pytest
import wasmtime

from tests.support.engine import wat
from wasihost.engines.base import HostState
from wasihost.engines.wasmtime import linker, module
from wasihost.engines.wasmtime.run import execute


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WASIHOST_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "compiled"))
    monkeypatch.delenv("WASIHOST_BINDING", raising=False)


def through_execute(name: str, host: HostState) -> None:
    execute(module.load(wat(name)), host)


class Users:
    """What a user of wasmtime-py keeps for the life of a program: an engine and its modules."""

    def __init__(self) -> None:
        self.engine = wasmtime.Engine()
        self.modules: dict[str, wasmtime.Module] = {}

    def prepare(self, name: str, host: HostState, binding: str) -> Callable[[], None]:
        if name not in self.modules:
            self.modules[name] = wasmtime.Module.from_file(self.engine, wat(name))
        own, store = wasmtime.Linker(self.engine), wasmtime.Store(self.engine)
        run = linker.define(own, host, binding=binding)
        instance = run.call(own.instantiate, store, self.modules[name])
        start = instance.exports(store)["_start"]
        assert isinstance(start, wasmtime.Func)
        return lambda: run.call(start, store)


@pytest.fixture(scope="session")
def users() -> Users:
    return Users()


@pytest.fixture(params=["execute", "unchecked", "define_func"])
def enter(request: pytest.FixtureRequest, users: Users) -> Callable[[str, HostState], None]:
    """Runs a guest by name with a host: by our own door, and by the user's linker with both bindings."""
    binding: str = request.param
    return through_execute if binding == "execute" else lambda name, host: users.prepare(name, host, binding)()


@pytest.fixture(params=["execute", "unchecked", "define_func"])
def prepare(request: pytest.FixtureRequest, users: Users) -> Callable[[str, HostState], Callable[[], None]]:
    """As `enter`, in two steps: old versions of wasmtime-py cannot make host functions in several threads at once."""
    binding: str = request.param
    if binding == "execute":
        return lambda name, host: lambda: through_execute(name, host)
    return lambda name, host: users.prepare(name, host, binding)
