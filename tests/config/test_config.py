"""ModuleConfig and FSConfig: what is accepted, what is refused, and that a config never changes."""

from __future__ import annotations

import io
import pickle
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.raw import Raw
from wasihost import INHERIT, ConfigError, FSConfig, ModuleConfig, Mount, State, WasihostError
from wasihost.config import Inherit

SINK = io.BytesIO()
SOURCE = io.BytesIO(b"x")
NOTHING = ModuleConfig()
TREE = zipfile.Path(zipfile.ZipFile(io.BytesIO(), "w"))


def hook() -> None:
    """A hook that pickles."""


SETTERS: dict[str, tuple[Callable[[ModuleConfig], ModuleConfig], str, Any]] = {
    "args": (lambda c: c.with_args("a", b"\xff", "é"), "args", (b"a", b"\xff", "é".encode())),
    "env": (lambda c: c.with_env("A", "1").with_env(b"B", b""), "environ", (b"A=1", b"B=")),
    "env twice": (lambda c: c.with_env("A", "1").with_env("A", "2"), "environ", (b"A=1", b"A=2")),
    "env_raw": (lambda c: c.with_env_raw("whatever").with_env_raw(b"=x"), "environ", (b"whatever", b"=x")),
    "name": (lambda c: c.with_name("prog"), "name", "prog"),
    "stdin bytes": (lambda c: c.with_stdin(b"abc"), "stdin", b"abc"),
    "stdin object": (lambda c: c.with_stdin(SOURCE), "stdin", SOURCE),
    "stdin inherited": (lambda c: c.with_stdin(INHERIT), "stdin", INHERIT),
    "stdout object": (lambda c: c.with_stdout(SINK), "stdout", SINK),
    "stdout callable": (lambda c: c.with_stdout(len), "stdout", len),
    "stdout inherited": (lambda c: c.with_stdout(INHERIT), "stdout", INHERIT),
    "stderr": (lambda c: c.with_stderr(SINK), "stderr", SINK),
    "walltime": (lambda c: c.with_walltime(time.time_ns, 5), "clock_walltime", (time.time_ns, 5)),
    "nanotime": (lambda c: c.with_nanotime(time.monotonic_ns, 1), "clock_nanotime", (time.monotonic_ns, 1)),
    "nanosleep": (lambda c: c.with_nanosleep(abs), "clock_nanosleep", abs),
    "osyield": (lambda c: c.with_osyield(hook), "clock_osyield", hook),
    "rand_source": (lambda c: c.with_rand_source(SOURCE), "rand_source", SOURCE),
    "preopen": (
        lambda c: c.with_host_directory_preopen("/d/", Path("/h")),
        "fs_preopens",
        (Mount("/d", "/h", False),),
    ),
    "read_only_fs": (lambda c: c.with_read_only_fs("/", "h"), "fs_preopens", (Mount("/", "h", True),)),
    "read_only_fs path": (lambda c: c.with_read_only_fs("/", Path("h")), "fs_preopens", (Mount("/", "h", True),)),
    "read_only_fs tree": (lambda c: c.with_read_only_fs("/", TREE), "fs_preopens", (Mount("/", TREE, True),)),
    "fs": (
        lambda c: c.with_fs(FSConfig().with_dir_mount("a", "b")),
        "fs_config",
        FSConfig([Mount("a", "b", False)]),
    ),
}


@pytest.mark.parametrize("name", SETTERS)
def test_a_setter_answers_a_changed_copy(name: str) -> None:
    setter, attribute, expected = SETTERS[name]
    config = ModuleConfig()
    changed = setter(config)
    assert getattr(changed, attribute) == expected
    assert config == NOTHING
    assert changed != config
    assert type(changed) is ModuleConfig
    assert changed == setter(ModuleConfig())
    assert hash(changed) == hash(setter(ModuleConfig()))
    assert repr(config) == "ModuleConfig()"
    assert repr(changed) != repr(config)


UNDONE: dict[str, Callable[[ModuleConfig], ModuleConfig]] = {
    "args": lambda c: c.with_args("a").with_args(),
    "env": lambda c: c.with_env("A", "1").without_env(),
    "stdin": lambda c: c.with_stdin(b"x").with_stdin(None),
    "stdout": lambda c: c.with_stdout(SINK).with_stdout(None),
    "stderr": lambda c: c.with_stderr(SINK).with_stderr(None),
    "walltime": lambda c: c.with_walltime(time.time_ns, 1).with_sys_walltime(),
    "nanotime": lambda c: c.with_nanotime(time.time_ns, 1).with_sys_nanotime(),
    "nanosleep": lambda c: c.with_nanosleep(abs).with_sys_nanosleep(),
    "rand_source": lambda c: c.with_rand_source(SOURCE).with_rand_source(None),
    "fs": lambda c: c.with_host_directory_preopen("/", "/").with_fs(FSConfig()),
}


@pytest.mark.parametrize("name", UNDONE)
def test_every_option_can_be_taken_back(name: str) -> None:
    assert UNDONE[name](ModuleConfig()) == NOTHING


def test_a_bare_config_gives_nothing() -> None:
    assert (NOTHING.args, NOTHING.environ, NOTHING.name, NOTHING.fs_preopens) == ((), (), "", ())
    for attribute in ("stdin", "stdout", "stderr", "clock_walltime", "clock_nanotime", "clock_nanosleep",
                      "clock_osyield", "rand_source"):  # fmt: skip
        assert getattr(NOTHING, attribute) is None
    assert NOTHING.fs_config == FSConfig()


READ_ONLY = ["args", "environ", "name", "stdin", "stdout", "stderr", "clock_walltime", "clock_nanotime",
             "clock_nanosleep", "clock_osyield", "rand_source", "fs_config", "fs_preopens", "_args", "new"]  # fmt: skip


@pytest.mark.parametrize("attribute", READ_ONLY)
def test_config_attributes_cannot_be_assigned(attribute: str) -> None:
    config = ModuleConfig()
    with pytest.raises(AttributeError):
        setattr(config, attribute, None)
    assert config == NOTHING


def test_an_fs_config_does_not_change() -> None:
    fs = FSConfig().with_dir_mount("/a", "/x")
    with pytest.raises(AttributeError):
        fs.mounts = ()  # type: ignore[misc]  # that it is refused is the point
    more = fs.with_read_only_dir_mount("/b", "/y").with_fs_mount("/c", TREE)
    assert len(fs.mounts) == 1
    assert [mount.guest_path for mount in more.mounts] == ["/a", "/b", "/c"]
    assert [mount.read_only for mount in more.mounts] == [False, True, True]
    assert repr(fs) == "FSConfig([Mount('/a', '/x', read_only=False)])"
    assert (fs == FSConfig().with_dir_mount("/a", "/x"), fs == more, fs == "x") == (True, False, False)
    assert hash(fs) == hash(FSConfig().with_dir_mount("/a", "/x"))


def test_a_config_survives_pickling() -> None:
    config = (
        ModuleConfig()
        .with_args("a", b"\xff")
        .with_env("A", "1")
        .with_name("n")
        .with_stdin(b"in")
        .with_stdout(INHERIT)
        .with_stderr(print)
        .with_walltime(time.time_ns, 3)
        .with_osyield(hook)
        .with_host_directory_preopen("/", "/tmp")
        .with_read_only_fs("/r", Path("/"))
    )
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(config, protocol))
        assert again == config
        assert again.stdout is INHERIT
        with pytest.raises(AttributeError):
            again.name = "other"
    assert pickle.loads(pickle.dumps(Inherit(7))).fd == 7


def test_a_repr_shows_what_was_given_and_no_more() -> None:
    config = ModuleConfig().with_args("a").with_stdout(INHERIT)
    assert repr(config) == "ModuleConfig(args=(b'a',), stdout=wasihost.INHERIT)"


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "NUL in an argument": (lambda: NOTHING.with_args("a\0b"), r"an argument cannot hold a NUL byte: 'a\\x00b'"),
    "NUL in bytes": (lambda: NOTHING.with_args(b"\0"), "an argument cannot hold a NUL"),
    "NUL in a key": (lambda: NOTHING.with_env("A\0", ""), "NUL"),
    "NUL in a value": (lambda: NOTHING.with_env("A", "\0"), "NUL"),
    "NUL in an entry": (lambda: NOTHING.with_env_raw("A=\0"), "NUL"),
    "no UTF-8 in an argument": (
        lambda: NOTHING.with_args("\ud800"),
        r"an argument cannot be text '\\ud800' that UTF-8",
    ),
    "no UTF-8 in a guest path": (
        lambda: NOTHING.with_mount("/\ud800", {}),
        "has characters that no file can be called",
    ),
    "NUL in the name": (lambda: NOTHING.with_name("a\0"), "NUL"),
    "no key": (lambda: NOTHING.with_env("", "x"), "cannot be called ''"),
    "= in a key": (lambda: NOTHING.with_env("A=B", "x"), "cannot be called 'A=B'"),
    "text as input": (lambda: NOTHING.with_stdin("text"), "standard input cannot be 'text': give bytes"),  # type: ignore[arg-type]  # refused
    "number as output": (lambda: NOTHING.with_stdout(1), "standard output cannot be 1"),  # type: ignore[arg-type]  # refused
    "bytes as error": (lambda: NOTHING.with_stderr(b""), "standard error cannot be b''"),  # type: ignore[arg-type]  # refused
    "bytes as randomness": (lambda: NOTHING.with_rand_source(b"x"), "source of randomness"),  # type: ignore[arg-type]  # refused
    "resolution of 0": (
        lambda: NOTHING.with_walltime(time.time_ns, 0),
        "number of ns, 1 at least and below 2\\*\\*64, not 0",
    ),
    "negative resolution": (lambda: NOTHING.with_nanotime(time.time_ns, -1), "1 at least .*, not -1"),
    "empty guest path": (lambda: NOTHING.with_host_directory_preopen("", "/"), "a guest path cannot be ''"),
    "NUL in a guest path": (lambda: FSConfig().with_dir_mount("/\0", "/"), "a guest path cannot be"),
    "empty host path": (lambda: FSConfig().with_dir_mount("/", ""), "a host path cannot be ''"),
    "NUL in a host path": (lambda: FSConfig().with_read_only_dir_mount("/", "\0"), "a host path cannot be"),
    "mounted twice": (
        lambda: NOTHING.with_host_directory_preopen("/a", "/x").with_read_only_fs("/a/", "/y"),
        "guest path '/a' is mounted twice",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_config_values_are_refused_with_a_reason(name: str) -> None:
    attempt, reason = REFUSED[name]
    with pytest.raises(ConfigError, match=reason) as caught:
        attempt()
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, WasihostError)


def test_directories_are_looked_at_when_a_state_is_made(tmp_path: Path) -> None:
    config = ModuleConfig().with_host_directory_preopen("/d", tmp_path / "later")
    with pytest.raises(
        ConfigError, match=r"cannot mount '.*later' as '/d': No such file or directory; give a directory"
    ):
        State(config=config)
    (tmp_path / "later").touch()
    with pytest.raises(ConfigError, match="Not a directory"):
        State(config=config)
    (tmp_path / "later").unlink()
    (tmp_path / "later").mkdir()
    with State(lambda: bytearray(64), config) as state:
        assert state.fd_prestat_get(3, 0) == 0


def test_a_config_may_be_used_many_times() -> None:
    config = ModuleConfig().with_stdin(b"abc")
    for _ in range(2):
        with Raw(config) as raw:
            assert raw.read(0, 9) == b"abc"
