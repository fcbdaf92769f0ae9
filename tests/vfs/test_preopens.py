"""Which preopened directory a libc chooses for a path: `/`, `.`, nested ones; and that none is the host's root."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import wasihost
from tests.support.guests import build_c
from wasihost import ModuleConfig
from wasihost.vfs import MemoryFS

HOST_ONLY = "/etc/passwd"
"""A file that every host of these tests has, and no guest of them."""

pytestmark = pytest.mark.skipif(not Path(HOST_ONLY).is_file(), reason=f"the host has no {HOST_ONLY}")


def lines(config: ModuleConfig, *args: str) -> dict[str, str]:
    """What the guest says of each path."""
    done = wasihost.run(build_c("files"), config, args=args, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout is not None
    said = dict(line.split(": ", 1) for line in done.stdout.decode().splitlines())
    assert list(said) == list(args[1:])
    return said


@pytest.mark.parametrize("guest_path", ["/", ".", "./", "//"])
def test_a_root_by_any_name(guest_path: str) -> None:
    config = ModuleConfig().with_mount(guest_path, MemoryFS({"f": b"here", "d/g": b"below"}))
    relative = lines(config, "read", "f", "./f", "d/g", "d/../f", ".//d/./g")
    assert list(relative.values()) == ["here", "here", "below", "here", "below"]
    if guest_path.startswith("/"):
        rooted = lines(config, "read", "/f", "//f", "/./f", "/d/../d/g", "/d//g")
        assert list(rooted.values()) == ["here", "here", "here", "below", "below"]
        assert lines(config, "read", "/../f")["/../f"] != "here"


def test_the_longest_name_wins_in_any_order() -> None:
    mounts = {
        "/": MemoryFS({"f": b"root", "data/f": b"hidden", "database/f": b"root's database"}),
        "/data": MemoryFS({"f": b"data", "in/f": b"hidden", "inner/f": b"data's inner"}),
        "/data/in": MemoryFS({"f": b"in"}),
    }
    expected = {"/f": "root", "f": "root", "/data/f": "data", "/data/in/f": "in", "/data/inner/f": "data's inner",
                "/database/f": "root's database", "data/in/f": "in", "/data/./f": "data"}  # fmt: skip
    for order in (["/", "/data", "/data/in"], ["/data/in", "/data", "/"], ["/data", "/", "/data/in"]):
        config = ModuleConfig()
        for path in order:
            config = config.with_mount(path, mounts[path])
        assert lines(config, "read", *expected) == expected


def test_paths_outside_all_mounts_do_not_exist() -> None:
    config = ModuleConfig().with_mount("/data", MemoryFS({"f": b"data"}))
    for path, said in lines(config, "read", "/f", "f", "/dat/f", "/data2/f", "/", "..").items():
        assert "data" not in said, path


def test_listing_through_a_libc() -> None:
    fs = MemoryFS({"d/b": b"", "d/a": b"", "d/sub/x": b""})
    config = ModuleConfig().with_mount("/", fs)
    done = wasihost.run(build_c("files"), config, args=["list", "/d", "d/sub", "/d/a"], capture_output=True)
    assert done.stdout == b"/d: . .. a b sub\nd/sub: . .. x\n/d/a: Not a directory\n"


# -- the host's root ---------------------------------------------------------------------------------------------------

ESCAPES = ["/etc/passwd", "etc/passwd", "../etc/passwd", "../" * 20 + "etc/passwd", "/../etc/passwd", "//etc/passwd",
           "./../../../etc/passwd", "/d/../../../../etc/passwd", "d/out/passwd", "/d/out/passwd", "/d/up/etc/passwd",
           "d/up/etc/passwd", "/d/file", "/proc/self/root/etc/passwd"]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with links to all that must not be reached."""
    folder = tmp_path / "X"
    (folder / "d").mkdir(parents=True)
    (folder / "d" / "out").symlink_to("/etc")
    (folder / "d" / "up").symlink_to("../" * 30)
    (folder / "d" / "file").symlink_to(HOST_ONLY)
    (folder / "f").write_text("inside")
    return folder


def by_api(mount: Callable[[ModuleConfig, Path], ModuleConfig]) -> Callable[[Path, list[str]], str]:
    def run(folder: Path, paths: list[str]) -> str:
        config = mount(ModuleConfig(), folder)
        done = wasihost.run(build_c("files"), config, args=["read", *paths], capture_output=True)
        assert done.stdout is not None
        return done.stdout.decode()

    return run


def by_command(option: str, guest_path: str) -> Callable[[Path, list[str]], str]:
    def run(folder: Path, paths: list[str]) -> str:
        command = [sys.executable, "-m", "wasihost", "run", option, f"{folder}::{guest_path}", str(build_c("files"))]
        done = subprocess.run([*command, "read", *paths], capture_output=True, text=True, check=True)
        return done.stdout

    return run


@pytest.mark.parametrize(
    "run",
    [
        by_api(lambda config, folder: config.with_host_directory_preopen("/", folder)),
        by_api(lambda config, folder: config.with_host_directory_preopen(".", folder)),
        by_api(lambda config, folder: config.with_read_only_fs("/", str(folder))),
        by_api(lambda config, folder: config.with_read_only_fs("/", folder)),
        by_command("--dir", "/"),
        by_command("--dir", "."),
        by_command("--ro-dir", "/"),
    ],
    ids=["host /", "host .", "read-only /", "read-only path", "--dir X::/", "--dir X::.", "--ro-dir X::/"],
)
def test_the_host_s_root_is_never_reached(run: Callable[[Path, list[str]], str], folder: Path) -> None:
    host = Path(HOST_ONLY).read_text().splitlines()[0]
    said = run(folder, [*ESCAPES, "f"]).splitlines()
    assert host not in "\n".join(said)
    assert [line.partition(": ")[0] for line in said] == [*ESCAPES, "f"]
    assert said[-1] == "f: inside"


def test_a_host_file_would_be_seen_if_it_were_mounted() -> None:
    config = ModuleConfig().with_read_only_fs("/", "/")
    done = wasihost.run(build_c("files"), config, args=["read", HOST_ONLY], capture_output=True)
    assert done.stdout is not None
    assert Path(HOST_ONLY).read_text().splitlines()[0] in done.stdout.decode()


def test_nor_by_links_of_a_virtual_tree() -> None:
    fs = MemoryFS({"f": b"inside", "d/x": b""})
    fs.symlink("../" * 30, "d/up")
    host = Path(HOST_ONLY).read_text().splitlines()[0]
    for path, said in lines(ModuleConfig().with_mount("/", fs), "read", *ESCAPES).items():
        assert host not in said, path
