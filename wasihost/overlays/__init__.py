"""Mounts that can be undone: `Overlay` shows a folder or a tree, and keeps what guests change apart from it.

Rules of this room: the tree below (`lower`) is only read, except by `apply`. Nodes are those of `wasihost.vfs`, so
where a path leads is decided there. Names that a guest chose never become names of the host, except by `apply`.

    overlay        `Overlay`: what users call
    state          what all nodes of one overlay share
    nodes          what all nodes have in common; links
    files          the merged files
    directories    the merged directories
    contents       what a changed file contains, in memory
    folder         the same in a folder of the host, with a record of names
    journal        that record, from which an overlay is resumed
    copying        copies into files of the host
    changes        what is different from the tree below
    diffs          the same as text
    applying       in which order changes are made to a folder or a tree
    folder_target  a folder of the host to which they are made
    tree_target    a tree of Python objects to which they are made
"""

from __future__ import annotations

from wasihost.overlays.changes import Change, OverlayChanges
from wasihost.overlays.overlay import Overlay

__all__ = ["Change", "Overlay", "OverlayChanges"]
