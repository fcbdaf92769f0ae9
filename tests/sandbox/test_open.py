"""One table of paths, opened under both strategies: the file that is reached, or the errno."""

import os
import stat
from typing import NamedTuple

import pytest

from tests.sandbox.trees import Tree, outcome
from wasihost.sandbox import resolve
from wasihost.sandbox.resolve import open_beneath, stat_beneath

READ, WRITE, PATH, FOLDER = os.O_RDONLY, os.O_WRONLY, os.O_PATH, os.O_DIRECTORY
CREATE, NEW = os.O_CREAT | os.O_RDWR, os.O_CREAT | os.O_EXCL | os.O_RDWR


class Case(NamedTuple):
    """`reached` is the path, without links, of what has to be open afterwards; `refused` the errno instead of it."""

    path: str
    reached: str = ""
    refused: str = ""
    flags: int = READ
    follow: bool = True


CASES = [
    # names, nesting, dots
    Case("file", "file"),
    Case("dir", "dir"),
    Case("dir/inner", "dir/inner"),
    Case("dir/sub/deep", "dir/sub/deep"),
    Case("dir//sub///deep", "dir/sub/deep"),
    Case(".", "."),
    Case("./", "."),
    Case("./file", "file"),
    Case("dir/./inner", "dir/inner"),
    Case("dir/.", "dir"),
    Case("dir/", "dir"),
    Case("dir/sub/../inner", "dir/inner"),
    Case("dir/..", "."),
    Case("dir/../", "."),
    Case("dir/../file", "file"),
    Case("missing", refused="ENOENT"),
    Case("missing/..", refused="ENOENT"),
    Case("missing/../file", refused="ENOENT"),
    Case("dir/missing", refused="ENOENT"),
    Case("file/x", refused="ENOTDIR"),
    Case("file/.", refused="ENOTDIR"),
    Case("file/..", refused="ENOTDIR"),
    Case("file/", refused="ENOTDIR"),
    Case("dir/inner/", refused="ENOTDIR"),
    Case("link/x", refused="ENOTDIR"),
    # text that is no path
    Case("", refused="ENOENT"),
    Case("fi\0le", refused="EINVAL"),
    Case("dir/in\0ner", refused="EINVAL"),
    Case("file\0/../x", refused="EINVAL"),
    Case("\ud800", refused="EILSEQ"),
    Case("dir/\ud800", refused="EILSEQ"),
    Case("n" * 255, refused="ENOENT"),
    Case("n" * 256, refused="ENAMETOOLONG"),
    Case("dir/" + "n" * 256, refused="ENAMETOOLONG"),
    Case("./" * 2000 + "file", "file"),
    Case("./" * 2046 + "./.", "."),
    Case("./" * 2048, refused="ENAMETOOLONG"),
    # out
    Case("..", refused="EPERM"),
    Case("../", refused="EPERM"),
    Case("../base/file", refused="EPERM"),
    Case("../outside/secret", refused="EPERM"),
    Case("dir/../../outside/secret", refused="EPERM"),
    Case("dir/../../base/file", refused="EPERM"),
    Case("dir/sub/../../..", refused="EPERM"),
    Case("/", refused="EPERM"),
    Case("//", refused="EPERM"),
    Case("/etc/passwd", refused="EPERM"),
    Case("../missing", refused="EPERM"),
    # links inside
    Case("link", "file"),
    Case("chain", "file"),
    Case("dirlink", "dir"),
    Case("dirlink/inner", "dir/inner"),
    Case("dirlink/", "dir"),
    Case("dirlink/.", "dir"),
    Case("dirlink_slash", "dir"),
    Case("dirlink_slash/inner", "dir/inner"),
    Case("filelink_slash", refused="ENOTDIR"),
    Case("dotlink", "dir"),
    Case("dotlink/inner", "dir/inner"),
    Case("dotdotlink", "dir"),
    Case("dotdotlink/inner", "dir/inner"),
    Case("self/self/self/file", "file"),
    Case("self/..", refused="EPERM"),
    Case("dir/up", "file"),
    Case("dirlink/up", "file"),
    Case("dir/sub/top", "."),
    Case("dir/sub/top/file", "file"),
    Case("sublink/..", "dir"),
    Case("sublink/../inner", "dir/inner"),
    Case("sublink/../../file", "file"),
    Case("sublink/../../..", refused="EPERM"),
    Case("link/", refused="ENOTDIR"),
    Case("link/..", refused="ENOTDIR"),
    Case("dangling", refused="ENOENT"),
    Case("dangling/", refused="ENOENT"),
    Case("dangling/..", refused="ENOENT"),
    # loops
    Case("loop", refused="ELOOP"),
    Case("loop/", refused="ELOOP"),
    Case("loop/x", refused="ELOOP"),
    Case("ping", refused="ELOOP"),
    Case("hop39", "file"),
    Case("hop40", refused="ELOOP"),
    Case("self/" * 40 + "file", "file"),
    Case("self/" * 41 + "file", refused="ELOOP"),
    # links out
    Case("evil", refused="EPERM"),
    Case("evil/", refused="EPERM"),
    Case("evil/.", refused="EPERM"),
    Case("evil/..", refused="EPERM"),
    Case("evil/secret", refused="EPERM"),
    Case("evil_slash", refused="EPERM"),
    Case("evil_slash/", refused="EPERM"),
    Case("parent", refused="EPERM"),
    Case("parent/", refused="EPERM"),
    Case("out_and_back", refused="EPERM"),
    Case("dir/out", refused="EPERM"),
    Case("dirlink/out", refused="EPERM"),
    Case("dir/sub/over", refused="EPERM"),
    Case("rooted", refused="EPERM"),
    Case("dir/rooted", refused="EPERM"),
    Case("rooted/", refused="EPERM"),
    Case("rooted_dir/secret", refused="EPERM"),
    Case("rooted_inside", refused="EPERM"),
    Case("root", refused="EPERM"),
    Case("root/etc/passwd", refused="EPERM"),
    # not following the last component
    Case("file", "file", follow=False),
    Case("dir", "dir", follow=False),
    Case("link", refused="ELOOP", follow=False),
    Case("loop", refused="ELOOP", follow=False),
    Case("evil", refused="ELOOP", follow=False),
    Case("dir/up", refused="ELOOP", follow=False),
    Case("dir/out", refused="ELOOP", follow=False),
    Case("dirlink/inner", "dir/inner", follow=False),
    Case("dirlink/", "dir", follow=False),
    Case("dirlink/.", "dir", follow=False),
    Case("evil/", refused="EPERM", follow=False),
    Case("evil/.", refused="EPERM", follow=False),
    Case("evil/secret", refused="EPERM", follow=False),
    Case("rooted_dir/", refused="EPERM", follow=False),
    Case("hop0", refused="ELOOP", follow=False),
    # handles: O_PATH opens a link itself when it is not to be followed
    Case("file", "file", flags=PATH),
    Case("link", "file", flags=PATH),
    Case("link", "link", flags=PATH, follow=False),
    Case("evil", "evil", flags=PATH, follow=False),
    Case("evil", refused="EPERM", flags=PATH),
    Case("dir/up", "dir/up", flags=PATH, follow=False),
    Case("dirlink/up", "file", flags=PATH),
    Case("evil/", refused="EPERM", flags=PATH, follow=False),
    Case("dangling", refused="ENOENT", flags=PATH),
    Case("loop", "loop", flags=PATH, follow=False),
    Case("..", refused="EPERM", flags=PATH),
    # demanding a directory
    Case("dir", "dir", flags=FOLDER),
    Case("dirlink", "dir", flags=FOLDER),
    Case("dirlink", "dir", flags=PATH | FOLDER),
    Case("dirlink", refused="ENOTDIR", flags=FOLDER, follow=False),
    Case("dirlink", refused="ENOTDIR", flags=PATH | FOLDER, follow=False),
    Case("file", refused="ENOTDIR", flags=FOLDER),
    Case("link", refused="ENOTDIR", flags=FOLDER),
    Case("dir/inner", refused="ENOTDIR", flags=FOLDER),
    Case("evil", refused="EPERM", flags=FOLDER),
    Case("loop", refused="ELOOP", flags=FOLDER),
    Case("dir", refused="EISDIR", flags=WRITE),
    Case("dir/", refused="EISDIR", flags=WRITE),
    Case("dir/.", refused="EISDIR", flags=WRITE),
    Case("dirlink", refused="EISDIR", flags=WRITE),
    # creating
    Case("made", "made", flags=CREATE),
    Case("dir/made", "dir/made", flags=CREATE),
    Case("file", "file", flags=CREATE),
    Case("link", "file", flags=CREATE),
    Case("dangling", "missing", flags=CREATE),
    Case("dangling_in_dir", "dir/made", flags=CREATE),
    Case("dangling_out", refused="EPERM", flags=CREATE),
    Case("dangling_slash", refused="EISDIR", flags=CREATE),
    Case("dangling", refused="ELOOP", flags=CREATE, follow=False),
    Case("made", "made", flags=NEW),
    Case("file", refused="EEXIST", flags=NEW),
    Case("link", refused="EEXIST", flags=NEW),
    Case("dangling", refused="EEXIST", flags=NEW),
    Case("evil", refused="EEXIST", flags=NEW),
    Case("dirlink/made", "dir/made", flags=NEW),
    Case("evil/made", refused="EPERM", flags=NEW),
    Case("rooted_dir/made", refused="EPERM", flags=CREATE),
    Case("missing/made", refused="ENOENT", flags=CREATE),
    Case("made/", refused="EISDIR", flags=CREATE),
    Case("missing/made/", refused="ENOENT", flags=CREATE),
    Case("dir/", refused="EISDIR", flags=CREATE),
    Case("link/", refused="EISDIR", flags=CREATE),
    Case("dir", refused="EISDIR", flags=CREATE),
    Case("dir/.", refused="EISDIR", flags=CREATE),
    Case("dir/..", refused="EISDIR", flags=CREATE),
    Case("dir/.", refused="EEXIST", flags=NEW),
    Case(".", refused="EISDIR", flags=CREATE),
    Case("..", refused="EPERM", flags=CREATE),
    Case("../outside/made", refused="EPERM", flags=CREATE),
    Case("file", "file", flags=WRITE | os.O_TRUNC),
    Case("evil/secret", refused="EPERM", flags=WRITE | os.O_TRUNC),
    Case("dir/out", refused="EPERM", flags=WRITE | os.O_TRUNC),
]


def named(case: Case) -> str:
    text = ascii(case.path)[1:-1]
    return f"{text if len(text) < 40 else text[:37] + '...'}-{case.flags:o}-{'follow' if case.follow else 'nofollow'}"


@pytest.mark.parametrize("direct", [False, True], ids=["open_beneath", "strategy"])
@pytest.mark.parametrize("case", CASES, ids=named)
def test_open(tree: Tree, strategy: resolve.Strategy, case: Case, direct: bool) -> None:
    opened = outcome(strategy if direct else open_beneath, tree.fd, case.path, case.flags, 0o640, case.follow)
    if case.refused:
        assert opened == case.refused
    else:
        assert isinstance(opened, int), opened
        status = os.fstat(opened)
        assert (status.st_dev, status.st_ino) == tree.identity(case.reached)
        assert not os.get_inheritable(opened)
        os.close(opened)
    assert sorted(os.listdir(tree.outside)) == ["folder", "secret"]
    assert (tree.outside / "secret").read_text() == "secret"


@pytest.mark.parametrize("case", [case for case in CASES if case.flags == PATH or case.flags == READ], ids=named)
def test_stat_sees_what_a_handle_sees(tree: Tree, strategy: resolve.Strategy, case: Case) -> None:
    seen = outcome(stat_beneath, tree.fd, case.path, case.follow)
    handle = outcome(strategy, tree.fd, case.path, PATH, 0, case.follow)
    if isinstance(handle, int):
        expected = os.fstat(handle)
        os.close(handle)
        assert isinstance(seen, os.stat_result)
        assert (seen.st_dev, seen.st_ino, seen.st_mode) == (expected.st_dev, expected.st_ino, expected.st_mode)
    else:
        assert seen == handle == case.refused


@pytest.mark.usefixtures("strategy")
def test_created_mode_and_umask(tree: Tree) -> None:
    before = os.umask(0o027)
    try:
        for path in ("one", "dir/two", "dangling"):
            os.close(open_beneath(tree.fd, path, CREATE, 0o666, True))
    finally:
        os.umask(before)
    for path in ("one", "dir/two", "missing"):
        assert stat.S_IMODE(os.stat(tree.base / path).st_mode) == 0o640


@pytest.mark.usefixtures("strategy")
def test_file_beyond_two_gigabytes(tree: Tree) -> None:
    big = tree.base / "dir" / "big"
    with open(big, "wb") as file:
        file.truncate(3 << 30)
    fd = open_beneath(tree.fd, "dir/big", os.O_RDWR, 0, True)
    try:
        assert os.pwrite(fd, b"x", (3 << 30) - 1) == 1
    finally:
        os.close(fd)
        big.unlink()


@pytest.mark.usefixtures("strategy")
@pytest.mark.parametrize(
    ("path", "flags", "follow", "expected"),
    [
        ("exe", READ, True, "EPERM"),
        ("cwd", FOLDER, True, "EPERM"),
        ("cwd/", READ, False, "EPERM"),
        ("root/etc/passwd", READ, True, "EPERM"),
        ("fd/{fd}", READ, True, "EPERM"),
        ("fd/{fd}/dir/inner", READ, True, "EPERM"),
        ("fd/{fd}/..", READ, True, "EPERM"),
        ("task/../cwd", PATH, True, "EPERM"),
        ("ns/mnt", READ, True, "ENOENT"),
        ("exe", READ, False, "ELOOP"),
    ],
)
def test_magic_links(tree: Tree, path: str, flags: int, follow: bool, expected: str) -> None:
    fd = os.open("/proc/self", resolve.DIRECTORY)
    try:
        assert outcome(open_beneath, fd, path.format(fd=tree.fd), flags, 0, follow) == expected
    finally:
        os.close(fd)


@pytest.mark.usefixtures("strategy")
def test_base_that_is_not_a_directory(tree: Tree) -> None:
    fd = os.open(tree.base / "file", os.O_RDONLY)
    try:
        for path in ("x", ".", "x/y", "x/", "./x"):
            assert outcome(open_beneath, fd, path, READ, 0, True) == "ENOTDIR"
            assert outcome(stat_beneath, fd, path, True) == "ENOTDIR"
    finally:
        os.close(fd)
    assert outcome(open_beneath, fd, "x/y", READ, 0, True) == "EBADF"


def test_directory_moved_away_keeps_its_old_parent(tree: Tree) -> None:
    """The walk goes back on its own stack: after the move `dir/sub/..` would be `outside`."""
    handle = resolve.by_walk(tree.fd, "dir/sub", resolve.DIRECTORY, 0, True)
    os.rename(tree.base / "dir" / "sub", tree.outside / "sub")
    try:
        assert outcome(resolve.by_walk, handle, "..", READ, 0, True) == "EPERM"
        assert outcome(resolve.by_openat2, handle, "..", READ, 0, True) == "EPERM"
        fd = open_beneath(handle, "deep", READ, 0, True)
        os.close(fd)
    finally:
        os.close(handle)
