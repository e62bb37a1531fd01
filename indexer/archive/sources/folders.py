"""Folders, walked one listing at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator

from indexer.archive.sources.names import is_ignored

__all__ = ["walk"]


def walk(root: str) -> Iterator[tuple[str, os.stat_result | None]]:
    """All below `root` that is no folder, depth first; None for the status of what cannot be had.

    A folder that cannot be listed, as a whole or to its end, stands for what would be in it; of
    `root` itself its name does.
    """
    linked: set[str] = set()
    names, whole = _listing(root, root, linked)
    if not whole:
        yield os.path.basename(root), None
    stack = [("", names)]
    while stack:
        prefix, names = stack[-1]
        if not names:
            stack.pop()
            continue
        name = prefix + names.pop()
        path = os.path.join(root, name)
        if name.endswith("/"):
            below, whole = _listing(path, root, linked)
            if not whole:
                yield name[:-1], None
            stack.append((name, below))
            continue
        try:
            status = os.stat(path)
        except OSError:
            yield name, None
            continue
        yield name, status


def _listing(folder: str, root: str, linked: set[str]) -> tuple[list[str], bool]:
    """Names in one folder, last first, and whether these are all; those of folders end with "/"."""
    names, whole = [], True
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if name := _listed(entry, root, linked):
                    names.append(name)
    except OSError:
        whole = False
    names.sort(reverse=True)
    return names, whole


def _listed(entry: os.DirEntry[str], root: str, linked: set[str]) -> str:
    """The name of one entry, with a slash at the end of a folder's; empty for what is left out."""
    try:
        folder = entry.is_dir()
        loop = folder and entry.is_symlink() and _is_loop(entry.path, root, linked)
    except OSError:
        # A link to itself, for one: it is named all the same, and fails when it is read.
        folder = loop = False
    if loop or is_ignored(entry.name, folder=folder):
        return ""
    return entry.name + "/" if folder else entry.name


def _is_loop(path: str, root: str, linked: set[str]) -> bool:
    """Whether a linked folder is, or contains, one that is walked anyway."""
    target, top = os.path.join(os.path.realpath(path), ""), os.path.join(os.path.realpath(root), "")
    if target in linked or target.startswith(top) or top.startswith(target):
        return True
    linked.add(target)
    return False
