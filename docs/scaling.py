"""The table of docs/scaling.md, made by the planner: `python -m docs.scaling`; a test compares."""

from __future__ import annotations

import re
from pathlib import Path

from indexer.planning.plan import Number, Plan, make_plan

__all__ = ["TARGET", "render"]

TARGET = Path(__file__).parent / "scaling.md"
_SIZES = (1_000_000, 10_000_000, 100_000_000)
_TABLE = re.compile(r"(<!-- plan -->\n).*?(<!-- end -->)", re.DOTALL)
_MARKS = {"measured": "m", "extrapolated": "e", "advice": "a", "asked": "asked"}


def render(page: str) -> str:
    """The page with its table made anew."""
    return _TABLE.sub(lambda block: f"{block[1]}{_table()}\n{block[2]}", page)


def _table() -> str:
    plans = [make_plan(size) for size in _SIZES]
    names = [number.name for number in plans[-1].numbers]
    rows = [
        ["", *(f"{size:,} images" for size in _SIZES), "measurements behind it"],
        ["---"] * (len(_SIZES) + 2),
        *([n, *(_cell(plan, n) for plan in plans), _sources(plans[-1][n])] for n in names),
        ["breaks first", *(_first(plan) for plan in plans), ""],
        ["command", *map(_commands, plans), ""],
    ]  # fmt: skip
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(plan: Plan, name: str) -> str:
    found = [number for number in plan.numbers if number.name == name]
    if not found:
        return "none"
    (number,) = found
    shown = f"{number.value:,.0f}" if number.value >= 1000 else f"{number.value:g}"
    return f"{shown} {number.unit} ({_MARKS[number.how]})".replace("  ", " ")


def _sources(number: Number) -> str:
    """Files of results and fields; of the encodings of the mix the first."""
    fields = [source.removeprefix("benchmarks/results/") for source in number.sources]
    shown = ["decoding.json, by the mix" if s.startswith("decoding.json") else s for s in fields]
    return "; ".join(dict.fromkeys(shown))


def _commands(plan: Plan) -> str:
    return "; ".join(f"`{command.split('#')[0].strip()}`" for command in plan.commands)


def _first(plan: Plan) -> str:
    limit = plan.first_limit
    return f"at {limit.images:,.0f} images: {limit.what} ({_MARKS[limit.how]})"


if __name__ == "__main__":
    TARGET.write_text(render(TARGET.read_text(encoding="utf-8")), encoding="utf-8")
