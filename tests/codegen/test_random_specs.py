"""Random specs: each must become a package that ruff and mypy accept, and that agrees with `layout_rules`."""

from __future__ import annotations

import importlib
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from witxgen import names
from witxgen.output import write
from witxgen.render import render
from witxgen.resolve import load

from tests.codegen.layout_rules import Heap, Kind
from tests.codegen.random_witx import Spec

ROOT = Path(__file__).resolve().parents[2]
SEEDS = (*range(8), 16, 19, 40, 103, 126, 128, 132)


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[Spec]]]:
    """A folder of packages `random_0` and on, importable, and the specs they come from."""
    folder = tmp_path_factory.mktemp("random")
    made = []
    for seed in SEEDS:
        spec = Spec(seed)
        file = folder / f"random_{seed}.witx"
        file.write_text(spec.text, encoding="utf-8")
        write(render(load([file]), file.stem), folder / file.stem)
        made.append(spec)
    sys.path.insert(0, str(folder))
    yield folder, made
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.startswith("random_")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "tool",
    [
        ["mypy", "--strict", "--no-incremental"],
        ["ruff", "check", "--no-cache"],
        ["ruff", "format", "--check", "--diff", "--no-cache"],
    ],
    ids=lambda tool: " ".join(tool[:2]),
)
def test_random_packages_pass_ruff_and_mypy(specs: tuple[Path, list[Spec]], tool: list[str]) -> None:
    folder, _ = specs
    config = ["--config-file" if tool[0] == "mypy" else "--config", str(ROOT / "pyproject.toml")]
    packages = [f"random_{seed}" for seed in SEEDS]
    command = [sys.executable, "-m", *tool, *config, *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("seed", SEEDS)
def test_values_lie_where_the_rules_say(specs: tuple[Path, list[Spec]], seed: int) -> None:
    package, spec, rng = importlib.import_module(f"random_{seed}"), specs[1][SEEDS.index(seed)], random.Random(seed)
    for name, kind in spec.codecs.items():
        codec = getattr(package.codecs, names.constant_name(name))
        assert (codec.size, codec.align) == (kind.size, kind.align), name
        for _ in range(6):
            heap = Heap()
            guest = package.Guest(lambda heap=heap: heap.memory, lambda _error: 1)
            value = kind.some(rng, heap)
            at = heap.store(kind, value)
            guest.refresh()
            got = codec.get(guest, at)
            assert kind.plain(got) == value, name
            if kind.writable:
                codec.put(guest, 0, got)
                assert heap.memory[: kind.size] == heap.memory[at : at + kind.size], name
                assert set(heap.memory[kind.size : 4096]) == {0xAA}, name


@pytest.mark.parametrize("seed", SEEDS)
def test_calls_carry_every_value_both_ways(specs: tuple[Path, list[Spec]], seed: int) -> None:
    package, spec, rng = importlib.import_module(f"random_{seed}"), specs[1][SEEDS.index(seed)], random.Random(seed)
    calls: list[tuple[Any, ...]] = []
    answer: Any = None

    def method(_self: object, *args: Any) -> Any:
        calls.append(args)
        return answer

    handlers = type("All", (package.Handlers,), dict.fromkeys(package.Handlers.__abstractmethods__, method))()
    for function in spec.functions:
        heap = Heap()
        guest = package.Guest(lambda heap=heap: heap.memory, lambda _error: 1)
        values = [kind.some(rng, heap) for kind in function.params]
        args = [arg for kind, value in zip(function.params, values, strict=True) for arg in kind.flat(value, heap)]
        stored = [heap.store(kind, kind.some(rng, heap)) for kind in function.stored]
        places = [heap.place(kind.size, kind.align) for kind in function.stored]
        guest.refresh()
        answers = [python_value(package, spec, kind, guest, at)
                   for kind, at in zip(function.stored, stored, strict=True)]  # fmt: skip
        answer = tuple(answers) if len(answers) > 1 else answers[0] if answers else None
        calls.clear()
        stub = package.bind(handlers, guest)[spec.module][function.name]
        assert stub(*args, *places) == (0 if function.fails else None), function.name
        assert len(calls) == 1
        got = [kind.plain(value) for kind, value in zip(function.params, calls[0], strict=True)]
        assert got == values, function.name
        for kind, source, place in zip(function.stored, stored, places, strict=True):
            assert heap.memory[place : place + kind.size] == heap.memory[source : source + kind.size], function.name
        for i, kind in enumerate(function.stored):
            for bad in (*range(places[i] + 1, places[i] + kind.align), len(heap.memory) - kind.size + kind.align):
                with pytest.raises(package.GuestFault) if kind.size else nullcontext():
                    stub(*args, *places[:i], bad, *places[i + 1 :])
        assert len(package.SIGNATURES[spec.module][function.name].params) == len(args) + len(places)


def python_value(package: Any, spec: Spec, kind: Kind, guest: Any, at: int) -> Any:
    """A value in memory, as a handler would return it."""
    name = next(name for name, own in spec.types.items() if own is kind)
    codecs = package.codecs
    codec = getattr(codecs, names.constant_name(name), None) if name in spec.codecs else None
    if codec is None:  # another name for a type: its codec is that of the type it stands for
        found = next(t for t in load([Path(package.__path__[0] + ".witx")]).types if t.name == name)
        expression = importlib.import_module("witxgen.python_types").codec(found.type)
        codec = eval(expression, {**vars(package.guest), **vars(codecs)})
    return codec.get(guest, at)
