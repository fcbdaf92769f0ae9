"""Policies that are learnt from runs: of raw calls, and of programs that other people built."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from wasi_preview1.types import Errno, Oflags

import wasihost
from tests.apps.test_applications import CPYTHON, GRAPHVIZ
from tests.policy.conftest import Held, learn
from tests.support.guests import wat
from tests.support.raw import Raw
from wasihost import ConfigError, MemoryFS, Module, ModuleConfig, Policy, TrapError, run
from wasihost.policy.files import text_of
from wasihost.policy.learning import MOST, Learner

CREAT, EXCL, DIRECTORY = int(Oflags.CREAT), int(Oflags.EXCL), int(Oflags.DIRECTORY)
WRITING = 2 | 64
NOENT = int(Errno.NOENT)


def config(files: Any = ()) -> ModuleConfig:
    return ModuleConfig().with_mount("/", MemoryFS(dict(files)))


def path(raw: Raw, name: str, at: str) -> int:
    return raw.call(name, 3, *raw.text(at))


def test_what_is_learnt_is_what_was_asked_for() -> None:
    learner = Learner()
    given = config({"in/a": b"", "out/b": b""}).with_env("HOME", "/").with_env("LANG", "C")
    with learn(given, learner) as raw:
        raw.open("in/../in/a", rights=2)
        raw.open("out/b", rights=WRITING)
        assert path(raw, "path_unlink_file", "none/x") == NOENT
        assert raw.call("path_filestat_get", 3, 1, *raw.text("missing"), raw.new(64)) == NOENT
        assert learner.policy == Policy(read=["/in/a", "/missing"], write=["/none/x", "/out/b"])
        raw.expect("random_get", at := raw.new(1), 0, writes={at: b""})
        raw.call("clock_time_get", 1, 0, raw.new(8))
        raw.call("environ_get", raw.new(8), raw.new(99))
    policy = learner.policy
    assert (policy.random, policy.clocks, policy.env) == (True, ("monotonic",), ("HOME", "LANG"))
    assert dict(policy.limits) == {"open_files": 16}


def test_names_that_pass_stand_for_their_directory() -> None:
    learner = Learner()
    with learn(config({"tmp/kept": b"", "out/old": b"", "data/x": b""}), learner) as raw:
        raw.open("tmp/a1b2", rights=WRITING, oflags=CREAT | EXCL)
        assert path(raw, "path_unlink_file", "tmp/a1b2") == 0
        assert path(raw, "path_unlink_file", "out/old") == 0  # it was there before
        raw.open("top", rights=WRITING, oflags=CREAT)
        assert path(raw, "path_unlink_file", "top") == 0  # the directory is a mount
        raw.open("data/.x~", rights=WRITING, oflags=CREAT)
        assert raw.call("path_rename", 3, *raw.text("data/.x~"), 3, *raw.text("data/x")) == 0
        raw.open("new", rights=WRITING, oflags=CREAT)
    assert learner.policy.write == ("/data/", "/new", "/out/old", "/tmp/", "/top")


def test_many_names_stand_for_their_directory() -> None:
    names = [f"lib/{number}" for number in range(MOST + 1)]
    few = [f"etc/{number}" for number in range(MOST)]
    deep = [f"lib/sub/{number}" for number in range(3)]
    learner = Learner()
    with learn(config(dict.fromkeys([*names, *few, *deep], b"")), learner) as raw:
        for name in (*names, *few, *deep):
            raw.open(name, rights=2)
    assert learner.policy.read == (*sorted(f"/{name}" for name in few), "/lib/")


def test_several_runs_make_one_policy(tmp_path: Path) -> None:
    learner = Learner()
    tool, file = Module(wat("exit")), tmp_path / "own.toml"
    for name in ("a", "b"):
        with learn(config({"a": b"", "b": b""}), learner) as raw:
            raw.open(name, rights=2)
    assert learner.policy.read == ("/a", "/b")
    run(tool, learn=learner)
    learner.save(file)
    assert Policy.load(file) == learner.policy
    run(tool, learn=str(file))
    assert Policy.load(file).read == ()


def test_a_renamed_directory_is_learnt_with_all_that_is_in_it() -> None:
    learner, tree = Learner(), {"d/x": b"", "e": b""}
    with learn(config(tree), learner) as raw:
        folder = raw.open("d", rights=2, oflags=DIRECTORY)
        assert raw.call("path_rename", 3, *raw.text("d"), 3, *raw.text("f")) == 0
        raw.open("x", fd=folder, rights=2)
    policy = learner.policy
    assert (policy.read, policy.write) == (("/f/x",), ("/d/", "/f"))
    with Held(config(tree), policy) as held:
        folder = held.open("d", rights=2, oflags=DIRECTORY)
        assert held.two("path_rename", 3, "d", 3, "f") == 0
        assert held.opening("x", fd=folder) == 0


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems have names in UTF-8 only")
def test_names_that_are_not_text_stand_for_their_directory(tmp_path: Path) -> None:
    """A guest cannot say such a name, and can be led to it by a link."""
    learner, odd = Learner(), os.fsencode(tmp_path) + b"/d/\xff"
    (tmp_path / "d").mkdir()
    Path(os.fsdecode(odd)).write_bytes(b"")
    os.symlink(b"d/\xff", os.fsencode(tmp_path / "link"))
    folder = ModuleConfig().with_host_directory_preopen("/", tmp_path)
    with learn(folder, learner) as raw:
        raw.open("link", rights=2)
    learner.save(tmp_path / "p.toml")
    policy = Policy.load(tmp_path / "p.toml")
    assert policy.read == ("/d/",)
    with Held(folder, policy) as held:
        assert held.opening("link") == 0


def test_a_policy_is_written_for_a_guest_that_traps_too(tmp_path: Path) -> None:
    file = tmp_path / "trap.toml"
    with pytest.raises(TrapError):
        run(wat("trap"), learn=file)
    assert Policy.load(file).read == ()
    assert {one.name for one in tmp_path.iterdir()} == {"trap.toml"}


def test_limits_are_learnt_and_those_that_were_met_are_named() -> None:
    learner = Learner()
    greedy = """(module
      (memory (export "memory") 9)
      (func (export "_start") (drop (memory.grow (i32.const 7))) (drop (memory.grow (i32.const 2)))))"""
    run(greedy, learn=learner, max_memory="1MiB")
    assert re.search(r"^# The run reached limits: memory\.$", learner.text, re.MULTILINE)
    assert learner.policy.limits["memory"] == "2MiB"


ODD = ["/naïve", "/a b", '/"q"', "/back\\slash", "/tab\t", "/\x7f", "/\u2028", "/#x", "/😀/"]


def test_any_path_survives_the_file(tmp_path: Path) -> None:
    policy = Policy(read=ODD, write=ODD[::-1], env=["A'B"], sockets=["x"], limits={"sleep": 1.5, "memory": "1MiB"})
    file = tmp_path / "odd.toml"
    file.write_text(text_of(policy, ["a note\nof two lines"]), encoding="utf-8")
    loaded = Policy.load(file)
    assert loaded == policy
    assert dict(loaded.limits) == dict(policy.limits)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("reads = []", "it has reads: there are version, env, clocks, random, sockets, files, limits"),
        ("[file]\nread = []", "it has file; did you mean files?"),
        ("[files]\nreads = []", "it has files.reads; did you mean read?"),
        ('[files]\nread = "/"', "read of a policy is a list of texts, not '/'"),
        ("[files]\nread = [1]", "read of a policy has 1: give texts that are not empty"),
        ("files = []", "files is a table, [files], not []"),
        ('clocks = ["monotone"]', "clocks of a policy has 'monotone'; did you mean monotonic?"),
        ("random = 1", "random of a policy is true or false, not 1"),
        ("[limits]\nmemory = true", "the limit 'memory' cannot be True: give at least 0, or None for no limit"),
        ("[limits]\nmemery = 1", "limits of a policy has 'memery'; did you mean memory?"),
        ("version = 2", "version is 2, and this is version 1: it is for another wasihost"),
    ],
)
def test_mistakes_in_a_file_are_one_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        run(wat("exit"), policy=tmp_path / "p.toml")
    assert str(caught.value) == f"the policy {tmp_path / 'p.toml'}: {message}"


def test_files_that_are_no_policies(tmp_path: Path) -> None:
    (tmp_path / "broken").write_text("env = [\n")
    (tmp_path / "binary").write_bytes(b"\xff")
    for name, message in (
        ("none", "cannot be read: No such file or directory"),
        ("broken", "is not TOML: "),
        ("binary", "is not UTF-8, at byte 0"),
    ):
        with pytest.raises(ConfigError, match=f"the policy .*{name} {message}"):
            Policy.load(tmp_path / name)
    given: Any = 5
    for options in ({"policy": given}, {"learn": given}, {"learn": tmp_path / "no" / "x"}):
        with pytest.raises(ConfigError, match=r"^(policy|learn) cannot be "):
            run(wat("exit"), **options)
    with pytest.raises(ConfigError, match="leave out isolation"):
        run(wat("exit"), policy=Policy(), isolation="process")


# -- programs ----------------------------------------------------------------------------------------------------------

PROGRAM = """
import json, os, random, tempfile, time
with tempfile.TemporaryDirectory(dir="/box/tmp") as folder:
    path = os.path.join(folder, "draft")
    with open(path, "w") as file:
        json.dump({"at": time.time() > 0, "lucky": random.randrange(9) < 9}, file)
    os.rename(path, "/box/out.json")
print(sorted(os.listdir("/box")), os.environ["WHO"], open("/box/out.json").read())
for path in os.environ.get("MORE", "").split():
    try:
        print(open(path, "a" if path.endswith("+") else "r").read())
    except OSError as error:
        print(error.strerror)
"""


@pytest.fixture(autouse=True)
def shared_cache(compiled_apps: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WASIHOST_CACHE_DIR", str(compiled_apps))


def test_cpython_runs_under_what_it_taught(tmp_path: Path) -> None:
    box, file = tmp_path / "box", tmp_path / "python.toml"
    (box / "tmp").mkdir(parents=True)
    (box / "secret.txt").write_text("secret")

    def python(**options: Any) -> Any:
        env = {"WHO": "me", **options.pop("env", {})}
        return run(
            CPYTHON, args=["-c", PROGRAM], dirs={"/box": box}, env=env, text=True, capture_output=True, **options
        )

    taught = python(learn=file)
    assert (taught.returncode, taught.stderr) == (0, "")
    for _ in range(2):  # temporary folders have other names each time
        held = python(policy=file)
        assert (held.returncode, held.stdout, held.stderr) == (0, taught.stdout, "")
        assert held.stats.refusals == ()
    policy = Policy.load(file)
    assert policy.may_write("/box/out.json")
    assert policy.may_write("/box/tmp/any/draft")
    assert not policy.may_read("/box/secret.txt")
    assert (policy.random, policy.env, "realtime" in policy.clocks) == (True, ("WHO",), True)

    more = {"MORE": "/box/secret.txt /box/new+"}
    held = python(policy=Policy(read=policy.read, write=policy.write, clocks=policy.clocks, random=True,
                                env=["WHO", "MORE"]), env=more)  # fmt: skip
    assert held.stdout.splitlines()[-2:] == ["Permission denied"] * 2
    assert {(one.function, one.what) for one in held.stats.refusals} == {
        ("path_open", "/box/secret.txt"),
        ("path_open", "/box/new+"),
    }
    assert python(policy=file, env=more).stdout == taught.stdout  # it does not see the variable
    assert not (box / "new+").exists()


def test_graphviz_runs_under_what_it_taught(tmp_path: Path) -> None:
    file = tmp_path / "graphviz.toml"

    def draw(**options: Any) -> str:
        with wasihost.instantiate(GRAPHVIZ, **options) as graphviz:
            with graphviz.memory.allocated(bytes(4)) as (size, _):
                call = graphviz.exports
                made = call.graphviz_render("digraph { alpha -> beta }", "svg", "dot", size)
                length = int.from_bytes(graphviz.memory.read_bytes(size, 4), "little")
                drawing = graphviz.memory.read_bytes(made, length).decode()
            assert graphviz.stats.refusals == ()
        return drawing

    taught = draw(learn=file)
    assert draw(policy=file) == taught
    assert ">alpha</text>" in taught
    assert (Policy.load(file).write, Policy.load(file).random) == ((), False)
