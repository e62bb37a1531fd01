"""A report of a training: labels, map, curves and scores, as one Markdown or HTML file."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexer.cascade.evaluation.paper import ORDERS
from indexer.errors import MissingExtraError, TrainingError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from indexer.cascade.paper.model import JointMap

__all__ = ["check_report", "write_report"]

_Table = tuple[Sequence[str], Sequence[Sequence[str]]]
# Text, a table, or a PNG picture with its caption.
_Part = str | _Table | tuple[str, bytes]


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


def write_report(
    path: Path,
    record: Mapping[str, Any],
    ablations: Mapping[str, Mapping[str, Any]] | None = None,
    maps: Mapping[str, JointMap] | None = None,
) -> None:
    """Write what a training recorded.

    Parameters
    ----------
    path
        Ends with ``.md`` or ``.html``; pictures are inside the file.
    record
        `indexer.cascade.paper.model.PaperModel.record`.
    ablations
        Records of other recipes, by name, for one table more.
    maps
        `indexer.cascade.paper.model.PaperModel.maps`.

    Raises
    ------
    TrainingError
        The file's suffix is neither.
    MissingExtraError
        matplotlib is not installed.
    """
    check_report(path)
    render = _html if path.suffix == ".html" else _markdown
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(_sections(record, ablations or {}, maps or {})), encoding="utf-8")


def _sections(
    record: Mapping[str, Any],
    ablations: Mapping[str, Mapping[str, Any]],
    maps: Mapping[str, JointMap],
) -> list[tuple[str, list[_Part]]]:
    val, images = record["val"], record["images"]
    intro = (
        f"Recipe {record['recipe']['name']}, seed {record['recipe']['seed']}: "
        f"{images['train']} train and {images['val']} val images of the paper's classes. "
        f"Everything below is of val, which also chose the variant {val['best']}."
    )
    scores = {**val["variants"], **val["baselines"]}
    sections: list[tuple[str, list[_Part]]] = [
        ("Training of the cascade", [intro]),
        ("Scores", [_score_table(scores), _cases(val)]),
    ]
    if ablations:
        others = {
            f"{name}: {variant}": row
            for name, other in ablations.items()
            for variant, row in other["val"]["variants"].items()
        }
        sections.append(("Ablation", [_score_table({**val["variants"], **others})]))
    for part in record["rounds"]:
        rows = [(name, str(size)) for name, size in part["labels"].items()]
        shown: list[_Part] = [
            f"{len(rows)} labels; class frequencies count {part['prior']:g}.",
            (("label", "train images"), rows),
            ("Losses", _curves(part)),
        ]
        if part["variant"] in maps:
            picture = _map(maps[part["variant"]])
            shown.append(("Joint vectors of diseased train images (t-SNE), by label", picture))
        sections.append((f"Round {part['variant']}", shown))
    return sections


def _cases(val: Mapping[str, Any]) -> str:
    counted = ", ".join(f"{val['cases'][str(n)]} of at least {n} words" for n in ORDERS)
    return (
        f"{val['images']} images, {val['diseased']} diseased; {counted}. In brackets: 95 % "
        "intervals over studies. BLEU-n is over the images with at least n words."
    )


def _score_table(scores: Mapping[str, Mapping[str, Any]]) -> _Table:
    head = ["", "accuracy", "balanced", *(f"BLEU-{n}" for n in ORDERS), "BLEU-1 diseased"]
    rows = []
    for name, row in scores.items():
        ends = row.get("intervals", {})
        cells = [
            (row["accuracy"], ends.get("accuracy")),
            (row["balanced_accuracy"], ends.get("balanced_accuracy")),
            *((row["bleu"][str(n)], ends.get("bleu", {}).get(str(n))) for n in ORDERS),
            (row["bleu_diseased"]["1"], ends.get("bleu_diseased", {}).get("1")),
        ]
        rows.append([name.replace("_", " "), *(_cell(value, pair) for value, pair in cells)])
    return head, rows


def _cell(value: float | None, ends: Sequence[float] | None) -> str:
    if value is None:
        return "no case"
    return f"{value:.1f}" + (f" ({ends[0]:.1f}-{ends[1]:.1f})" if ends else "")


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


def _curves(part: Mapping[str, Any]) -> bytes:
    figure = _figure()
    for place, network in enumerate(("classifier", "writer"), 1):
        axes = figure.add_subplot(1, 2, place)
        epochs = [row["epoch"] for row in part[network]]
        for key, label in (("loss", "train"), ("val_loss", "val")):
            axes.plot(epochs, [row[key] for row in part[network]], label=label)
        axes.set(title=network, xlabel="epoch", ylabel="loss")
        axes.legend()
    return _png(figure)


def _map(joint: JointMap) -> bytes:
    figure = _figure()
    axes = figure.add_subplot()
    marks = "o^sDvP*X<>"
    for number, name in enumerate(dict.fromkeys(sorted(joint.labels))):
        rows = [row for row, label in enumerate(joint.labels) if label == name]
        axes.scatter(
            joint.places[rows, 0],
            joint.places[rows, 1],
            s=9,
            color=f"C{number % 10}",
            marker=marks[number // 10 % len(marks)],
            label=name[:40],
        )
    axes.set_axis_off()
    axes.legend(fontsize=5, ncols=2, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return _png(figure)


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _markdown(sections: Sequence[tuple[str, Sequence[_Part]]]) -> str:
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


def _html(sections: Sequence[tuple[str, Sequence[_Part]]]) -> str:
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
        f"<title>Training of the cascade</title><style>{style}</style></head><body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
