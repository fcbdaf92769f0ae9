"""The journal of an overlay that is kept in a folder: JSON, one line for each change of the tree.

The first line has the version. Each other line is a list of records, which hold together or not at all:

    ["node", number, kind, origin, times, delta, detail]   a node that a directory keeps: see `OverlayNode.record`
    ["name", number, name, node, since]    in the directory with that number, `name` is the node with the number `node`;
                                    if it is null the name below is hidden (a whiteout), if it is -1 it is as below, and
                                    `since` is left out

The root has the number 1. Later records replace earlier ones. A last line without its end was not written whole, and
does not count. Whatever else is not as described here is damage, and a ConfigError.

Rules of this file: nothing in a journal is trusted. Names and paths are those that a guest could use, and paths below
are looked up name by name, without following links.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Final, TypeAlias

from wasihost.common.logs import warn
from wasihost.errors import ConfigError
from wasihost.overlays.directories import OverlayDirectory, key_of
from wasihost.overlays.files import OverlayFile
from wasihost.overlays.folder import VERSION, FolderStore, line
from wasihost.overlays.nodes import Keeper, OverlayLink, OverlayNode
from wasihost.vfs.names import is_entry
from wasihost.vfs.nodes import Directory, File, Link, Node

_ROOT: Final = 1

Names: TypeAlias = dict[str, tuple[int | None, int | None]]
"""The records of the names in one directory: the node, and since when."""


class _Damaged(Exception):
    """What is wrong with a journal."""


def resume(store: FolderStore, root: OverlayDirectory) -> None:
    """Give `root`, which is as below, what the journal of `store` says; begin a journal if there is none.

    Raises:
        ConfigError: The journal is damaged, or of another version.
    """
    text = store.text()
    try:
        if text:
            nodes, names = _read(text)
            made = _Tree(store, root, nodes, names)
            store.replace(line(records_of(root)))
            store.remove_others(made.contents)
        else:
            store.replace()
    except _Damaged as damage:
        raise ConfigError(f"the journal of the overlay in {store.path!r} is damaged: {damage}") from None
    store.records = partial(records_of, root)
    store.state.recording = True
    store.state.pending.clear()


def records_of(root: OverlayDirectory) -> list[list[object]]:
    """Return records of all that is different from the tree below."""
    out: list[list[object]] = []
    noted: set[int] = set()
    pending: list[OverlayNode] = [root, *(node for node in root.state.linked.values() if isinstance(node, OverlayNode))]
    for node in pending:
        if node.number in noted:
            continue
        noted.add(node.number)
        out.append(node.record())
        if not isinstance(node, OverlayDirectory):
            continue
        for name, inner in node.names.items():
            since = [node.since[name]] if name in node.since else []
            out.append(["name", node.number, name, inner.number if inner is not None else None, *since])
            if inner is not None:
                pending.append(inner)
    return out


def _read(text: bytes) -> tuple[dict[int, list[Any]], dict[int, Names]]:
    first, *lines = text[: text.rfind(b"\n") + 1].splitlines()
    try:
        version = json.loads(first)["wasihost-overlay"]
    except (ValueError, KeyError, TypeError, IndexError):
        raise _Damaged("its first line is not one of an overlay") from None
    if version != VERSION:
        raise _Damaged(f"its version is {version!r}, and this wasihost reads {VERSION}")
    nodes: dict[int, list[Any]] = {}
    names: dict[int, Names] = {}
    for number, content in enumerate(lines, 2):
        try:
            for record in json.loads(content):
                _take(record, nodes, names)
        except (ValueError, TypeError, IndexError, KeyError):
            raise _Damaged(f"line {number} cannot be read") from None
    return nodes, names


def _take(record: list[Any], nodes: dict[int, list[Any]], names: dict[int, Names]) -> None:
    kind, number, *rest = record
    if type(number) is not int or number < 1:
        raise ValueError
    if kind == "node":
        what, origin, times, delta, _ = rest
        if what not in ("file", "directory", "link", "other") or type(delta) is not int:
            raise ValueError
        if origin is not None and not all(map(is_entry, origin.split("/") if number != _ROOT else ())):
            raise ValueError
        if times is not None and [type(time) for time in times] != [int] * 3:
            raise ValueError
        nodes[number] = rest
    elif kind == "name":
        name, node, *since = rest
        if (
            not is_entry(name)
            or not (node is None or type(node) is int)
            or any(type(time) is not int for time in since)
        ):
            raise ValueError
        if node == -1:
            names.get(number, {}).pop(name, None)
        else:
            names.setdefault(number, {})[name] = node, since[0] if since else None
    else:
        raise ValueError


class _Tree:
    """The tree that a journal describes, made below `root`. `contents` are the numbers of the files that it needs."""

    def __init__(
        self,
        store: FolderStore,
        root: OverlayDirectory,
        nodes: dict[int, list[Any]],
        names: dict[int, Names],
    ) -> None:
        self._store, self._root, self._records = store, root, nodes
        self._made: dict[int, OverlayNode] = {_ROOT: root}
        self.contents: set[int] = set()
        if _ROOT in nodes:
            _, _, times, root.delta, _ = nodes[_ROOT]
            root.times = tuple(times) if times is not None else None
        pending: list[Keeper] = [root]
        for directory in pending:
            for name, (number, since) in names.get(directory.number, {}).items():
                if since is not None:
                    directory.since[name] = since
                if number is None:
                    directory.names[name] = None
                    continue
                known = number in self._made
                node = self._made[number] if known else self._node(number)
                if node is None:
                    continue
                if known and isinstance(node, Directory):
                    raise _Damaged(f"the directory {name!r} is in two places")
                directory.names[name] = node
                store.state.entries += 1
                if node.home is None:
                    node.home = directory, name
                if isinstance(node, OverlayDirectory):
                    pending.append(node)
        for number in nodes.keys() - self._made.keys():
            self._linked(number)
        store.state.next_number = max([store.state.next_number, *nodes])

    def _linked(self, number: int) -> None:
        """Make the node of a file that only names below have: it has lost others, or its content was changed by one."""
        kind, origin, _, delta, _ = self._records[number]
        lower = self._below(origin, kind) if origin is not None and kind != "directory" else None
        if lower is not None and key_of(lower) is not None and lower.stat().links + delta > 0:
            self._node(number)

    def _node(self, number: int) -> OverlayNode | None:
        """Make a node; None if it was below and is gone."""
        try:
            kind, origin, times, delta, detail = self._records[number]
        except KeyError:
            raise _Damaged(f"nothing says what the node {number} is") from None
        state = self._store.state
        lower = self._below(origin, kind) if origin is not None else None
        state.next_number = number - 1
        node: OverlayNode
        try:
            if kind == "file":
                has_content, was = detail
                content = self._store.adopt(number) if has_content else None
                if lower is None and content is None:
                    return _gone(origin)
                node = OverlayFile(state, lower, origin if lower is not None else None, content)
                node.was = tuple(was) if was is not None else None
                self.contents |= {number} if has_content else set()
            elif kind == "directory":
                node = OverlayDirectory(state, lower, origin if lower is not None else None)
            elif kind == "link" and (lower is not None or isinstance(detail, str)):
                node = OverlayLink(state, lower, origin if lower is not None else None, detail)
            elif lower is not None:
                node = OverlayNode(state, lower, origin)
            else:
                return _gone(origin)
        except FileNotFoundError:
            raise _Damaged(f"the content of the file {number} is missing") from None
        except (TypeError, ValueError):
            raise _Damaged(f"what it says of the node {number} cannot be read") from None
        if times is not None:
            node.times = tuple(times)
        node.delta = delta if lower is not None or origin is None else 1
        if lower is not None:
            node.device = lower.stat().device
            node.key = key_of(lower)
            if node.key is not None:
                state.linked[node.key] = node
        self._made[number] = node
        return node

    def _below(self, origin: str, kind: str) -> Node | None:
        """Look up a path below, name by name; None if there is nothing of that kind."""
        here: Node | None = self._root.lower
        for name in origin.split("/"):
            here = here.lookup(name) if isinstance(here, Directory) else None
        if here is not None and kind != "other":
            wanted = {"file": File, "directory": Directory, "link": Link}[kind]
            return here if isinstance(here, wanted) else None
        return here


def _gone(origin: str | None) -> OverlayNode | None:
    warn("files", "an overlay was kept over %.200r, which is gone: it is left out", origin)
    return None
