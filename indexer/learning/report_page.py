"""A report of a training as one Markdown or HTML file, its pictures inside."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from indexer.errors import MissingExtraError, TrainingError
from indexer.learning.composite_map import CompositeMap

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Section", "Table", "check_report", "draw_curves", "draw_map", "write_page"]

Table: TypeAlias = tuple[Sequence[str], Sequence[Sequence[str]]]
# A title, and texts, tables, and PNG pictures with their captions.
Section: TypeAlias = tuple[str, Sequence[str | Table | tuple[str, bytes]]]

_NAMES_A_ROW = 3


def check_report(path: Path) -> None:
    """Refuse a report that could not be written, before a long training.

    Raises
    ------
    TrainingError
        The file's suffix is neither ``.md`` nor ``.html``.
    MissingExtraError
        matplotlib is not installed.
    """
    if path.suffix not in {".md", ".html"}:
        raise TrainingError(f"a report is an .md or .html file, not {path.name}")
    _figure()


def write_page(path: Path, sections: Sequence[Section]) -> None:
    """Write sections; the first has the title of the page.

    Raises
    ------
    TrainingError
        The file's suffix is neither ``.md`` nor ``.html``.
    MissingExtraError
        matplotlib is not installed.
    """
    check_report(path)
    render = _html if path.suffix == ".html" else _markdown
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(sections), encoding="utf-8")


def _figure() -> Figure:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("a report needs the extra: pip install 'cxrdex[train]'") from error
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    return buffer.getvalue()


def draw_curves(
    curves: Mapping[str, Sequence[Mapping[str, Any]]], keys: Mapping[str, str], what: str
) -> bytes:
    """A PNG with one panel for each network.

    Parameters
    ----------
    curves
        Per network, its history: rows with ``epoch`` and the values of `keys`.
    keys
        What to draw, and the words for it; a network shows those that its rows have.
    what
        Of the vertical axis.
    """
    figure = _figure()
    for place, (network, history) in enumerate(curves.items(), 1):
        axes = figure.add_subplot(1, len(curves), place)
        for key, label in keys.items():
            if key in history[0]:
                axes.plot([r["epoch"] for r in history], [r[key] for r in history], label=label)
        axes.set(title=network, xlabel="epoch", ylabel=what)
        axes.legend()
    return _png(figure)


def draw_map(points: CompositeMap) -> bytes:
    """A PNG of joint vectors, marked by label."""
    figure = _figure()
    names = sorted(set(points.labels))
    # The map keeps its height whatever room the names below it take.
    figure.set_figheight(5.0 + 0.11 * -(-len(names) // _NAMES_A_ROW))
    axes = figure.add_subplot()
    marks = "o^sDvP*X<>"
    for number, name in enumerate(names):
        rows = [row for row, label in enumerate(points.labels) if label == name]
        axes.scatter(
            points.places[rows, 0],
            points.places[rows, 1],
            s=9,
            color=f"C{number % 10}",
            marker=marks[number // 10 % len(marks)],
            label=name,
        )
    axes.set_axis_off()
    figure.legend(fontsize=6, ncols=_NAMES_A_ROW, loc="outside lower center", frameon=False)
    return _png(figure)


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _markdown(sections: Sequence[Section]) -> str:
    lines = []
    for level, (title, parts) in enumerate(sections):
        lines.append(f"{'##' if level else '#'} {title}")
        for part in parts:
            if isinstance(part, str):
                lines.append(part)
            elif isinstance(part[1], bytes):
                lines.append(f"![{part[0]}]({_data_uri(part[1])})")
            else:
                head, rows = part
                table = [head, ["---"] * len(head), *rows]
                lines.append("\n".join("| " + " | ".join(row) + " |" for row in table))
    return "\n\n".join(lines) + "\n"


def _html(sections: Sequence[Section]) -> str:
    body = []
    for level, (title, parts) in enumerate(sections):
        tag = "h2" if level else "h1"
        body.append(f"<{tag}>{html.escape(title)}</{tag}>")
        for part in parts:
            if isinstance(part, str):
                body.append(f"<p>{html.escape(part)}</p>")
            elif isinstance(part[1], bytes):
                caption = html.escape(str(part[0]))
                body.append(f'<p>{caption}<br><img alt="{caption}" src="{_data_uri(part[1])}"></p>')
            else:
                head, rows = part
                body.append("<table>" + _row(head, "th"))
                body += [_row(row, "td") for row in rows]
                body.append("</table>")
    style = "body{font:15px sans-serif;max-width:70em;margin:2em auto}td,th{padding:.1em .7em}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(sections[0][0])}</title><style>{style}</style></head><body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
