"""Changes as guests make them."""

from __future__ import annotations

from wasihost.vfs import nodes, operations


def write(root: nodes.Directory, path: str, content: bytes) -> None:
    """Replace the content of a file, as a guest does that opens it with O_CREAT and O_TRUNC."""
    node = operations.open_node(root, path, follow=True, create=True, writing=True)
    assert isinstance(node, nodes.File)
    opened = node.open(writing=True)
    opened.truncate(0)
    assert opened.write(0, content) == len(content)
    opened.close()


def change_everything(root: nodes.Directory) -> None:
    """One change of each kind."""
    write(root, "a.txt", b"one\n2\nthree")
    write(root, "new.txt", b"new\n")
    write(root, "picture", b"\0\1\3")
    operations.mkdir(root, "made")
    operations.rename(root, "docs", root, "papers")
    write(root, "papers/b.txt", b"bee\nsee\n")
    operations.unlink(root, "papers/old/c.txt")
    operations.unlink(root, "link")
    operations.mkdir(root, "link")
    write(root, "link/inner", b"a directory now\n")


CHANGED = """\
M a.txt
D docs/old/c.txt
M link/
A link/inner
A made/
A new.txt
R docs -> papers/
M papers/b.txt
M picture"""
