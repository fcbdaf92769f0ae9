"""Several threads change one overlay: nothing breaks, and the counts are right afterwards."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

from tests.conformance.backends import fill_folder, host_tree, memory_tree
from tests.overlays.machine import TREE
from wasihost import Overlay
from wasihost.overlays.directories import OverlayDirectory
from wasihost.overlays.files import OverlayFile
from wasihost.vfs import nodes, operations

NAMES = ["a", "b", "d/a", "d/b/a", "d/new", "e", "e/x", "d", "big", "new"]
STEPS = 400


def change(root: nodes.Directory, seed: int, unexpected: list[BaseException]) -> None:
    """Make random calls, most of which fail because another thread was faster."""
    choose = random.Random(seed)

    def name() -> str:
        return choose.choice(NAMES)

    for _ in range(STEPS):
        try:
            what = choose.randrange(8)
            if what < 3:
                node = operations.open_node(root, name(), follow=True, create=what == 0, writing=True)
                assert isinstance(node, nodes.File)
                opened = node.open(writing=True)
                try:
                    opened.write(choose.choice([0, 5, 1_049_000]), b"from a thread")
                    opened.read(0, 100)
                    if what == 1:
                        opened.truncate(choose.randrange(50))
                finally:
                    opened.close()
            elif what == 3:
                operations.rename(root, name(), root, name())
            elif what == 4:
                operations.unlink(root, name())
            elif what == 5:
                operations.mkdir(root, name())
            elif what == 6:
                operations.link(root, name(), False, root, name())
            else:
                dict(memory_tree(root))
        except OSError:
            pass
        except BaseException as error:
            unexpected.append(error)
            raise


@pytest.mark.parametrize("kept", [False, True], ids=["memory", "kept"])
def test_many_threads(tmp_path: Path, kept: bool) -> None:
    fill_folder(tmp_path / "base", TREE)
    before = dict(host_tree(str(tmp_path / "base")))
    with Overlay(tmp_path / "base", tmp_path / "kept" if kept else None) as overlay:
        unexpected: list[BaseException] = []
        threads = [threading.Thread(target=change, args=(overlay.root, seed, unexpected)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert unexpected == []
        assert dict(host_tree(str(tmp_path / "base"))) == before
        state = overlay._state
        assert state.opens == 0
        names, files = 0, set()
        pending = [overlay.root]
        for directory in pending:
            for node in directory.names.values():
                names += node is not None
                if isinstance(node, OverlayDirectory):
                    pending.append(node)
                elif isinstance(node, OverlayFile) and node.content is not None:
                    files.add(node)
        assert state.entries == names
        if kept:
            assert state.bytes == sum(file.stat().size for file in files)
            assert len(list((tmp_path / "kept" / "files").iterdir())) == len(files)
        wanted = dict(memory_tree(overlay.root))
        if kept:
            overlay.close()
            overlay = Overlay(tmp_path / "base", tmp_path / "kept")
            assert dict(memory_tree(overlay.root)) == wanted
        overlay.apply()
        assert dict(host_tree(str(tmp_path / "base"))) == wanted
        overlay.close()
