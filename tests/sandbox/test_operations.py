"""Tables of the operations that act on a name, under both strategies: what is there afterwards, or the errno."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sandbox.trees import Tree, outcome, picture
from wasihost.sandbox import operations, resolve, times
from wasihost.sandbox.bounds import ANYWHERE

pytestmark = pytest.mark.usefixtures("strategy")

# Paths that every operation refuses alike, before it looks at anything else.
ALIKE = [
    ("", "ENOENT"),
    ("/", "EPERM"),
    ("/x", "EPERM"),
    ("/x/", "EPERM"),
    ("..", "EPERM"),
    ("../", "EPERM"),
    ("../x", "EPERM"),
    ("../outside/secret", "EPERM"),
    ("../outside/folder/", "EPERM"),
    ("../base/file", "EPERM"),
    ("dir/../../outside/x", "EPERM"),
    ("evil/secret", "EPERM"),
    ("evil/new", "EPERM"),
    ("evil/folder/", "EPERM"),
    ("evil/.", "EPERM"),
    ("evil/..", "EPERM"),
    ("evil_slash/secret", "EPERM"),
    ("rooted_dir/secret", "EPERM"),
    ("rooted_dir/new", "EPERM"),
    ("dir/sub/over/outside/secret", "EPERM"),
    ("loop/x", "ELOOP"),
    ("missing/x", "ENOENT"),
    ("dangling/x", "ENOENT"),
    ("file/x", "ENOTDIR"),
    ("link/x", "ENOTDIR"),
    ("file/.", "ENOTDIR"),
    ("missing/..", "ENOENT"),
    ("a\0b", "EINVAL"),
    ("dir/a\0b", "EINVAL"),
    ("a\0b/x", "EINVAL"),
    ("\ud800", "EILSEQ"),
    ("dir/\ud800", "EILSEQ"),
    ("n" * 256, "ENAMETOOLONG"),
    ("dir/" + "n" * 256, "ENAMETOOLONG"),
]
OPERATIONS: dict[str, Callable[[int, str], object]] = {
    "mkdir": lambda fd, path: operations.mkdir_beneath(fd, path, 0o777),
    "rmdir": operations.rmdir_beneath,
    "unlink": operations.unlink_beneath,
    "rename_from": lambda fd, path: operations.rename_beneath(fd, path, fd, "fresh"),
    "rename_to": lambda fd, path: operations.rename_beneath(fd, "file", fd, path),
    "readlink": operations.readlink_beneath,
    "symlink": lambda fd, path: operations.symlink_beneath("x", fd, path),
    "link_from": lambda fd, path: operations.link_beneath(fd, path, True, fd, "fresh"),
    "link_from_nofollow": lambda fd, path: operations.link_beneath(fd, path, False, fd, "fresh"),
    "link_to": lambda fd, path: operations.link_beneath(fd, "file", False, fd, path),
    "stat": lambda fd, path: resolve.stat_beneath(fd, path, True),
    "stat_nofollow": lambda fd, path: resolve.stat_beneath(fd, path, False),
    "utime": lambda fd, path: operations.utime_beneath(fd, path, True, (1, 1)),
    "utime_nofollow": lambda fd, path: operations.utime_beneath(fd, path, False, (1, 1)),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_alike(tree: Tree, operation: str) -> None:
    before = picture(tree.base.parent)
    for path, expected in ALIKE:
        assert outcome(OPERATIONS[operation], tree.fd, path) == expected, path
        assert picture(tree.base.parent) == before, path


@pytest.mark.parametrize("operation", OPERATIONS)
def test_links_out_as_last_component(tree: Tree, operation: str) -> None:
    """What acts on the link itself may do so; nothing may reach what it names."""
    for path in ("evil", "evil/", "dir/out", "rooted", "rooted_dir", "rooted_dir/", "parent", "parent/", "root/"):
        before = picture(tree.outside)
        outcome(OPERATIONS[operation], tree.fd, path)
        assert picture(tree.outside) == before, path
        assert sorted(os.listdir(tree.base.parent)) == ["base", "outside"]


@pytest.mark.parametrize(
    ("path", "made"),
    [("new", "new"), ("new/", "new"), ("new///", "new"), ("dir/new", "dir/new"), ("dir/new/", "dir/new"),
     ("dirlink/new", "dir/new"), ("sublink/../new", "dir/new"), ("./new", "new"), ("dir/../new/", "new")],
)  # fmt: skip
def test_mkdir(tree: Tree, path: str, made: str) -> None:
    operations.mkdir_beneath(tree.fd, path, 0o700)
    assert (tree.base / made).is_dir()


@pytest.mark.parametrize(
    "path",
    ["file", "file/", "dir", "dir/", "dir/.", "dir/..", ".", "link", "dirlink", "dirlink/", "dangling", "dangling/",
     "evil", "evil/", "loop"],
)  # fmt: skip
def test_mkdir_on_something(tree: Tree, path: str) -> None:
    assert outcome(operations.mkdir_beneath, tree.fd, path, 0o700) == "EEXIST"


@pytest.mark.parametrize(
    ("path", "expected"),
    [("empty", None), ("empty/", None), ("empty///", None), ("./empty", None), ("dir/../empty/", None),
     ("dir", "ENOTEMPTY"), ("dir/", "ENOTEMPTY"), ("file", "ENOTDIR"), ("file/", "ENOTDIR"), ("link", "ENOTDIR"),
     ("dirlink", "ENOTDIR"), ("dirlink/", "ENOTDIR"), ("evil/", "ENOTDIR"), ("missing", "ENOENT"),
     ("missing/", "ENOENT"), ("dangling/", "ENOTDIR"), (".", "EINVAL"), ("./", "EINVAL"), ("empty/.", "EINVAL"),
     ("empty/./", "EINVAL"), ("empty/..", "ENOTEMPTY"), ("dir/sub/../", "ENOTEMPTY"), ("dirlink/.", "EINVAL"),
     ("n..", "ENOENT")],
)  # fmt: skip
def test_rmdir(tree: Tree, path: str, expected: str | None) -> None:
    assert outcome(operations.rmdir_beneath, tree.fd, path) == expected
    assert (tree.base / "empty").exists() == (expected is not None)


@pytest.mark.parametrize(
    ("path", "expected"),
    [("file", None), ("dir/inner", None), ("dirlink/inner", None), ("link", None), ("dangling", None), ("loop", None),
     ("evil", None), ("rooted", None), ("dir", "EISDIR"), ("dir/", "EISDIR"), ("dir/sub", "EISDIR"),
     ("file/", "ENOTDIR"), ("link/", "ENOTDIR"), ("dirlink/", "ENOTDIR"), ("evil/", "ENOTDIR"),
     ("missing", "ENOENT"), ("missing/", "ENOENT"),
     (".", "EISDIR"), ("dir/.", "EISDIR"), ("dir/..", "EISDIR"), ("dirlink", None)],
)  # fmt: skip
def test_unlink(tree: Tree, path: str, expected: str | None) -> None:
    assert outcome(operations.unlink_beneath, tree.fd, path) == expected
    assert os.path.lexists(tree.base / path.rstrip("/")) == (expected not in (None, "ENOENT"))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [("file", "new", None), ("file", "dir/new", None), ("dir/inner", "new", None), ("dirlink/inner", "dir/sub/x", None),
     ("file", "dir/inner", None), ("dir", "new", None), ("dir/", "new", None), ("dir", "new/", None),
     ("dir//", "new//", None), ("dir", "empty", None), ("dir/", "empty/", None), ("link", "new", None),
     ("dangling", "new", None), ("evil", "new", None), ("file", "file", None), ("file", "link", None),
     ("file", "evil", None), ("file/", "new", "ENOTDIR"), ("file", "new/", "ENOTDIR"), ("file", "file/", "ENOTDIR"),
     ("file", "dir", "EISDIR"), ("file", "dir/", "ENOTDIR"), ("dir", "file", "ENOTDIR"), ("dir", "file/", "ENOTDIR"),
     ("dirlink/", "new", "ENOTDIR"), ("evil/", "new", "ENOTDIR"), ("dir", "dirlink/", "ENOTDIR"),
     ("dir", "evil/", "ENOTDIR"), ("file", "evil/", "ENOTDIR"), ("empty", "dir", "ENOTEMPTY"),
     ("dir", "dir/sub/new", "EINVAL"), ("missing", "new", "ENOENT"), ("missing/", "new", "ENOENT"),
     ("missing", "new/", "ENOENT"), (".", "new", "EINVAL"), ("dir/.", "new", "EINVAL"), ("dir/..", "new", "EINVAL"),
     ("file", ".", "EINVAL"), ("file", "dir/.", "EINVAL"), ("file", "dir/..", "EINVAL")],
)  # fmt: skip
def test_rename(tree: Tree, old: str, new: str, expected: str | None) -> None:
    source = os.path.join(
        os.path.realpath(tree.base / os.path.dirname(old.rstrip("/"))), os.path.basename(old.rstrip("/"))
    )
    moved = os.lstat(source).st_ino if os.path.lexists(source) else None
    outside = picture(tree.outside)
    assert outcome(operations.rename_beneath, tree.fd, old, tree.fd, new) == expected
    if expected is None:
        assert os.lstat(tree.base / new.rstrip("/")).st_ino == moved
    elif moved is not None:
        assert os.lstat(source).st_ino == moved
    assert picture(tree.outside) == outside


def test_rename_between_directories(tree: Tree) -> None:
    fd = resolve.open_beneath(tree.fd, "dir/sub", resolve.DIRECTORY, 0, True)
    try:
        operations.rename_beneath(fd, "deep", tree.fd, "empty/deep")
        assert (tree.base / "empty" / "deep").read_text() == "deep"
        assert outcome(operations.rename_beneath, fd, "../inner", tree.fd, "x") == "EPERM"
        assert outcome(operations.rename_beneath, tree.fd, "file", fd, "../x") == "EPERM"
        assert outcome(operations.link_beneath, tree.fd, "file", False, fd, "top/x") == "EPERM"
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("path", "expected"),
    [("link", "file"), ("dir/up", "../file"), ("dirlink/up", "../file"), ("dangling", "missing"), ("loop", "loop"),
     ("evil", "../outside"), ("dirlink_slash", "dir/"), ("rooted", "EPERM"), ("root", "EPERM"),
     ("rooted_inside", "EPERM"), ("file", "EINVAL"), ("dir", "EINVAL"), ("dir/", "EINVAL"), ("dirlink/", "EINVAL"),
     ("sublink/top/", "EINVAL"), (".", "EINVAL"), ("dir/.", "EINVAL"), ("file/", "ENOTDIR"), ("link/", "ENOTDIR"),
     ("evil/", "EPERM"), ("rooted_dir/", "EPERM"), ("missing", "ENOENT"), ("missing/", "ENOENT"),
     ("dangling/", "ENOENT"), ("loop/", "ELOOP")],
)  # fmt: skip
def test_readlink(tree: Tree, path: str, expected: str) -> None:
    assert outcome(operations.readlink_beneath, tree.fd, path) == expected


@pytest.mark.parametrize(
    ("target", "path", "expected"),
    [("file", "new", None), ("../file", "dir/new", None), ("missing/", "new", None), ("../..", "dirlink/new", None),
     ("x" * 4095, "new", "ENAMETOOLONG"), ("", "new", "ENOENT"), ("/", "new", "EPERM"), ("/etc", "new", "EPERM"),
     ("//x", "dir/new", "EPERM"), ("a\0b", "new", "EINVAL"), ("\ud800", "new", "EILSEQ"), ("x", "new/", "ENOENT"),
     ("x", "dir/new/", "ENOENT"), ("x", "dir/", "EEXIST"), ("x", "dir", "EEXIST"), ("x", "dirlink/", "EEXIST"),
     ("x", "file/", "ENOTDIR"), ("x", "file", "EEXIST"), ("x", "link/", "ENOTDIR"), ("x", "link", "EEXIST"),
     ("x", "dangling", "EEXIST"), ("x", "dangling/", "ENOENT"), ("x", "evil", "EEXIST"), ("x", "evil/", "EPERM"),
     ("x", ".", "EEXIST"), ("x", "dir/.", "EEXIST"), ("x", "dir/..", "EEXIST"), ("x", "sublink/top/", "EEXIST")],
)  # fmt: skip
def test_symlink(tree: Tree, target: str, path: str, expected: str | None) -> None:
    if len(target) == 4095:  # the longest content is a matter of the file system: ext4 and tmpfs leave room for a NUL
        assert outcome(operations.symlink_beneath, target, tree.fd, path) in (None, expected)
        return
    assert outcome(operations.symlink_beneath, target, tree.fd, path) == expected
    if expected is None:
        assert os.readlink(tree.base / path) == target


@pytest.mark.parametrize(
    ("old", "follow", "new", "expected"),
    [("file", False, "new", "file"), ("file", True, "new", "file"), ("dir/inner", False, "dir/sub/new", "dir/inner"),
     ("link", False, "new", "link"), ("link", True, "new", "file"), ("chain", True, "new", "file"),
     ("dir/up", True, "dirlink/new", "file"), ("dirlink/up", False, "new", "dir/up"), ("hop39", True, "new", "file"),
     ("hop40", True, "new", "ELOOP"), ("dangling", False, "new", "dangling"), ("evil", False, "new", "evil"),
     ("rooted", False, "new", "rooted"), ("loop", False, "new", "loop"),
     ("dangling", True, "new", "ENOENT"), ("evil", True, "new", "EPERM"), ("dir/out", True, "new", "EPERM"),
     ("rooted", True, "new", "EPERM"),
     ("dir/rooted", True, "new", "EPERM"), ("out_and_back", True, "new", "EPERM"), ("loop", True, "new", "ELOOP"),
     ("dir", False, "new", "EPERM"), ("dirlink", True, "new", "EPERM"), ("dirlink_slash", True, "new", "EPERM"),
     ("dir/", False, "new", "EPERM"), (".", False, "new", "EPERM"), ("file/", False, "new", "ENOTDIR"),
     ("filelink_slash", True, "new", "ENOTDIR"), ("link/", False, "new", "ENOTDIR"),
     ("missing", False, "new", "ENOENT"),
     ("file", False, "new/", "ENOENT"), ("file", False, "dir/new/", "ENOENT"), ("file", False, "dir/inner", "EEXIST"),
     ("file", False, "dir/inner/", "ENOTDIR"), ("file", False, "dir/", "EEXIST"), ("file", False, "file", "EEXIST"),
     ("file", False, "dangling", "EEXIST"), ("file", False, "dir/.", "EEXIST"), ("file", False, ".", "EEXIST"),
     ("file", False, "evil/", "EPERM")],
)  # fmt: skip
def test_link(tree: Tree, old: str, follow: bool, new: str, expected: str) -> None:
    answer = outcome(operations.link_beneath, tree.fd, old, follow, tree.fd, new)
    if expected.isupper():
        assert answer == expected
        assert not os.path.lexists(tree.base / "new")
    else:
        assert answer is None
        assert tree.identity(new) == tree.identity(expected)


@pytest.mark.parametrize(
    ("path", "follow", "changed"),
    [("file", True, "file"), ("file", False, "file"), ("link", True, "file"), ("link", False, "link"),
     ("dir/up", True, "file"), ("dir/up", False, "dir/up"), ("dir", True, "dir"), ("dir/", False, "dir"),
     ("dirlink/", False, "dir"), ("dirlink_slash", True, "dir"), (".", True, "."), ("dir/..", False, "."),
     ("dirlink/inner", False, "dir/inner"), ("hop39", True, "file"), ("dangling", False, "dangling"),
     ("dangling", True, "ENOENT"), ("evil", False, "evil"), ("evil", True, "EPERM"), ("evil/", False, "EPERM"),
     ("rooted", True, "EPERM"),
     ("dir/rooted", True, "EPERM"), ("dir/out", True, "EPERM"), ("loop", True, "ELOOP"), ("hop40", True, "ELOOP"),
     ("file/", True, "ENOTDIR"), ("filelink_slash", True, "ENOTDIR"), ("filelink_slash", False, "filelink_slash")],
)  # fmt: skip
def test_utime(tree: Tree, path: str, follow: bool, changed: str) -> None:
    everything = [".", *(str(found.relative_to(tree.base)) for found in Path(tree.base).rglob("*"))]
    before = {name: os.lstat(tree.base / name).st_mtime_ns for name in everything}
    outside = picture(tree.outside)
    answer = outcome(operations.utime_beneath, tree.fd, path, follow, (1_000_000_001, 2_000_000_002))
    after = {name: os.lstat(tree.base / name).st_mtime_ns for name in everything}
    if changed.isupper():
        assert answer == changed
        assert after == before
    else:
        assert answer is None
        assert after == before | {changed: 2_000_000_002}
    assert picture(tree.outside) == outside


def test_utime_now_and_omit(tree: Tree) -> None:
    file = tree.base / "dir" / "inner"
    second = 1_000_000_000
    operations.utime_beneath(tree.fd, "dir/inner", True, (5 * second, 7 * second))
    operations.utime_beneath(tree.fd, "dir/inner", True, (times.UTIME_OMIT, 9 * second))
    assert (file.stat().st_atime_ns, file.stat().st_mtime_ns) == (5 * second, 9 * second)
    operations.utime_beneath(tree.fd, "dir/inner", True, (times.UTIME_NOW, times.UTIME_OMIT))
    assert file.stat().st_atime_ns > 1_500_000_000 * second
    assert file.stat().st_mtime_ns == 9 * second
    operations.utime_beneath(tree.fd, "dir/inner", True, (times.UTIME_OMIT, times.UTIME_OMIT))
    assert file.stat().st_mtime_ns == 9 * second
    for stamp in (-3, 1 << 100):
        assert outcome(operations.utime_beneath, tree.fd, "dir/inner", True, (stamp, 1)) == "EINVAL"


def test_set_times_of_an_open_file(tree: Tree) -> None:
    fd = resolve.open_beneath(tree.fd, "file", os.O_RDONLY, 0, True)
    try:
        times.set_times(fd, None, 3_000_000_003, times.UTIME_OMIT)
        assert os.fstat(fd).st_atime_ns == 3_000_000_003
    finally:
        os.close(fd)
    assert outcome(times.set_times, fd, None, 1, 1) == "EBADF"


def test_parent_of_a_plain_name_is_the_directory_itself(tree: Tree) -> None:
    held: list[int] = []
    assert resolve.parent_of(tree.fd, "file", 0, ANYWHERE, held) == (tree.fd, "file", False)
    assert resolve.parent_of(tree.fd, "file//", 0, ANYWHERE, held) == (tree.fd, "file", True)
    assert not held
    parent, name, slash = resolve.parent_of(tree.fd, "dirlink/inner", 0, ANYWHERE, held)
    try:
        assert (name, slash, held) == ("inner", False, [parent])
        assert os.fstat(parent).st_ino == tree.identity("dir")[1]
    finally:
        os.close(parent)
