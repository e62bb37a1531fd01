"""Curves of a benchmark as an SVG beside its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmarks.record import RESULTS

__all__ = ["Curves", "write_plot"]


class Curves(NamedTuple):
    """One picture: lines by name, over one axis.

    Parameters
    ----------
    title
        What the values are, with their unit.
    lines
        Values by the name of their line.
    lowest
        Where a linear axis begins; None for a logarithmic one.
    """

    title: str
    lines: Mapping[str, Sequence[float]]
    lowest: float | None = None


def write_plot(
    name: str, counted: str, counts: Sequence[int], curves: Sequence[Curves], columns: int = 3
) -> None:
    """Keep `curves` over `counts` of what is `counted` as `<name>.svg` in the folder of results."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "cxrdex"
    from matplotlib import pyplot as plt

    rows = -(-len(curves) // columns)
    size = (4 * columns, 3.25 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for axis, (title, lines, lowest) in zip(axes.flat, curves, strict=True):
        for label, values in lines.items():
            axis.plot(counts, values, marker="o", label=label)
        axis.set(title=title, xscale="log", xlabel=counted)
        if lowest is None:
            axis.set_yscale("log")
        else:
            axis.set_ylim(bottom=lowest)
        if len(lines) > 1:
            axis.legend()
        axis.grid(alpha=0.3)
    figure.savefig(RESULTS / f"{name}.svg", metadata={"Date": None})
