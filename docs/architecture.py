"""The picture of docs/architecture.md, drawn from the imports: `python -m docs.architecture`.

A box is a room: a folder of modules. An arrow says that one room imports another, at import time or
later; what an arrow already says by way of other rooms is left out, and so are imports for types.
"""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import TopologicalSorter
from html import escape
from pathlib import Path

import grimp

__all__ = ["TARGET", "drawing", "rooms"]

TARGET = Path(__file__).with_name("architecture.svg")
PACKAGES = ("cli", "cxrdex", "search", "indexer")
_COLOURS = {"cli": "#7c5cbf", "cxrdex": "#7c5cbf", "search": "#1f7a8c", "indexer": "#b3541e"}
_WIDTH, _HEIGHT, _GAP, _DROP, _MARGIN = 128, 34, 26, 58, 16

Edges = Mapping[str, frozenset[str]]


def rooms() -> dict[str, frozenset[str]]:
    """Each room and the rooms that it imports.

    What lies in no folder of `search` is one room, but for modules that its folders import.
    """
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    folders = {module for module in graph.modules if graph.find_children(module)}
    imports = {m: graph.find_modules_directly_imported_by(m) for m in graph.modules}
    base = {
        other
        for module, others in imports.items()
        for other in others - folders
        if other.count(".") == 1 and _folder(module, folders) not in PACKAGES
    }

    def room(module: str) -> str:
        return module if module in base else _folder(module, folders)

    found: dict[str, set[str]] = {}
    for module, others in imports.items():
        found.setdefault(room(module), set()).update(map(room, others))
    # Errors, annotations and the like, which every room may import.
    shared = {name for name in found if name in base | {"indexer"} and name.startswith("indexer")}
    return {
        name: frozenset(others - shared - {name})
        for name, others in found.items()
        if name not in shared
    }


def _folder(module: str, folders: set[str]) -> str:
    top, *inner = module.split(".")
    name = f"{top}.{inner[0]}" if inner and top != "cli" else top
    return name if name in folders else top


def _reduced(edges: Edges) -> dict[str, frozenset[str]]:
    """Without the arrows that follow from others."""
    reach: dict[str, frozenset[str]] = {}
    for room in TopologicalSorter(edges).static_order():
        reach[room] = edges[room].union(*(reach[other] for other in edges[room]))
    return {
        room: frozenset(o for o in others if not any(o in reach[p] for p in others))
        for room, others in edges.items()
    }


def _layers(edges: Edges) -> list[list[str]]:
    """Rooms by how far they are from the top, each row in the order that crosses least."""
    users = {room: [r for r, others in edges.items() if room in others] for room in edges}
    depth: dict[str, int] = {}
    for room in reversed([*TopologicalSorter(edges).static_order()]):
        depth[room] = 1 + max((depth[user] for user in users[room]), default=-1)
    rows: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    for room in sorted(edges):
        rows[depth[room]].append(room)
    for _ in range(4):
        for row in rows:
            places = {room: x for line in rows for room, x in _places(line).items()}
            row.sort(key=lambda room: (_mean([places[u] for u in users[room]]), room))
    return rows


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _places(row: list[str]) -> dict[str, float]:
    """The middle of each box, where the middle of the picture is 0."""
    step = _WIDTH + _GAP
    return {room: (n - (len(row) - 1) / 2) * step for n, room in enumerate(row)}


def drawing() -> str:
    """The SVG."""
    edges = _reduced(rooms())
    rows = _layers(edges)
    width = max(map(len, rows)) * (_WIDTH + _GAP) - _GAP + 2 * _MARGIN
    height = len(rows) * (_HEIGHT + _DROP) - _DROP + 2 * _MARGIN
    at = {
        room: (width / 2 + x, _MARGIN + n * (_HEIGHT + _DROP))
        for n, row in enumerate(rows)
        for room, x in _places(row).items()
    }
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="13" text-anchor="middle">',
        "<title>Which room imports which</title>",
        '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0L8 4L0 8z" fill="#888"/></marker>',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for room in sorted(edges):
        x, y = at[room]
        for other in sorted(edges[room]):
            left, top = at[other]
            bend = (top - y - _HEIGHT) / 2
            parts.append(
                f'<path d="M{x:.0f} {y + _HEIGHT}C{x:.0f} {y + _HEIGHT + bend:.0f} '
                f'{left:.0f} {top - bend:.0f} {left:.0f} {top}" fill="none" stroke="#888" '
                'stroke-width="1.2" marker-end="url(#tip)"/>'
            )
    for room in sorted(edges):
        x, y = at[room]
        parts.append(
            f'<rect x="{x - _WIDTH / 2:.0f}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" '
            f'fill="{_COLOURS[room.split(".")[0]]}"/>'
            f'<text x="{x:.0f}" y="{y + 22}" fill="white">{escape(room)}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    TARGET.write_text(drawing(), encoding="utf-8")
