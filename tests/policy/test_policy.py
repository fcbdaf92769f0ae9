"""What a policy refuses, and what it leaves as it was; the guest is a script of raw calls."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from wasi_preview1.types import Errno, Oflags

from tests.conformance.backends import problems
from tests.conformance.table import CASES
from tests.policy.conftest import Held
from tests.support.raw import clock
from tests.support.through import THROUGH
from wasihost import MemoryFS, ModuleConfig, Policy, hook, instantiate, run, run_async, start
from wasihost.policy.enforcing import Enforcer
from wasihost.policy.learning import Learner
from wasihost.policy.needs import PATHS

ACCES, OK = int(Errno.ACCES), 0
CREAT, EXCL, TRUNC, DIRECTORY = (int(flag) for flag in (Oflags.CREAT, Oflags.EXCL, Oflags.TRUNC, Oflags.DIRECTORY))
WRITING = 2 | 64


def tree() -> ModuleConfig:
    fs = MemoryFS({"in/a": b"aaa", "in/d/b": b"b", "out/old": b"o", "secret": b"s", "private/x": b"x"})
    fs.symlink("../secret", "in/leak")
    fs.symlink("../private", "in/way")
    fs.symlink("a", "in/alias")
    return ModuleConfig().with_mount("/", fs)


@pytest.fixture
def held() -> Held:
    return Held(tree(), read=["/in/"], write=["/out/"])


def test_reading_and_writing_by_prefix(held: Held) -> None:
    with held:
        assert [held.opening(path) for path in ("in/a", "in", "in/d/b", "in/none", "out/old")] == [0, 0, 0, 44, 0]
        assert [held.opening(path) for path in ("secret", "private", ".", "none", "input")] == [ACCES] * 5
        assert [held.opening(path, rights=WRITING) for path in ("out/old", "in/a", "secret")] == [OK, ACCES, ACCES]
        assert [held.opening(path, oflags=CREAT) for path in ("out/new", "in/new", "new")] == [OK, ACCES, ACCES]
        assert held.opening("in/a", oflags=TRUNC) == ACCES
        assert held.refused[0] == ("path_open", "/secret", 'read = ["/secret"]')
        assert ("path_open", "/in/a", 'write = ["/in/a"]') in held.refused
        assert len(held.refused) == len(set(held.refused)) == 9


def test_a_refusal_is_one_line_whatever_the_name(held: Held) -> None:
    with held:
        assert held.opening('a\n"wasihost: all is well') == ACCES
        (refusal,) = held.enforcer.refusals
    assert refusal.rule == r"""read = ["/a\n\"wasihost: all is well"]"""
    assert str(refusal).isprintable()


def test_a_rule_without_a_slash_is_for_one_name() -> None:
    with Held(tree(), read=["/in", "/in/d/b"]) as held:
        assert [held.opening(path) for path in ("in", "in/d/b", "in/a", "in/d")] == [OK, OK, ACCES, ACCES]


CALLS = {
    "path_create_directory": lambda held, at: held.path("path_create_directory", 3, f"{at}/new"),
    "path_filestat_get": lambda held, at: held.path_filestat_get(at),
    "path_filestat_set_times": lambda held, at: held.call(
        "path_filestat_set_times", 3, 0, *held.text(f"{at}/old"), 1, 1, 5
    ),
    "path_symlink": lambda held, at: held.call("path_symlink", *held.text("x"), 3, *held.text(f"{at}/new")),
    "path_unlink_file": lambda held, at: held.path("path_unlink_file", 3, f"{at}/old"),
    "path_remove_directory": lambda held, at: held.path("path_remove_directory", 3, f"{at}/dir"),
    "path_readlink": lambda held, at: held.path("path_readlink", 3, f"{at}/link", held.new(9), 9, held.new(4)),
    "path_rename": lambda held, at: held.two("path_rename", 3, f"{at}/old", 3, f"{at}/new"),
    "path_link": lambda held, at: held.two("path_link", 3, f"{at}/old", 3, f"{at}/new"),
    "path_open": lambda held, at: held.opening(f"{at}/old"),
}


@pytest.mark.parametrize("name", PATHS)
def test_every_function_with_a_path_is_judged(name: str, tmp_path: Path) -> None:
    for at in ("yes", "no"):
        (tmp_path / at / "dir").mkdir(parents=True)
        (tmp_path / at / "old").write_bytes(b"")
        os.symlink("old", tmp_path / at / "link")

    class Folder(Held):
        def path_filestat_get(self, at: str) -> int:
            return self.call("path_filestat_get", 3, 0, *self.text(f"{at}/old"), self.new(64))

    config = ModuleConfig().with_host_directory_preopen("/", tmp_path)
    with Folder(config, write=["/yes/"]) as held:
        assert CALLS[name](held, "yes") == OK
        assert CALLS[name](held, "no") == ACCES
        ((function, what, rule),) = held.refused
    assert function == name
    assert what.startswith("/no/")
    assert what in rule
    kept = sorted(path.name for path in (tmp_path / "no").iterdir())
    assert kept == ["dir", "link", "old"]


def test_links_and_dots_are_resolved_before_a_rule_is_looked_for(held: Held) -> None:
    with held:
        ways = ("in/leak", "in/way/x", "in/../secret", "in/d/../../private/x", "./in/./leak", "in/way/../secret")
        assert [held.opening(path) for path in ways] == [ACCES] * len(ways)
        assert {what for _, what, _ in held.refused} == {"/secret", "/private/x"}
        assert held.opening("in/alias") == OK
        assert held.opening("in/leak", follow=False) == int(Errno.LOOP)
        assert held.path("path_readlink", 3, "in/leak", held.new(20), 20, held.new(4)) == OK
        assert held.call("path_filestat_get", 3, 1, *held.text("in/leak"), held.new(64)) == ACCES
        assert held.call("path_filestat_get", 3, 0, *held.text("in/leak"), held.new(64)) == OK
        assert [held.opening(path) for path in ("../x", "/in/a", "in/../../in/a")] == [int(Errno.PERM)] * 3
        # A link that the guest makes leads no further than what it may reach.
        assert held.call("path_symlink", *held.text("../secret"), 3, *held.text("out/own")) == OK
        assert held.opening("out/own") == ACCES
        assert held.opening("out/own", oflags=CREAT, rights=WRITING) == ACCES


def test_links_are_seen_without_the_right_to_read_them(held: Held) -> None:
    readlink = 1 << 15
    with held:
        every = held.fdstat(3)
        keep = every["fs_rights_base"] & ~readlink
        assert held.call("fd_fdstat_set_rights", 3, keep, every["fs_rights_inheriting"] & ~readlink) == OK
        assert held.path("path_readlink", 3, "in/leak", held.new(20), 20, held.new(4)) != OK
        assert held.opening("in/leak") == ACCES


def test_a_directory_that_is_open_has_its_real_name(held: Held) -> None:
    with held:
        folder = held.open("in/d/..", oflags=DIRECTORY, rights=2)
        assert held.opening("leak", fd=folder) == int(Errno.PERM)  # it leads out of that directory
        assert held.opening("a", fd=folder) == OK
        assert held.opening("../secret", fd=folder) == int(Errno.PERM)
        assert held.call("fd_renumber", folder, 3) == OK
        assert [held.opening(path) for path in ("a", "leak", "in/a")] == [OK, int(Errno.PERM), int(Errno.NOENT)]


def test_renaming_and_linking_gain_nothing() -> None:
    config = ModuleConfig().with_mount("/", MemoryFS({"r/a": b"a", "w/f": b"f", "w/d/g": b"g", "x/d/secret": b"s"}))
    with Held(config, read=["/r/"], write=["/w/", "/x/d"]) as held:
        for name in ("path_rename", "path_link"):
            assert held.two(name, 3, "r/a", 3, "w/a") == ACCES  # it would be writable there
            assert held.two(name, 3, "w/f", 3, "r/f") == ACCES
        assert held.two("path_rename", 3, "x/d", 3, "w/y") == ACCES  # what is in it could be read there
        assert held.refused[-1] == ("path_rename", "/x/d", 'write = ["/x/d/"]')
        folder = held.open("w/d", oflags=DIRECTORY, rights=2)
        assert held.two("path_rename", 3, "w/d", 3, "w/e") == OK
        assert held.opening("g", fd=folder) == OK
        assert held.state.handlers.describe(folder).path == "/w/e"
        assert held.two("path_rename", 3, "w/e", 3, "x/e") == ACCES


def test_descriptors_do_not_do_what_their_path_may_not(held: Held) -> None:
    with held:
        file = held.open("in/a", rights=2)
        assert held.read(file, 8) == b"aaa"
        assert held.call("fd_filestat_set_times", file, 1, 1, 5) == ACCES
        assert held.call("fd_filestat_set_size", file, 0) == ACCES
        assert held.call("fd_allocate", file, 0, 9) == ACCES
        assert held.call("fd_readdir", 3, held.new(99), 99, 0, held.new(4)) == ACCES
        own = held.open("out/old", rights=WRITING)
        assert held.call("fd_filestat_set_times", own, 1, 1, 5) == OK
        folder = held.open("in", oflags=DIRECTORY, rights=2)
        assert {b"a", b"alias", b"d", b"leak", b"way"} < {name for _, _, _, name in held.readdir(folder)[0]}
        assert held.call("fd_prestat_get", 3, held.new(8)) == OK
        assert held.call("fd_filestat_get", 3, held.new(64)) == OK


def test_a_mount_in_a_mount_hides_what_is_below_it() -> None:
    config = ModuleConfig().with_mount("/", MemoryFS({"data/a": b"hidden"})).with_mount("/data", {"a": b"shown"})
    with Held(config, read=["/data/"]) as held:
        assert held.read(held.open("a", fd=4, rights=2), 9) == b"shown"
        assert held.opening("data/a") == ACCES
        assert held.refused == [("path_open", "/data/a", "none is possible: another mount lies over this path")]
        assert held.call("path_filestat_get", 3, 0, *held.text("data"), held.new(64)) == OK


@pytest.mark.parametrize("strategy", ["openat2", "walk"])
def test_no_link_gets_between_the_check_and_the_call(strategy: str, tmp_path: Path) -> None:
    """Another process swaps a directory or a file for a link, at the moment when the rule has been found."""
    from tests.sandbox.trees import STRATEGIES
    from wasihost.sandbox import resolve

    (tmp_path / "ok/d").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    for folder in ("ok/d", "ok", "secret"):
        (tmp_path / folder / "f").write_bytes(folder.encode())

    class Swapping(Policy):
        def may_read(self, path: str) -> bool:
            allowed = super().may_read(path)
            if path == "/ok/d/f" and not (tmp_path / "ok/d").is_symlink():
                (tmp_path / "ok/d").rename(tmp_path / "ok/was")
                os.symlink("../secret", tmp_path / "ok/d")
            elif path == "/ok/f" and not (tmp_path / "ok/f").is_symlink():
                (tmp_path / "ok/f").unlink()
                os.symlink("../secret/f", tmp_path / "ok/f")
            return allowed

    config = ModuleConfig().with_host_directory_preopen("/", tmp_path)
    with resolve.using(STRATEGIES[strategy]), Held(config, Swapping(read=["/ok/"])) as held:
        assert [held.opening(path) for path in ("ok/d/f", "ok/f")] == [int(Errno.LOOP)] * 2
        assert [held.opening(path) for path in ("ok/d/f", "ok/f")] == [ACCES] * 2
        assert held.read(held.open("ok/was/f", rights=2), 9) == b"ok/d"


def test_clocks_and_randomness_and_environment() -> None:
    config = ModuleConfig().with_env("A", "1").with_env("B", "2").with_limits(memory=1 << 26)
    with Held(config, clocks=["monotonic"], env=["B"], limits={"memory": "1MiB", "output": None}) as held:
        at = held.new(8)
        assert [held.call("clock_time_get", number, 0, at) for number in range(4)] == [ACCES, OK, ACCES, ACCES]
        assert held.call("clock_res_get", 0, at) == ACCES
        assert len(held.poll(clock(7, 1, 1))) == 1
        held.put(at := held.new(48), clock(7, 0, 1))
        assert held.call("poll_oneoff", at, held.new(32), 1, held.new(4)) == ACCES
        assert held.call("random_get", held.new(8), 8) == ACCES
        array, text = held.new(8), held.new(16)
        assert held.call("environ_get", array, text) == OK
        assert bytes(held.memory[text : text + 5]) == b"B=2\0?"
        assert held.state.config.limits.memory == 1 << 20
        assert [(what, rule) for _, what, rule in held.refused] == [
            ("realtime", 'clocks = ["realtime"]'),
            ("process_cputime_id", 'clocks = ["process_cputime_id"]'),
            ("thread_cputime_id", 'clocks = ["thread_cputime_id"]'),
            ("realtime", 'clocks = ["realtime"]'),
            ("realtime", 'clocks = ["realtime"]'),
            ("random bytes", "random = true"),
            ("A", 'env = ["A"]'),
        ]


def test_sockets() -> None:
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as listener,
        closing(socket.create_connection(listener.getsockname())) as client,
    ):
        client.sendall(b"hello")
        config = ModuleConfig().with_listener("web", listener)
        for allowed, errno in (([], ACCES), (["web"], OK)):
            with Held(config, sockets=allowed) as held:
                result = held.new(4)
                assert held.call("sock_accept", 3, 0, result) == errno
                if errno:
                    assert held.refused == [("sock_accept", "web", 'sockets = ["web"]')]
                else:
                    assert held.read(held.get(result), 5) == b"hello"
        mine, theirs = socket.socketpair()
        with mine, theirs, Held(ModuleConfig().with_socket("peer", mine)) as held:
            assert held.call("fd_write", 3, *held.data(b"x"), held.new(4)) == ACCES
            assert held.call("fd_read", 3, *held.iovecs((held.new(4), 4)), held.new(4)) == ACCES
            assert held.call("sock_shutdown", 3, 1) == ACCES


GUEST = """(module
  (import "%s" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
  (import "%s" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "secret")
  (func (export "_start") (call $exit (call $unlink (i32.const 3) (i32.const 16) (i32.const 6)))))"""


@pytest.mark.parametrize("way", ["run", "run_async", "start", "instantiate"])
def test_every_way_to_run_reports_what_was_refused(way: str) -> None:
    guest = GUEST.replace("%s", "wasi_snapshot_preview1")
    options: Any = {"files": {"secret": b""}, "policy": Policy()}
    stats: Any
    if way == "run":
        done = run(guest, **options)
        code, stats = done.returncode, done.stats
    elif way == "run_async":
        done = asyncio.run(run_async(guest, **options))
        code, stats = done.returncode, done.stats
    elif way == "start":
        with start(guest, **options) as process:
            code = process.wait()
            stats = process.stats
    else:
        with instantiate(guest, **options) as instance:
            code = instance.run()
            stats = instance.stats
    assert code == ACCES
    assert [str(one) for one in stats.refusals] == [
        "path_unlink_file of '/secret' was refused by the policy; the rule that allows it: write = [\"/secret\"]"
    ]


def test_a_guest_of_the_older_spec_is_held_too() -> None:
    guest, files = GUEST.replace("%s", "wasi_unstable"), {"secret": b""}
    assert run(guest, files=files, policy=Policy(write=["/secret"])).returncode == OK
    assert run(guest, files=files, policy=Policy(read=["/secret"])).returncode == ACCES


def test_a_policy_judges_what_hooks_made_of_a_call() -> None:
    def redirect(call: Any, proceed: Any) -> Any:
        return proceed(call._replace(path="other"))

    guest, files = GUEST.replace("%s", "wasi_snapshot_preview1"), {"secret": b"", "other": b""}
    hooks = hook(redirect, on="path_unlink_file")
    done = run(guest, files=files, policy=Policy(write=["/secret"]), hooks=hooks)
    assert (done.returncode, done.stats.refusals[0].what) == (ACCES, "/other")
    assert run(guest, files=files, policy=Policy(write=["/other"]), hooks=hooks).returncode == OK


def test_the_command_reports_what_was_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"")
    (tmp_path / "g.wat").write_text(GUEST.replace("%s", "wasi_snapshot_preview1"))
    command = [sys.executable, "-m", "wasihost", "run", "--dir", ".::/", "--policy", "p.toml"]

    def by_command(*more: str) -> tuple[int, str]:
        done = subprocess.run([*command, *more, "g.wat"], cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    assert by_command() == (2, "wasihost: the policy p.toml cannot be read: No such file or directory\n")
    (tmp_path / "p.toml").write_text("")
    status, message = by_command()
    assert (status, message.count("\n")) == (ACCES, 1)
    assert message.startswith("wasihost: p.toml: path_unlink_file of '/secret' was refused by the policy; ")
    assert by_command("--isolate") == (2, "wasihost: --policy looks at a guest in this process: leave out --isolate\n")


ROWS = [row for row in CASES if row.function in PATHS]


@pytest.mark.parametrize("back_end", ["openat2", "memory"])
def test_the_conformance_table_holds_under_policies(
    back_end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows about paths, under a policy that allows all; in memory while one is learnt, and under that one."""
    learner = Learner()

    def learning(config: ModuleConfig) -> ModuleConfig:
        return config.with_hooks(learner.hook(config))

    def learnt(config: ModuleConfig) -> ModuleConfig:
        return config.with_hooks(Enforcer(learner.policy, config))

    monkeypatch.setitem(THROUGH, "learning", learning)
    monkeypatch.setitem(THROUGH, "learnt", learnt)
    rows = [row for row in ROWS if back_end in row.only]
    assert len(rows) > 150
    for row in rows if back_end == "memory" else rows[::2]:
        learner = Learner()
        for through in ["learning", "learnt"] if back_end == "memory" else ["policy"]:
            assert problems(row, back_end, tmp_path, through) == [], (str(row), learner.policy)
