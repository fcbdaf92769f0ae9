"""File systems that are mounted below a mount: those of the kernel are refused by default, others by option."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from wasi_preview1.errors import WasiError
from wasi_preview1.types import Errno, Fdflags, Fstflags, Oflags, Rights

from tests.sandbox.trees import STRATEGIES
from tests.support.raw import Raw
from wasihost import ConfigError, ModuleConfig, State
from wasihost.descriptors.host_directory import HostDirectory, open_host_directory
from wasihost.sandbox import bounds

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what a file system is")
ROOT = Path(__file__).parents[2]
READ = int(Rights.FD_READ)
BOTH = READ | int(Rights.FD_WRITE)
NOW = Fstflags.MTIM_NOW


def outcome(work: Callable[[], object]) -> str:
    try:
        work()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    except WasiError as error:
        return f"E{error.errno.name}"
    return "done"


def opened(directory: HostDirectory, path: str, rights: int = READ, oflags: int = 0, *, follow: bool = True) -> object:
    held: list[int] = []
    try:
        return directory.open(path, follow, Oflags(oflags), rights, Fdflags(0), held)
    finally:
        list(map(os.close, held))


def operations(root: HostDirectory, path: str) -> dict[str, Callable[[], object]]:
    """Every operation on a path, with a plain file of the root as the other end."""
    return {
        "open": lambda: opened(root, path),
        "open to write": lambda: opened(root, path, BOTH),
        "open to cut": lambda: opened(root, path, BOTH, int(Oflags.TRUNC)),
        "open to make": lambda: opened(root, path, BOTH, int(Oflags.CREAT)),
        "open a directory": lambda: opened(root, path, READ, int(Oflags.DIRECTORY)),
        "open unfollowed": lambda: opened(root, path, follow=False),
        "stat": lambda: root.stat_path(path, True),
        "stat unfollowed": lambda: root.stat_path(path, False),
        "times": lambda: root.set_times_path(path, True, 0, 0, NOW),
        "times unfollowed": lambda: root.set_times_path(path, False, 0, 0, NOW),
        "mkdir": lambda: root.create_directory(path),
        "rmdir": lambda: root.remove_directory(path),
        "unlink": lambda: root.unlink(path),
        "rename from": lambda: root.rename(path, root, "nowhere/at/all"),
        "link from": lambda: root.link(path, True, root, "nowhere/at/all"),
        "link from, unfollowed": lambda: root.link(path, False, root, "nowhere/at/all"),
        "symlink": lambda: root.symlink("x", path),
        "readlink": lambda: root.readlink(path),
    }


PROC = [
    "proc/self/mem", "proc/self/environ", "proc/self/exe", "proc/self/cwd/x", "proc/self/fd/0", "proc/self/nothing",
    "proc/nothing", "proc/self", "proc/../proc/self/maps", "./proc/self/root/etc", "proc/self/../self/maps",
    "proc/999999999/../../etc", f"proc/{os.getpid()}/../../etc", "proc//self//task/", "proc/self/map_files/x",
]  # fmt: skip


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("crossing", [False, True])
@pytest.mark.usefixtures("strategy")
def test_procfs_answers_nothing(read_only: bool, crossing: bool) -> None:
    """Whatever is asked, of what is there and what is not, before and after a guest came to another file system."""
    root = open_host_directory("/", "/", read_only)
    try:
        if crossing:
            opened(root, "dev/shm/.")
        for path in PROC:
            seen = {name: outcome(work) for name, work in operations(root, path).items()}
            if path.endswith("/") and not read_only:
                seen.pop("open to make")  # EISDIR, whatever is there
            assert set(seen.values()) <= {"EACCES"}, (path, seen)
        for path in ("proc", "proc/", "proc/.", "./proc"):
            assert outcome(lambda path=path: opened(root, path)) == "EACCES"  # type: ignore[misc]
            assert outcome(lambda path=path: root.stat_path(path, True)) == "EACCES"  # type: ignore[misc]
    finally:
        root.close()


@pytest.mark.usefixtures("strategy")
def test_other_file_systems_are_reached() -> None:
    root = open_host_directory("/", "/", True)
    try:
        for path in ("etc/passwd", "dev/shm", "dev/shm/", "dev/null", "./dev/../etc/passwd", "etc"):
            assert outcome(lambda path=path: opened(root, path)) == "done"  # type: ignore[misc]
            assert outcome(lambda path=path: root.stat_path(path, True)) == "done"  # type: ignore[misc]
        assert outcome(lambda: opened(root, "proc/self/maps")) == "EACCES"
        assert outcome(lambda: opened(root, "../etc/passwd")) == "EPERM"
        assert outcome(lambda: opened(root, "dev/../../etc")) == "EPERM"
        assert outcome(lambda: opened(root, "dev/shm/nothing")) == "ENOENT"
    finally:
        root.close()


@pytest.mark.usefixtures("strategy")
def test_a_link_on_the_way_is_not_a_way_round(tmp_path: Path) -> None:
    here = "../" * (len(tmp_path.parts) - 1)
    (tmp_path / "link").symlink_to(f"{here}proc/self/maps")
    (tmp_path / "through").symlink_to(f"{here}proc/1/../../etc/passwd")
    root = open_host_directory("/", "/", False)
    inside = str(tmp_path)[1:]
    try:
        for name in ("link", "through"):
            assert outcome(lambda name=name: opened(root, f"{inside}/{name}")) in ("EACCES", "done")  # type: ignore[misc]
        assert outcome(lambda: opened(root, f"{inside}/link")) == "EACCES"
        directory = root.open(inside, True, Oflags(0), READ, Fdflags(0), [])
        assert isinstance(directory, HostDirectory)
        assert outcome(lambda: opened(directory, "link")) == "EPERM"
        directory.close()
    finally:
        root.close()


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.usefixtures("strategy")
def test_kernel_files_are_open_with_the_option(read_only: bool) -> None:
    root = open_host_directory("/", "/", read_only, kernel_files=True)
    proc = open_host_directory("/proc", "/", read_only, kernel_files=True)
    try:
        for directory, path in ((root, "proc/self/maps"), (root, "proc"), (proc, "self/maps"), (proc, "self")):
            assert outcome(lambda d=directory, p=path: opened(d, p)) == "done"  # type: ignore[misc]
            assert outcome(lambda d=directory, p=path: d.stat_path(p, True)) == "done"  # type: ignore[misc]
        assert outcome(lambda: opened(root, "proc/self/cwd/x")) == "EPERM"  # a magic link leads out
    finally:
        root.close()
        proc.close()


@pytest.mark.parametrize("place", ["/proc", "/proc/self", "/proc/self/fd", "/sys", "/dev/pts"])
def test_none_is_mounted_unasked(place: str) -> None:
    if not (os.path.isdir(place) and os.listdir(place)):  # in a chroot there may be a folder with nothing mounted on it
        pytest.skip(f"no {place} here")
    with pytest.raises(ConfigError, match=r"cannot mount '/.*kernel_files=True, --kernel-files$"):
        State(config=ModuleConfig().with_read_only_fs("/", place))
    State(config=ModuleConfig().with_read_only_fs("/", place, kernel_files=True)).close()


@pytest.mark.usefixtures("strategy")
def test_devices_that_hold_something_are_for_nobody() -> None:
    root = open_host_directory("/dev", "/", False)
    asked = open_host_directory("/dev", "/", False, kernel_files=True)
    try:
        for name in ("null", "zero", "full", "urandom"):
            assert outcome(lambda name=name: opened(root, name)) == "done"  # type: ignore[misc]
        for name in ("mem", "port", "kmsg", "ptmx", "console", "vda", "loop0"):
            assert outcome(lambda name=name: opened(root, name)) != "done"  # type: ignore[misc]
        if os.path.exists("/dev/pts/ptmx"):  # terminals can be made here
            assert outcome(lambda: opened(root, "ptmx")) == "EACCES"
            assert outcome(lambda: opened(root, "pts/ptmx")) == "EACCES"
            assert outcome(lambda: opened(asked, "ptmx")) == "done"
    finally:
        root.close()
        asked.close()


@pytest.mark.usefixtures("strategy")
def test_one_file_system_hides_other_mounts() -> None:
    root = open_host_directory("/", "/", False, one_file_system=True)
    try:
        for path in ("proc", "proc/self/maps", "dev/shm", "dev/shm/nothing", "./proc/../etc/passwd", "dev/null"):
            seen = {name: outcome(work) for name, work in operations(root, path).items() if name not in AT_THE_NAME}
            assert set(seen.values()) <= {"EXDEV", "EISDIR"}, (path, seen)
            assert seen["open"] == seen["stat"] == seen["times"] == "EXDEV"
        assert outcome(lambda: opened(root, "etc/passwd")) == "done"
        assert outcome(lambda: root.stat_path("etc", True)) == "done"
        assert outcome(lambda: opened(root, "etc/nothing")) == "ENOENT"
        assert outcome(lambda: opened(root, "../etc")) == "EPERM"
        assert outcome(lambda: root.stat_path("etc/../..", True)) == "EPERM"
    finally:
        root.close()


AT_THE_NAME = ("mkdir", "rmdir", "unlink", "rename from", "link from", "link from, unfollowed", "symlink", "readlink")
"""Operations on the name in its parent directory: the kernel refuses them for a mount point."""

BIND = """
import os, sys
from tests.sandbox.test_bounds import opened, outcome
from tests.sandbox.trees import STRATEGIES
from tests.support.raw import Raw
from wasihost import ConfigError, ModuleConfig, State
from wasihost.descriptors.host_directory import open_host_directory
from wasihost.sandbox import resolve
os.chdir(sys.argv[1])
os.mkdir("top/inner/new")
for name, strategy in STRATEGIES.items():
    with resolve.using(strategy):
        root = open_host_directory("top", "/", False, one_file_system=True)
        for path in ("inner", "inner/f", "./inner/f", "inner/../g"):
            print(name, path, outcome(lambda: opened(root, path)), outcome(lambda: root.stat_path(path, True)))
        print(name, "times", outcome(lambda: root.set_times_path("inner", False, 0, 0, 8)))
        print(name, "g", outcome(lambda: opened(root, "g")))
        free = open_host_directory("top", "/", False)
        print(name, "free", outcome(lambda: opened(free, "inner/f")), outcome(lambda: opened(free, "inner/../g")))
for ro, rw in (("source", "top"), ("source/deep", "top"), ("top/inner/deep", "source"), ("source", "other"),
               ("source", "top/inner/deep")):
    config = ModuleConfig().with_host_directory_preopen("/rw", rw).with_read_only_fs("/ro", ro)
    try:
        State(config=config).close()
        print(ro, rw, "taken")
    except ConfigError:
        print(ro, rw, "refused")
"""


def test_bind_mounts_are_mounts(tmp_path: Path) -> None:
    """They have the same device number, and a folder has two ways to it that no name tells of."""
    for name in ("top/inner", "source/deep", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "source" / "f").write_text("")
    (tmp_path / "top" / "g").write_text("")
    mounting = 'mount --bind "$1/source" "$1/top/inner" && shift 1 && exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mounting, "sh", str(tmp_path)]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    python = [sys.executable, "-c", BIND, str(tmp_path)]
    done = subprocess.run([*command, *python], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    expected = []
    for name in STRATEGIES:
        expected += [f"{name} {path} EXDEV EXDEV" for path in ("inner", "inner/f", "./inner/f", "inner/../g")]
        expected += [f"{name} times EXDEV", f"{name} g done", f"{name} free done done"]
    expected += ["source top refused", "source/deep top refused", "top/inner/deep source refused", "source other taken",
                 "source top/inner/deep taken"]  # fmt: skip
    assert done.stdout.splitlines() == expected, done.stderr


def test_no_number_of_a_mount_is_not_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Before Linux 5.8, and under filters, only the device is compared."""
    monkeypatch.setattr(bounds, "_statx", None)
    (tmp_path / "f").write_text("")
    directory = open_host_directory(str(tmp_path), "/", False, one_file_system=True)
    try:
        assert outcome(lambda: opened(directory, "f")) == "done"
    finally:
        directory.close()


def test_the_guest_is_told_by_an_errno() -> None:
    with Raw(ModuleConfig().with_read_only_fs("/", "/")) as raw:
        for path in ("proc/self/mem", "proc"):
            assert raw.call("path_open", 3, 1, *raw.text(path), 0, READ, 0, 0, raw.new(4)) == Errno.ACCES
    with Raw(ModuleConfig().with_read_only_fs("/", "/", one_file_system=True)) as raw:
        assert raw.call("path_open", 3, 1, *raw.text("proc"), 0, READ, 0, 0, raw.new(4)) == Errno.XDEV
