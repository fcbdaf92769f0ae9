"""One test per published vulnerability about where a path leads, named after it.

CVE-2025-53901, GHSA-3p27-qvp9-27qf (fd_renumber), GHSA-852m-cvvp-9p4w (guest-sized allocations) and CVE-2024-51745
(device names of Windows) are about other parts.
"""

import os

import pytest

from tests.sandbox.trees import Tree, outcome, picture
from wasihost.sandbox import operations, resolve

pytestmark = pytest.mark.usefixtures("strategy")

OUTWARD = ["evil", "evil_slash", "rooted_dir", "parent", "root"]


def test_the_host_does_follow_a_link_with_a_trailing_slash(tree: Tree) -> None:
    """What the next tests guard against is real on this host: O_NOFOLLOW does not hold for `evil/`."""
    fd = os.open("evil/", os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=tree.fd)
    try:
        assert os.fstat(fd).st_ino == tree.outside.stat().st_ino
    finally:
        os.close(fd)


@pytest.mark.parametrize("link", OUTWARD)
@pytest.mark.parametrize("tail", ["/", "//", "/.", "/./", "/.//."])
def test_ghsa_hp8f_xmx4_4qrg_trailing_slash_on_open(tree: Tree, link: str, tail: str) -> None:
    """cap-std's walk (wasmtime: GHSA-vqjp-4c8c-hfgg, RUSTSEC-2026-0269) put the slash back on the last name."""
    for prefix in ("", "./", "dir/../", "dirlink/../"):
        path = prefix + link + tail
        for follow in (True, False):
            for flags in (os.O_RDONLY, os.O_PATH, os.O_DIRECTORY, os.O_PATH | os.O_DIRECTORY):
                assert outcome(resolve.open_beneath, tree.fd, path, flags, 0, follow) == "EPERM"
            assert outcome(resolve.stat_beneath, tree.fd, path, follow) == "EPERM"


@pytest.mark.parametrize("link", OUTWARD)
def test_cve_2026_39822_trailing_slash_on_operations(tree: Tree, link: str) -> None:
    """Go's `os.Root` had the same hole; here every operation gets the name with the slash."""
    before = picture(tree.outside)
    path = link + "/"
    for follow in (True, False):
        assert outcome(operations.utime_beneath, tree.fd, path, follow, (1, 1)) == "EPERM"
        assert outcome(operations.link_beneath, tree.fd, path, follow, tree.fd, "new") == "EPERM"
    assert outcome(operations.link_beneath, tree.fd, "file", False, tree.fd, path) == "EPERM"
    assert outcome(operations.symlink_beneath, "x", tree.fd, path) == "EPERM"
    assert outcome(operations.readlink_beneath, tree.fd, path) == "EPERM"
    assert outcome(operations.rmdir_beneath, tree.fd, path) == "ENOTDIR"
    assert outcome(operations.unlink_beneath, tree.fd, path) == "ENOTDIR"
    assert outcome(operations.mkdir_beneath, tree.fd, path, 0o777) == "EEXIST"
    assert outcome(operations.rename_beneath, tree.fd, path, tree.fd, "new") == "ENOTDIR"
    assert outcome(operations.rename_beneath, tree.fd, "dir", tree.fd, path) == "ENOTDIR"
    assert os.readlink(tree.base / link)
    assert picture(tree.outside) == before


def test_wazero_2321_relative_link_made_by_the_guest(tree: Tree) -> None:
    """A guest that may make links makes one that climbs out, and goes through it."""
    operations.symlink_beneath("../outside", tree.fd, "made")
    operations.symlink_beneath("made/secret", tree.fd, "indirect")
    for path in ("made/secret", "made", "made/", "indirect"):
        assert outcome(resolve.open_beneath, tree.fd, path, os.O_RDONLY, 0, True) == "EPERM"


def test_wazero_2324_rooted_link_target(tree: Tree) -> None:
    assert outcome(operations.symlink_beneath, str(tree.outside), tree.fd, "made") == "EPERM"
    assert outcome(operations.readlink_beneath, tree.fd, "rooted") == "EPERM"


def test_link_in_the_middle_without_following_the_last(tree: Tree) -> None:
    """Checking the last component only, as several hosts did, leaves the ones before it to the kernel."""
    for path in ("evil/secret", "dirlink/out/x", "rooted_dir/secret", "dir/sub/over/outside/secret"):
        assert outcome(resolve.open_beneath, tree.fd, path, os.O_RDONLY, 0, False) == "EPERM"
        assert outcome(resolve.stat_beneath, tree.fd, path, False) == "EPERM"


def test_directory_whose_name_begins_like_the_base(tree: Tree) -> None:
    """A check of `startswith` takes `base-private` for something in `base`."""
    sibling = tree.base.with_name("base-private")
    sibling.mkdir()
    (sibling / "secret").write_text("secret")
    os.symlink("../base-private", tree.base / "near")
    for path in ("../base-private/secret", "near/secret", "near/", "dir/../../base-private/secret"):
        assert outcome(resolve.open_beneath, tree.fd, path, os.O_RDONLY, 0, True) == "EPERM"


def test_directory_handle_survives_a_rename(tree: Tree) -> None:
    """A directory kept as a string would now be another one, or none."""
    fd = resolve.open_beneath(tree.fd, "dir", resolve.DIRECTORY, 0, True)
    try:
        os.rename(tree.base / "dir", tree.base / "elsewhere")
        os.symlink("../outside", tree.base / "dir")
        assert outcome(resolve.open_beneath, fd, "secret", os.O_RDONLY, 0, True) == "ENOENT"
        assert resolve.stat_beneath(fd, "sub/deep", True).st_ino == tree.identity("elsewhere/sub/deep")[1]
        assert outcome(resolve.strategy, tree.fd, "dir/secret", os.O_RDONLY, 0, True) == "EPERM"
    finally:
        os.close(fd)
