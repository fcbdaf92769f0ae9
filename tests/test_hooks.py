"""Hooks: what they see of a call, and what they can make of it, by raw calls and in runs of guests."""

from __future__ import annotations

import errno
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from wasi_preview1 import Errno, Filetype, Rights, WasiError, calls
from wasi_preview1.guest import copied

import wasihost
from tests.support.guests import build_c, wat
from tests.support.raw import Raw
from wasihost import ConfigError, MemoryFS, ModuleConfig, hook, run
from wasihost.hooks import Proceed

READ_ONLY = int(Rights.FD_READ)


def tree() -> ModuleConfig:
    return ModuleConfig().with_mount("/data", MemoryFS({"a.txt": b"abc", "b.txt": b"bcd", "d/x": b"x"}))


def test_a_hook_sees_decoded_calls_in_order_and_their_results() -> None:
    seen: list[Any] = []

    def look(call: calls.Call, proceed: Proceed) -> Any:
        result = proceed()
        seen.append((call.kept(), call.function, call.module, result))
        return result

    with Raw(tree(), hooks=[look]) as raw:
        fd = raw.open("a.txt", rights=READ_ONLY)
        assert raw.read(fd, 8) == b"abc"
    (opened, *_), (read, *names) = seen
    assert isinstance(opened, calls.PathOpen)
    assert (opened.fd, opened.path, opened.fs_rights_base) == (3, "a.txt", Rights.FD_READ)
    assert isinstance(read, calls.FdRead)
    assert tuple(read) == (fd, [b"abc?????"])
    assert names == ["fd_read", "wasi_snapshot_preview1", 3]


def test_what_a_hook_does_is_what_the_guest_gets() -> None:
    def decide(call: calls.Call, proceed: Proceed) -> Any:
        match call:
            case calls.PathOpen(path="a.txt"):
                return proceed(call._replace(path="b.txt"))
            case calls.PathOpen(path="gone"):
                raise WasiError(Errno.ACCES)
            case calls.PathOpen(path="disk"):
                raise OSError(errno.ENOSPC, "full")
            case calls.RandomGet(buf=buf):
                buf[:] = b"4" * len(buf)
                return None
            case calls.FdTell():
                return 77
        return proceed()

    with Raw(tree(), hooks=[decide]) as raw:
        assert raw.read(raw.open("a.txt", rights=READ_ONLY), 8) == b"bcd"
        result = raw.new(8)
        for path, error in (("gone", Errno.ACCES), ("disk", Errno.NOSPC), ("none", Errno.NOENT)):
            assert raw.call("path_open", 3, 0, *raw.text(path), 0, READ_ONLY, 0, 0, result) == error
        raw.expect("random_get", 16, 3, writes={16: b"444"})
        raw.expect("fd_tell", 99, result, writes={result: (77).to_bytes(8, "little")})


def test_hooks_compose_the_first_outermost_and_proceed_any_number_of_times() -> None:
    order: list[str] = []

    def named(name: str) -> Any:
        def hook(call: Any, proceed: Proceed) -> Any:
            order.append(f"{name} {call.path}")
            try:
                return proceed(call._replace(path=call.path + name))
            except WasiError as error:
                order.append(f"{name} {error.errno.name}")
                return proceed(call._replace(path="a.txt"))

        return hook

    config = tree().with_hooks(hook(named("1"), on="path_open"))
    with Raw(config, hooks=[hook(named("2"), on=("path_open", "path_*"))]) as raw:
        raw.open("x")
    assert order == ["1 x", "2 x1", "2 NOENT"]


def test_only_functions_that_a_hook_wants_change() -> None:
    counts: Counter[str] = Counter()

    @hook(on="fd_*stat*")
    def count(call: calls.Call, proceed: Proceed) -> Any:
        counts[call.function] += 1
        return proceed()

    with Raw(hooks=[count]) as raw:
        raw.fdstat(1)
        raw.filestat("fd_filestat_get", 1)
        raw.write(1, b"x")
        assert raw.state._functions.fd_write == raw.state.handlers.fd_write
    assert counts == {"fd_fdstat_get": 1, "fd_filestat_get": 1}
    with pytest.raises(ConfigError, match=r"no function is called 'fd_wirte', .*; did you mean fd_write"):
        wasihost.State(hooks=[hook(count, on="fd_wirte")])


def test_patterns_exclude_functions_too() -> None:
    with Raw(hooks=[hook(proceeding, on=("fd_*", "!fd_read", "!fd_p*"))]) as raw:
        hooked = raw.state._hooked
    assert "fd_write" in hooked
    assert not hooked & {"fd_read", "fd_pread", "fd_prestat_get", "path_open"}
    with Raw(hooks=[hook(proceeding, on="!fd_*")]) as raw:
        assert "path_open" in raw.state._hooked


class Names:
    """A hook that asks its host."""

    on = ("fd_read", "fd_close")

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def open(self, host: Any) -> None:
        self.host = host
        self.seen.append("open")

    def close(self) -> None:
        self.seen.append("close")

    def __call__(self, call: Any, proceed: Proceed) -> Any:
        self.seen.append((call.function, *self.host.describe(call.fd)))
        return proceed()


def test_a_hook_learns_what_descriptors_are() -> None:
    names = Names()
    with Raw(tree(), hooks=[names]) as raw:
        folder = raw.open("./d", rights=READ_ONLY, oflags=2)
        fd = raw.open("x", fd=folder, rights=READ_ONLY)
        raw.read(fd, 1)
        raw.expect("fd_renumber", fd, folder)
        raw.read(folder, 1)
        raw.expect("fd_close", folder)
        raw.read(0, 1)
        describe = raw.state.handlers.describe
        assert describe(3) == (Filetype.DIRECTORY, "/data", "/data")
        with pytest.raises(WasiError):
            describe(folder)
    file = (Filetype.REGULAR_FILE, "/data/d/x", "/data")
    assert names.seen[:4] == ["open", ("fd_read", *file), ("fd_read", *file), ("fd_close", *file)]
    assert names.seen[4][2:] == ("stdin", None)
    assert names.seen[5:] == ["close"]
    with Raw(tree()) as raw:
        assert raw.state.handlers.describe(3).path == "/data"


def test_names_are_kept_also_where_c_would_open_the_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"abc")
    names = Names()
    run(build_c("tool"), args=["show", "/in/a.txt"], dirs={"/in": tmp_path}, hooks=[names])
    seen = {(one[0], one[2], one[3]) for one in names.seen[1:-1]}
    assert seen == {("fd_read", "/in/a.txt", "/in")}


def test_every_hook_is_closed_once_also_if_a_later_one_cannot_be_opened() -> None:
    names = Names()

    class Broken(Names):
        def open(self, host: Any) -> None:
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        wasihost.State(hooks=[names, Broken()])
    assert names.seen == ["open", "close"]


def test_a_record_keeps_bytes_and_not_pointers() -> None:
    kept: list[Any] = []

    def keep(call: Any, proceed: Proceed) -> Any:
        kept.append((call, call.kept()))
        return proceed()

    with Raw(ModuleConfig().with_args("a"), hooks=[keep]) as raw:
        raw.expect("args_get", 16, 32, writes={16: (32).to_bytes(4, "little"), 32: b"a\0"})
        raw.write(1, b"one", b"two")
        (call, same), (write, content) = kept
        assert call == same
        assert content.iovs == [b"one", b"two"] == write.iovs
        raw.memory[:] = bytes(len(raw.memory))
        assert content.iovs == [b"one", b"two"] != write.iovs
    assert repr(copied([(memoryview(b"a"), 1)])) == "[(b'a', 1)]"


def test_calls_of_the_older_spec_are_seen_as_preview1_has_them() -> None:
    seen: set[type] = set()

    def look(call: calls.Call, proceed: Proceed) -> Any:
        seen.update(map(type, call))
        match call:
            case calls.PathOpen():
                assert all(type(one).__module__ != "wasi_preview0.types" for one in call)
        return proceed()

    counted = run(wat("unstable"), fs=MemoryFS(), hooks=[look], stats=True)
    assert counted.returncode == 0
    assert counted.stats.calls["fd_seek"] == 3
    assert {one.__module__ for one in seen if one.__module__.startswith("wasi_preview0")} <= {"wasi_preview0.guest"}
    assert Rights in seen


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (3, "a hook cannot be 3: give a function"),
        (Names, r"cannot be a class: give an object, Names\(...\)"),
        (lambda call: call, r"takes \(call\), and is called with \(call, proceed\)"),
    ],
)
def test_what_is_not_a_hook_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ModuleConfig().with_hooks(wrong)
    with pytest.raises(ConfigError, match=message):
        run(wat("empty"), hooks=[wrong])


async def asynchronous(_call: Any, proceed: Proceed) -> Any:
    return proceed()


def proceeding(_call: Any, proceed: Proceed) -> Any:
    return proceed()


def forgetful(_call: Any, proceed: Proceed) -> None:
    proceed()


def wrong(_call: Any, proceed: Proceed) -> Any:
    return proceed(calls.FdClose(3))


def test_other_mistakes_say_what_to_do() -> None:
    class Later:
        async def __call__(self, _call: Any, proceed: Proceed) -> Any:
            return proceed()

        def short(self, call: Any) -> Any:
            return call

    for wrong_kind in (asynchronous, Later()):
        with pytest.raises(ConfigError, match="is asynchronous or a generator"):
            ModuleConfig().with_hooks(wrong_kind)
    with pytest.raises(ConfigError, match=r"takes \(self, call\), and is called with \(self, call, proceed\)"):
        ModuleConfig().with_hooks(Later().short)  # type: ignore[arg-type]  # the mistake
    with pytest.raises(ConfigError, match="cannot be limited to"):
        hook(proceeding, on=())
    with Raw(hooks=[forgetful]) as raw, pytest.raises(TypeError, match="hook forgetful returned None for fd_read"):
        raw.read(0, 1)
    with Raw(hooks=[wrong]) as raw, pytest.raises(TypeError, match="takes a FdSync here, not FdClose"):
        raw.call("fd_sync", 0)
    with pytest.raises(ConfigError, match="hooks run in this process"):
        run(wat("empty"), hooks=[Names()], isolation="process")
