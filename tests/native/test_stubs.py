"""The stubs in C do what those in Python do, for every function of both specs."""

from __future__ import annotations

import gc
import struct
import sys
import weakref
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from witxgen.output import write
from witxgen.render import render
from witxgen.resolve import load

from tests.codegen.random_witx import Spec
from tests.native.both_stubs import Package
from tests.support.c_stubs import compile_stubs
from wasihost import native

if native.extension is None:
    pytest.skip(f"this is the pure path: {native.why}", allow_module_level=True)

PACKAGES = {name: Package(name, native.extension) for name in ("wasi_preview1", "wasi_preview0")}
SEEDS = (0, 1, 2, 3, 19, 103)
"""Of random specs."""
FUNCTIONS = [(package, *name) for package, made in PACKAGES.items() for name in made.names]


def test_every_function_has_a_stub_in_c() -> None:
    assert len(FUNCTIONS) == 46 + 45
    for name, package in PACKAGES.items():
        assert sorted(package.native.functions(name)) == package.names


@pytest.mark.parametrize(("package", "module", "name"), FUNCTIONS)
def test_random_calls_do_the_same_in_both_languages(package: str, module: str, name: str) -> None:
    random = Random(f"{package} {name}")
    both = PACKAGES[package]
    for _ in range(100):
        both.compare(both.draw(random, module, name))


@given(st.randoms(use_true_random=False), st.sampled_from(FUNCTIONS))
def test_calls_that_hypothesis_chooses_do_the_same(random: Random, function: tuple[str, str, str]) -> None:
    package, module, name = function
    both = PACKAGES[package]
    both.compare(both.draw(random, module, name))


def test_handlers_read_and_write_records_as_in_python() -> None:
    for name in PACKAGES:
        codecs = PACKAGES[name].codecs()
        assert len(codecs) == 3  # prestat, subscription, event
        for python, c in codecs:
            random = Random(name)
            for _ in range(200):
                PACKAGES[name].compare_codecs(random, python, c)


def test_a_codec_takes_what_it_takes() -> None:
    [(_, c), *_] = PACKAGES["wasi_preview1"].codecs()
    guest = PACKAGES["wasi_preview1"].guest.Guest(lambda: bytearray(8), int)
    wrong: list[tuple[Callable[..., object], tuple[object, ...]]] = [
        (c.get, ()), (c.get, (guest, "text")), (c.get, (1, 2)), (c.put, (guest, 1)), (c.get_all, (guest, 0)),
        (c.get_all, (guest, 0, "x")), (c.put_all, (guest, 0, ())),
    ]  # fmt: skip
    for function, arguments in wrong:
        with pytest.raises((TypeError, AttributeError, SystemError)):
            function(*arguments)
    with pytest.raises(ValueError, match="0 to"):
        c.get_all(guest, 0, -1)
    with pytest.raises(OverflowError):
        c.get(guest, -1)
    with pytest.raises(TypeError):
        type(c.get.__self__)()


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Package]]:
    """Packages of specs of our own, with their stubs in one extension."""
    folder = tmp_path_factory.mktemp("random")
    names = [f"native_random_{seed}" for seed in SEEDS]
    for seed, name in zip(SEEDS, names, strict=True):
        file = folder / f"{name}.witx"
        file.write_text(Spec(seed).text, encoding="utf-8")
        write(render(load([file]), name), folder / name)
    sys.path.insert(0, str(folder))
    try:
        extension = compile_stubs(folder, names, "random_native")
        yield [Package(name, extension) for name in names]
    finally:
        sys.path.remove(str(folder))
        for loaded in [one for one in sys.modules if one.startswith("native_random_")]:
            del sys.modules[loaded]


@pytest.mark.parametrize("number", range(len(SEEDS)))
def test_the_stubs_of_random_specs_do_the_same(others: list[Package], number: int) -> None:
    random = Random(number)
    both = others[number]
    for module, name in both.names:
        for _ in range(30):
            both.compare(both.draw(random, module, name))
    for python, c in both.codecs():
        for _ in range(100):
            both.compare_codecs(random, python, c)


class Keeper:
    """Handlers that keep what the test says."""

    def __init__(self, keep: Callable[[list[memoryview]], object]) -> None:
        self.keep = keep
        self.kept: list[Any] = []
        self.seen: list[int] = []

    def fd_read(self, _fd: int, iovs: list[memoryview]) -> int:
        self.seen.append(id(iovs))
        iovs[0][0] += 1
        self.kept.append(self.keep(iovs))
        return len(iovs[0]) if iovs else 0


def read(keep: Callable[[list[memoryview]], object], times: int = 3) -> tuple[Keeper, bytearray]:
    """`fd_read` into one buffer, some times."""
    from wasi_preview1.guest import Guest

    memory = bytearray(64)
    memory[:8] = struct.pack("<II", 16, 8)
    guest = Guest(lambda: memory, lambda _error: 1)
    guest.refresh()
    keeper = Keeper(keep)
    extension: Any = native.extension
    stub = extension.Guest("wasi_preview1", guest).stub(keeper, "wasi_snapshot_preview1", "fd_read")
    assert [stub(0, 0, 1, 8) for _ in range(times)] == [0] * times
    guest.release()
    return keeper, memory


@pytest.mark.parametrize(
    "keep",
    [lambda _: None, lambda iovs: iovs, lambda iovs: iovs[0], lambda iovs: iovs[0][2:], lambda iovs: iovs.append(b"")],
    ids=["nothing", "the list", "the view", "a part", "a changed list"],
)
def test_each_call_gets_buffers_as_they_should_be_whatever_was_kept(
    keep: Callable[[list[memoryview]], object],
) -> None:
    keeper, memory = read(keep)
    assert memory[16] == 3
    views = [one[0] if isinstance(one, list) else one for one in keeper.kept if one is not None]
    memory[16:24] = b"abcdefgh"
    assert all(bytes(view) in (b"abcdefgh", b"cdefgh") for view in views)


def test_a_view_that_is_kept_holds_the_memory_and_no_other_does() -> None:
    keeper, memory = read(lambda iovs: iovs[0])
    with pytest.raises(BufferError):
        memory.append(0)
    keeper.kept.clear()
    memory.append(0)


def test_a_stub_says_what_it_is_and_what_it_takes() -> None:
    extension: Any = native.extension
    stub = extension.Guest("wasi_preview1", None).stub(Keeper(len), "wasi_snapshot_preview1", "fd_read")
    assert repr(stub) == "<stub fd_read of wasi_snapshot_preview1, in C>"
    assert stub.__name__ == "fd_read"
    with pytest.raises(TypeError, match=r"fd_read\(\) takes 4 numbers by position, 3 given"):
        stub(1, 2, 3)
    with pytest.raises(TypeError):
        stub(1, 2, 3, "x")
    with pytest.raises(KeyError, match="no function fd_reed"):
        extension.Guest("wasi_preview1", None).stub(Keeper(len), "wasi_snapshot_preview1", "fd_reed")
    with pytest.raises(LookupError, match="no stubs of wasi_preview9"):
        extension.Guest("wasi_preview9", None)


def test_an_exception_of_a_handler_keeps_its_traceback() -> None:
    def fail(_iovs: list[memoryview]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        read(fail)
    assert [entry.name for entry in caught.traceback][-2:] == ["fd_read", "fail"]


def test_a_guest_that_refers_to_itself_is_collected() -> None:
    """By its handlers, as a State does."""
    from wasi_preview1.guest import Guest

    class Handlers:
        def fd_close(self, _fd: int) -> None: ...

    handlers: Any = Handlers()
    guest = Guest(bytearray, lambda _error: 1)
    extension: Any = native.extension
    handlers.stub = extension.Guest("wasi_preview1", guest).stub(handlers, "wasi_snapshot_preview1", "fd_close")
    gone = weakref.ref(handlers)
    del handlers
    gc.collect()
    assert gone() is None
