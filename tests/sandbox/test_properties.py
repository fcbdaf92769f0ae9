"""Random trees and operations: whatever the guest does, the outside is untouched and results lie under the base."""

import os
import random
import shutil
from pathlib import Path

import pytest

from tests.sandbox.trees import STRATEGIES, outcome, picture
from wasihost.sandbox import operations, resolve, times

NAMES = ["a", "b", "ab", "A"]
STEPS = 1500
FLAGS = [
    os.O_RDONLY,
    os.O_PATH,
    os.O_DIRECTORY,
    os.O_PATH | os.O_DIRECTORY,
    os.O_WRONLY,
    os.O_RDWR | os.O_CREAT,
    os.O_RDWR | os.O_CREAT | os.O_EXCL,
    os.O_WRONLY | os.O_TRUNC,
]


def random_path(rng: random.Random, outside: str) -> str:
    tokens = rng.choices([*NAMES, ".", "..", ""], [8, 8, 4, 2, 1, 3, 1], k=rng.choice([1, 1, 2, 2, 3, 4, 5]))
    path = "/".join(tokens)
    if rng.random() < 0.15:
        path += rng.choice(["/", "//", "/."])
    if rng.random() < 0.1:
        path = rng.choice([f"../{outside}", f"../{outside}/a", "../base/a", "a/../../base", f"../../{outside}"]) + path
    return path


def step(rng: random.Random, directories: list[int], base: Path, outside: Path) -> None:
    """One random operation on random paths, each from one of the handles the guest has; the first is the base."""
    fd, other = rng.choice(directories), rng.choice(directories)
    path, second = random_path(rng, outside.name), random_path(rng, outside.name)
    follow = rng.random() < 0.5
    match rng.choice(
        ["open"] * 6 + ["mkdir"] * 5 + ["symlink"] * 2 + ["rename", "link", "rmdir", "unlink", "utime", "read"]
    ):
        case "open":
            opened = outcome(resolve.open_beneath, fd, path, rng.choice(FLAGS), 0o600, follow)
            if isinstance(opened, int):
                place = os.readlink(f"/proc/self/fd/{opened}")
                assert place == str(base) or place.startswith(f"{base}/"), (path, place)
                if os.path.isdir(f"/proc/self/fd/{opened}"):
                    directories.append(opened)
                    opened = directories.pop(rng.randrange(1, len(directories))) if len(directories) > 5 else -1
                if opened >= 0:
                    os.close(opened)
        case "mkdir":
            outcome(operations.mkdir_beneath, fd, path, 0o700)
        case "symlink":
            rooted = rng.choice([str(outside), str(base), "/"]) if rng.random() < 0.1 else ""
            outcome(operations.symlink_beneath, rooted + second, fd, path)
        case "rename":
            outcome(operations.rename_beneath, fd, path, other, second)
        case "link":
            outcome(operations.link_beneath, fd, path, follow, other, second)
        case "rmdir":
            outcome(operations.rmdir_beneath, fd, path)
        case "unlink":
            outcome(operations.unlink_beneath, fd, path)
        case "utime":
            outcome(operations.utime_beneath, fd, path, follow, (rng.randrange(10**18), times.UTIME_NOW))
        case "read":
            content = outcome(operations.readlink_beneath, fd, path)
            assert isinstance(content, str)
            assert not content.startswith("/")


def restock(rng: random.Random, base: Path) -> None:
    """Clear one name of the base and put a directory with something inside there."""
    place = base / rng.choice(NAMES)
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
    (place / rng.choice(NAMES) / rng.choice(NAMES)).mkdir(parents=True)
    for name in NAMES:
        if not (place / name).exists():
            (place / name).symlink_to(rng.choice(["..", "../..", "../a", "../../outside/b", "a", "../b/", "./ab/."]))


def compare(rng: random.Random, fd: int, outside: Path) -> bool:
    """Both strategies on the same random path: the same file or the same errno. Returns whether there was a file."""
    path, flags, follow = random_path(rng, outside.name), rng.choice(FLAGS[:4]), rng.random() < 0.5
    answers = []
    for name in sorted(STRATEGIES):
        answer = outcome(STRATEGIES[name], fd, path, flags, 0, follow)
        if isinstance(answer, int):
            opened, answer = answer, os.fstat(answer).st_ino
            os.close(opened)
        answers.append(answer)
    assert all(answer == answers[0] for answer in answers), (path, flags, follow, answers)
    return isinstance(answers[0], int)


@pytest.mark.parametrize("seed", range(4))
def test_random_trees(tmp_path: Path, seed: int, strategy: resolve.Strategy) -> None:
    assert resolve.strategy is strategy
    rng = random.Random(seed)
    base, outside = tmp_path / "base", tmp_path / "outside"
    base.mkdir()
    (outside / "a" / "b").mkdir(parents=True)
    (outside / "b").write_text("secret")
    # Planted from the host, since the guest may not make them: rooted links, and one that leaves and returns.
    for name, target in (("A", outside), ("b", Path("../base/a")), ("ab", Path("../outside"))):
        (base / name).symlink_to(target)
    directories = [os.open(base, resolve.DIRECTORY)]
    before = picture(outside)
    found = 0
    try:
        for number in range(STEPS):
            if number % 50 == 49:  # from the host, so that the tree does not wear out
                restock(rng, base)
            step(rng, directories, base, outside)
            found += compare(rng, rng.choice(directories), outside)
            assert picture(outside) == before, number
            assert sorted(os.listdir(tmp_path)) == ["base", "outside"], number
    finally:
        for fd in directories:
            os.close(fd)
    assert found > STEPS // 20, "the trees are too bare for the comparison to mean anything"
