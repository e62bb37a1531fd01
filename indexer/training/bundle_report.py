"""A report of a bundle's training: rounds, curves, composite labels and their map."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from indexer.learning.composite_map import map_composite_vectors
from indexer.learning.report_page import Section, draw_curves, draw_map, write_page
from indexer.training.composite_labels import Composites

__all__ = ["write_bundle_report"]


def write_bundle_report(
    path: Path, name: str, record: Mapping[str, Any], composites: Composites
) -> None:
    """Write what the training of a bundle recorded.

    Parameters
    ----------
    path
        Ends with ``.md`` or ``.html``.
    name
        Of the bundle.
    record
        `indexer.cascade.bundle.Bundle.record`.
    composites
        Of the last round.

    Raises
    ------
    TrainingError
        The file's suffix is neither.
    MissingExtraError
        matplotlib is not installed.
    """
    seed, images, rounds = record["recipe"]["seed"], record["data"], record["rounds"]
    members = {f"CNN {n}": rows for n, rows in enumerate(record["members"], 1)}
    writers = {f"RNN over {row['cnns']}": row["annotator"] for row in rounds}
    heads = ("CNNs", "composite labels", "mean AUC on val", "pooled by study")
    keys = ("cnns", "composites", "val_mean_auc", "val_mean_auc_pooled")
    sections: list[Section] = [
        (
            f"Training of {name}",
            [
                f"Seed {seed}: {images['train']} train and {images['val']} val images. Mean AUC is "
                "over the findings of at least 10 positives."
            ],
        ),
        ("Rounds", [(heads, [[_shown(row[key]) for key in keys] for row in rounds])]),
        (
            "Curves",
            [
                ("Losses of the CNNs", draw_curves(members, {"loss": "train"}, "loss")),
                ("Their mean AUC", draw_curves(members, {"val_mean_auc": "val"}, "mean AUC")),
                (
                    "Losses of the RNNs",
                    draw_curves(writers, {"loss": "train", "val_loss": "val"}, "loss"),
                ),
            ],
        ),
    ]
    if composites.names:
        joint = map_composite_vectors(composites.joint, composites.joint_labels, seed)
        rows = [[label, str(size)] for label, size in record["composites"].items()]
        shown = (
            ("label", "train images"),
            rows,
        )
        caption = "Joint vectors of the annotations that have one (t-SNE), by label"
        sections.append(("Composite labels", [shown, (caption, draw_map(joint))]))
    write_page(path, sections)


def _shown(score: float | None) -> str:
    return "not known" if score is None else str(score)
