"""A report of a training of the paper's cascade: labels, map, curves and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from indexer.learning.composite_map import CompositeMap
from indexer.learning.report_page import Section, Table, draw_curves, draw_map, write_page
from indexer.paper.scores import ORDERS

__all__ = ["write_report"]

_NETWORKS = ("classifier", "writer")
_LOSSES = {"loss": "train", "val_loss": "val"}


def write_report(
    path: Path,
    record: Mapping[str, Any],
    ablations: Mapping[str, Mapping[str, Any]] | None = None,
    maps: Mapping[str, CompositeMap] | None = None,
) -> None:
    """Write what a training recorded.

    Parameters
    ----------
    path
        Ends with ``.md`` or ``.html``; pictures are inside the file.
    record
        `indexer.paper.model.PaperModel.record`.
    ablations
        Records of other recipes, by name, for one table more.
    maps
        `indexer.paper.model.PaperModel.maps`.

    Raises
    ------
    TrainingError
        The file's suffix is neither.
    MissingExtraError
        matplotlib is not installed.
    """
    write_page(path, _sections(record, ablations or {}, maps or {}))


def _sections(
    record: Mapping[str, Any],
    ablations: Mapping[str, Mapping[str, Any]],
    maps: Mapping[str, CompositeMap],
) -> list[Section]:
    val, images = record["val"], record["images"]
    intro = (
        f"Recipe {record['recipe']['name']}, seed {record['recipe']['seed']}: "
        f"{images['train']} train and {images['val']} val images of the paper's classes. "
        f"Everything below is of val, which also chose the variant {val['best']}."
    )
    scores = {**val["variants"], **val["baselines"]}
    sections: list[Section] = [
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
        shown: list[str | Table | tuple[str, bytes]] = [
            f"{len(rows)} labels; class frequencies count {part['prior']:g}.",
            (("label", "train images"), rows),
            ("Losses", draw_curves({n: part[n] for n in _NETWORKS}, _LOSSES, "loss")),
        ]
        if part["variant"] in maps:
            picture = draw_map(maps[part["variant"]])
            shown.append(("Joint vectors of diseased train images (t-SNE), by label", picture))
        sections.append((f"Round {part['variant']}", shown))
    return sections


def _cases(val: Mapping[str, Any]) -> str:
    counted = ", ".join(f"{val['cases'][str(n)]} of at least {n} words" for n in ORDERS)
    return (
        f"{val['images']} images, {val['diseased']} diseased; {counted}. In brackets: 95 % "
        "intervals over studies. BLEU-n is over the images with at least n words."
    )


def _score_table(scores: Mapping[str, Mapping[str, Any]]) -> Table:
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
