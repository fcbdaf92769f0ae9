"""`wasihost.function`: types, warm instances, and the way to other threads and processes."""

from __future__ import annotations

import gc
import os
import pickle
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

import wasihost
from wasihost import ConfigError, GuestFunction, LinkError, Module, TimeoutExpired, TrapError, Unsigned

LIBRARY = """(module
  (memory (export "memory") 1)
  (global $free (mut i32) (i32.const 1024))
  (global $count (mut i32) (i32.const 0))
  (func (export "malloc") (param i32) (result i32)
    (global.get $free)
    (global.set $free (i32.add (global.get $free) (local.get 0))))
  (func (export "free") (param i32) (global.set $free (i32.const 1024)))
  (func (export "echo") (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1))))
  (func (export "head") (param i32 i32 i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 2))))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "half") (param f64) (result f64) (f64.div (local.get 0) (f64.const 2)))
  (func (export "even") (param i32) (result i32) (i32.eqz (i32.and (local.get 0) (i32.const 1))))
  (func (export "count") (result i32)
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (global.get $count))
  (func (export "fails") (param i32) (result i32)
    (if (local.get 0) (then unreachable))
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (global.get $count))
  (func (export "spin") (loop (br 0))))
"""


@pytest.fixture(scope="module")
def library() -> Module:
    return Module(LIBRARY, interruptible=True)


# -- types -------------------------------------------------------------------------------------------------------------


def test_types_are_declared_by_options(library: Module) -> None:
    echo = wasihost.function(library, "echo", params=[str], returns=str)
    assert [echo("one"), echo("")] == ["one", ""]
    assert wasihost.function(library, "echo", returns=bytes)(b"\0two") == b"\0two"
    assert wasihost.function(library, "half", params=[float], returns=float)(3) == 1.5
    assert wasihost.function(library, "even", returns=bool)(4) is True
    assert wasihost.function(library, "add", returns=Unsigned)(-1, 0) == 0xFFFF_FFFF
    assert wasihost.function(library, "add")(2, 3) == 5


def test_types_are_those_of_a_decorated_function(library: Module) -> None:
    @wasihost.function(library)
    def head(text: str, count: int = 2) -> str:  # noqa: ARG001 - it is never called
        """The first bytes of a text."""
        raise AssertionError("never called")

    assert [head("abc"), head("abc", 1), head(count=3, text="abcd")] == ["ab", "a", "abc"]
    assert (head.__name__, head.__doc__) == ("head", "The first bytes of a text.")
    assert repr(head) == "<wasihost.function head of 'guest'>"
    with pytest.raises(TypeError, match=r"head: argument 1 \(text\) has to be str, not int"):
        head(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="missing a required argument: 'text'"):
        head()  # type: ignore[call-arg]
    assert pickle.loads(pickle.dumps(head))("xyz", count=1) == "x"


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("ech", {}, LinkError, "exports no function 'ech': did you mean echo?"),
        ("memory", {}, LinkError, "exports no function 'memory'"),
        ("echo", {"params": [int]}, LinkError, r"echo takes \(i32, i32\), which cannot be \(int\)"),
        ("half", {"params": [int]}, LinkError, r"half takes \(f64\), which cannot be \(int\)"),
        ("add", {"params": [int, float]}, LinkError, "which cannot be"),
        ("half", {"returns": int}, LinkError, "half returns"),
        ("half", {"returns": str}, LinkError, "half returns"),
        ("add", {"params": [dict]}, ConfigError, "a parameter cannot be dict"),
        ("add", {"returns": list}, ConfigError, "returns cannot be list"),
        ("add", {"keep": -1}, ConfigError, "keep cannot be -1"),
        ("add", {"capture_output": True}, ConfigError, "returns no output"),
        ("add", {"isolation": "process"}, ConfigError, "isolation"),
        ("add", {"profile": "all.html"}, ConfigError, "a profile is that of one instance"),
    ],
)
def test_what_cannot_work_is_an_error_when_it_is_made(
    library: Module, name: str, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        wasihost.function(library, name, **options)  # type: ignore[call-overload]


def test_a_decorated_function_needs_types(library: Module) -> None:
    with pytest.raises(ConfigError, match="add: annotate b"):

        @wasihost.function(library)
        def add(a: int, b) -> int: ...  # type: ignore[no-untyped-def,empty-body]

    with pytest.raises(ConfigError, match=r"takes neither \*args"):

        @wasihost.function(library)
        def half(*numbers: float) -> float: ...  # type: ignore[empty-body]


@pytest.mark.parametrize("wrong", [("a",), (1, None), (1,), (1, 2, 3), (1.5, 2)])
def test_arguments_of_other_types_are_errors(library: Module, wrong: tuple[object, ...]) -> None:
    add = wasihost.function(library, "add", params=[int, int], returns=int)
    with pytest.raises(TypeError, match="add"):
        add(*wrong)
    with pytest.raises(TypeError, match="no arguments by name"):
        add(a=1, b=2)


# -- warm instances ----------------------------------------------------------------------------------------------------


def test_an_instance_is_kept_until_a_call_of_it_raises(library: Module) -> None:
    fails = wasihost.function(library, "fails")
    assert [fails(0), fails(0)] == [1, 2]
    with pytest.raises(TrapError):
        fails(1)
    assert [fails(0), fails(0)] == [1, 2]
    fails.close()
    assert fails(0) == 1


def test_a_timeout_holds_for_each_call(library: Module) -> None:
    spin = wasihost.function(library, "spin", timeout=0.05)
    for _ in range(2):
        with pytest.raises(TimeoutExpired):
            spin()


def test_threads_have_instances_of_their_own_and_few_are_kept() -> None:
    inside = threading.Barrier(3)
    imports = wasihost.Imports("host")

    @imports.function
    def meet() -> None:
        inside.wait(10)

    module = """(module (import "host" "meet" (func $meet)) (memory (export "memory") 1)
        (func (export "meets") (call $meet)))"""
    meets = wasihost.function(module, "meets", imports=imports, keep=2)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: meets(), range(3)))
    assert len(meets._warm) == 2
    assert len(meets.warm_up(9)._warm) == 2


def test_nothing_is_left_open(library: Module) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        count = wasihost.function(library, "count")
        count()
        with wasihost.function(library, "count").warm_up(2) as other:
            assert len(other._warm) == 2
        assert len(other._warm) == 0
        del count, other
        gc.collect()


def test_a_forked_child_makes_instances_of_its_own(library: Module) -> None:
    count = wasihost.function(library, "count")
    assert [count(), count()] == [1, 2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # there may be other threads
        child = os.fork()
    if not child:
        os._exit(42 if [count(), count()] == [1, 2] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
    assert count() == 3


# -- elsewhere ---------------------------------------------------------------------------------------------------------


def count_and_process(count: GuestFunction[[], int]) -> tuple[int, int]:
    return os.getpid(), count()


def test_all_copies_of_a_function_in_a_process_share_its_instances(
    processes: ProcessPoolExecutor, tmp_path: Path
) -> None:
    file = tmp_path / "library.wat"
    file.write_text(LIBRARY)
    count = wasihost.function(file, "count")
    found = list(processes.map(count_and_process, [count] * 20))
    for process in {process for process, _ in found}:
        counts = [one for number, one in found if number == process]
        assert counts == list(range(1, len(counts) + 1))
    assert len(pickle.dumps(count)) < 2000


def test_a_function_of_bytes_brings_its_module_along(processes: ProcessPoolExecutor) -> None:
    echo = wasihost.function(LIBRARY, "echo", params=[str], returns=str)
    texts = [f"text {number}" for number in range(20)]
    assert list(processes.map(echo, texts, chunksize=5)) == texts
    assert list(map(echo, texts)) == texts


def test_errors_of_a_call_come_back_from_a_process(processes: ProcessPoolExecutor) -> None:
    with pytest.raises(TrapError):
        list(processes.map(wasihost.function(LIBRARY, "fails"), [0, 1]))


def test_a_changed_file_is_not_taken_for_the_module(tmp_path: Path) -> None:
    file = tmp_path / "library.wat"
    file.write_text(LIBRARY)
    pickled = pickle.dumps(wasihost.function(file, "count"))
    file.write_text("(module)")
    from wasihost.scale.references import _kept

    _kept.modules.clear()
    with pytest.raises(wasihost.ModuleError, match=r"library.wat \(sha256 .* is not on this machine"):
        pickle.loads(pickled)


def test_options_that_do_not_pickle_are_named() -> None:
    echo = wasihost.function(LIBRARY, "echo", stdout=lambda _: None)
    with pytest.raises(Exception, match=r"pickle|local") as caught:
        pickle.dumps(echo)
    assert caught.value.__notes__ == ["the function echo pickles with its options, which have to pickle too"]
