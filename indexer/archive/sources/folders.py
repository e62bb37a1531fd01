"""Folders, walked one listing at a time."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from indexer.archive.sources.names import is_litter

__all__ = ["walk"]


def walk(root: str) -> Iterator[tuple[str, os.stat_result | None]]:
    """Regular files below `root`, depth first; None for the status of what cannot be had."""
    linked: set[str] = set()
    stack = [("", _listing(root, root, linked))]
    while stack:
        prefix, names = stack[-1]
        if not names:
            stack.pop()
            continue
        name = prefix + names.pop()
        path = os.path.join(root, name)
        if name.endswith("/"):
            try:
                stack.append((name, _listing(path, root, linked)))
            except OSError:
                yield name[:-1], None
            continue
        try:
            status = os.stat(path)
        except OSError:
            yield name, None
            continue
        if stat.S_ISREG(status.st_mode):
            yield name, status


def _listing(folder: str, root: str, linked: set[str]) -> list[str]:
    """Names in one folder, last first; those of folders end with a slash."""
    with os.scandir(folder) as entries:
        names = [
            entry.name + "/" if entry.is_dir() else entry.name
            for entry in entries
            if not is_litter(entry.name)
            and not (entry.is_symlink() and entry.is_dir() and _is_loop(entry.path, root, linked))
        ]
    names.sort(reverse=True)
    return names


def _is_loop(path: str, root: str, linked: set[str]) -> bool:
    """Whether a linked folder is, or contains, one that is walked anyway."""
    target, top = os.path.join(os.path.realpath(path), ""), os.path.join(os.path.realpath(root), "")
    if target in linked or target.startswith(top) or top.startswith(target):
        return True
    linked.add(target)
    return False
