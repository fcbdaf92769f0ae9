"""Arguments that cannot be meant: each error is one line that says what was wrong and what to type."""

from __future__ import annotations

import datetime
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wasihost import ConfigError, FSConfig, Instance, Module, ModuleConfig, instantiate, run

TEXT = '(module (memory (export "memory") 1) (func (export "_start")) (func (export "f")))'
EMPTY = Module(TEXT)
mistaken: Any = run  # for what its types would refuse
CONFIG = ModuleConfig()

RUNS: dict[str, tuple[dict[str, Any], str]] = {
    "dirs as a list": ({"dirs": ["/data"]}, r"not a list: dirs={'/data': '/data'}"),
    "dirs as pairs of text": ({"dirs": ["src::/in", "a:/b"]}, r"dirs={'/in': 'src', '/b': 'a'}"),
    "dirs as text": ({"dirs": "/data"}, r"not a str: dirs={'/data': '/data'}"),
    "ro_dirs as a list": ({"ro_dirs": [Path("/data")]}, r"ro_dirs={'/data': '/data'}"),
    "dirs with a number": ({"dirs": {"/data": 3}}, "a host directory is a path, not 3"),
    "dirs with a Path for the guest": ({"dirs": {Path("/d"): "/data"}}, "for the guest is a path, not .*: give a str"),
    "env as text": ({"env": "A=b"}, "env is a dict of names and values, not a str: env={'A': ...}"),
    "env as a list": ({"env": ["A=b", "C=d"]}, "not a list: env={'A': ..., 'C': ...}"),
    "env with a number": ({"env": {"N": 3}}, "variable 'N' is text or bytes, not an int: give str(...) of it"),
    "env with nothing": ({"env": {"N": None}}, "variable 'N' is text or bytes, not None: leave it out"),
    "env with a number as name": ({"env": {3: "x"}}, "an environment variable is text or bytes, not 3, an int"),
    "args as a number": ({"args": 3}, "args is a sequence of arguments, not an int: args=['3']"),
    "args with a number": ({"args": ["-n", 3]}, "an argument is text or bytes, not 3, an int: give '3'"),
    "files with text": ({"files": {"a": "text"}}, "the content of the file 'a' is text: give bytes, content.encode()"),
    "files with nothing": ({"files": {"a": None}}, "the content of the file 'a' is None: give bytes"),
    "files with an open file": ({"files": {"a": io.BytesIO()}}, "the file 'a' is a BytesIO: give bytes"),
    "files with a Path": ({"files": {Path("a"): b""}}, "a path that is not a str"),
    "files as a list": ({"files": ["a.txt"]}, "files is a dict of path -> content, not a list"),
    "fs as a path": ({"fs": "/data"}, "'/data' is the path of a host directory: give dirs={'/': '/data'}"),
    "fs as a number": ({"fs": 3}, "cannot mount 3 as '/': not a MemoryFS"),
    "timeout as text": ({"timeout": "3"}, "timeout cannot be '3': give a number, 3"),
    "timeout with a unit": ({"timeout": "3s"}, "timeout cannot be '3s': give a number of seconds, such as 2.5"),
    "timeout negative": ({"timeout": -1}, "timeout cannot be -1: give seconds, 0 or more, or None for no end"),
    "timeout NaN": ({"timeout": float("nan")}, "timeout cannot be nan"),
    "timeout True": ({"timeout": True}, "timeout cannot be True"),
    "timeout as a timedelta": ({"timeout": datetime.timedelta(seconds=1)}, "timeout cannot be .*timedelta"),
    "memory as another text": ({"max_memory": "much"}, "'memory' cannot be 'much': give bytes, or a text as '64MiB'"),
    "memory negative": ({"max_memory": -1}, "cannot be -1: give at least 0"),
    "fuel as text": ({"fuel": "1M"}, "the limit 'fuel' cannot be '1M'"),
    "a directory that is not there": (
        {"dirs": {"/d": "/nowhere/x"}},
        "cannot mount '/nowhere/x' as '/d': No such file",
    ),
    "config as a dict": ({"config": {"A": "b"}}, "a config is a wasihost.ModuleConfig, not a dict: give options by"),
    "config as arguments": ({"config": ["-v"]}, "give arguments by their name, args=['-v']"),
    "config as text": ({"config": "-v"}, "give arguments by their name, args=['-v']"),
    "config as a class": ({"config": ModuleConfig}, "a config is a wasihost.ModuleConfig, not a type"),
    "an encoding": ({"encoding": "utf-9"}, "unknown encoding: utf-9; as encoding give a name such as 'utf-8'"),
    "an error handler": ({"text": True, "errors": "drop"}, "unknown error handler name 'drop'"),
}
MODULES: dict[str, tuple[Any, str]] = {
    "a command line": (["tool.wasm", "-v"], "arguments by their name: 'tool.wasm', args=['-v']"),
    "a tuple": (("tool.wasm",), "the module comes first, and its arguments by their name: 'tool.wasm'"),
    "an open file": (
        io.BytesIO(b""),
        "a module cannot be an open file (a BytesIO): give its path, or its read()",
    ),
    "a number": (3, "a module cannot be an int: give a path"),
    "None": (None, "a module cannot be None: give a path, its bytes, its text or a wasihost.Module"),
}
CONFIGS: dict[str, tuple[Callable[[], object], str]] = {
    "mount of a number": (lambda: CONFIG.with_mount("/x", 3), "cannot mount 3 as '/x'"),  # type: ignore[arg-type]
    "mount of a path": (lambda: CONFIG.with_mount("/x", "/y"), "with_host_directory_preopen('/x', '/y')"),  # type: ignore[arg-type]
    "mount of None": (lambda: FSConfig().with_fs_mount("/x", None), "cannot mount None"),  # type: ignore[arg-type]
    "read only": (lambda: CONFIG.with_read_only_fs("/x", 3), "cannot mount 3 as '/x'"),  # type: ignore[arg-type]
    "host directory": (lambda: CONFIG.with_host_directory_preopen("/x", None), "is a path, not None"),  # type: ignore[arg-type]
    "sleep of NaN": (lambda: CONFIG.with_limits(sleep=float("nan")), "the limit 'sleep' cannot be nan"),
}  # the values are what users get wrong


@pytest.fixture(autouse=True)
def nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(*_: object, **__: object) -> None:
        raise AssertionError("compiled before the mistake was seen")

    monkeypatch.setattr("wasihost.engines.wasmtime.load", compiled)


def refused(attempt: Callable[[], object], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        attempt()
    text = str(caught.value)
    assert words in text or re.search(words, text), text
    assert "\n" not in text
    assert len(text) < 250


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("call", [run, instantiate], ids=lambda call: str(call.__name__))
def test_options(call: Callable[..., object], name: str) -> None:
    given, words = RUNS[name]
    refused(lambda: call(TEXT, **given), words)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("call", [run, instantiate, Module], ids=lambda call: str(call.__name__))
def test_modules(call: Callable[..., object], name: str) -> None:
    given, words = MODULES[name]
    refused(lambda: call(given), words)


@pytest.mark.parametrize("name", CONFIGS)
def test_configs(name: str) -> None:
    refused(*CONFIGS[name])


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("timeuot", "unknown option: timeuot; did you mean timeout?"),
        ("capture", "unknown option: capture; did you mean capture_output?"),
        ("environ", "unknown option: environ; did you mean env?"),
        ("cwd", "unknown option: cwd; a guest's working directory is what is mounted at '.': dirs={'.': PATH}"),
        ("universal_newlines", "give text=True"),
        ("zzz", "unknown option: zzz"),
    ],
)
def test_a_misspelt_option(name: str, hint: str) -> None:
    with pytest.raises(TypeError) as caught:
        mistaken(TEXT, **{name: 1})
    assert hint in str(caught.value)
    with pytest.raises(TypeError, match=r"unknown options: dir \(did you mean dirs\?\), zzz"):
        mistaken(TEXT, dir={}, zzz=1)


def test_a_timeout_of_a_call() -> None:
    with instantiate(EMPTY, timeout=5) as guest:
        assert isinstance(guest, Instance)
        for timeout in (-1, "3", float("nan")):
            with pytest.raises(ConfigError, match="timeout cannot be"):
                guest.call("f", timeout=timeout)  # type: ignore[arg-type]  # what users get wrong
        guest.call("f", timeout=float("inf"))


def test_sizes_are_taken_as_the_command_takes_them() -> None:
    assert ModuleConfig().with_limits(memory="64MiB", output="1k").limits[:3:2] == (64 << 20, 1024)
    assert run(EMPTY, max_memory="64MiB", max_output="2M", timeout=9).returncode == 0


def test_the_environment_is_named_but_not_shown() -> None:
    config = ModuleConfig().with_env("SECRET_TOKEN", "hunter2").with_env_raw("LANG=hunter2").with_args("tool")
    assert repr(config) == "ModuleConfig(args=(b'tool',), environ=<2 variables: SECRET_TOKEN, LANG>)"
    for wrong in ({"env": "A=hunter2"}, {"env": ["A=hunter2"]}, {"env": {"A": ["hunter2"]}},
                  {"env": {"A": "hunter2\0"}}, {"config": {"A": "hunter2"}}):  # fmt: skip
        with pytest.raises(ConfigError) as caught:
            mistaken(TEXT, **wrong)
        assert "hunter2" not in str(caught.value)
