"""The model card of a trained bundle: what it learnt from, what it can say, and how well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from indexer import advice
from indexer.annotation import EVEN
from indexer.cascade.bundle import Bundle
from indexer.datasets.description import Description
from indexer.evaluation.areas import MIN_POSITIVES

__all__ = ["FILE", "write_model_card"]

#: Name of the card in a bundle's folder.
FILE = "MODEL_CARD.md"

_NEVER, _UNKNOWN = "never", "not known"


def write_model_card(bundle: Bundle, sources: Sequence[Description]) -> Path:
    """Write ``MODEL_CARD.md`` into the bundle's folder, of what its training recorded.

    Parameters
    ----------
    sources
        The data sets that it learnt from.

    Returns
    -------
    Path
        The card.
    """
    record = bundle.record
    recipe: Mapping[str, Any] = record.get("recipe", {})
    last = (record.get("rounds") or [{}])[-1]
    parts = [
        f"# Model card: {bundle.name}",
        _what(bundle),
        "## Data",
        _table(
            ("data set", "source", "licence"),
            [(d.name, d.source or "-", d.licence or "-") for d in sources],
        ),
        _data(record),
        "## Training",
        _training(recipe, record),
        "## Scores on `val`",
        _scores(last),
        "## What it reports",
        _reports(bundle),
        _table(("finding", "possible from", "likely from"), _limits(bundle)),
        _by_source(record.get("thresholds", {})),
        "## Limits",
        "It was judged on the data above alone: measure it on your own films first "
        f"({advice.EVALUATE}). It knows no finding that is not in the "
        "table, has seen what is rare only seldom, and is no medical device: nobody may be treated "
        "by what it says.",
    ]
    path = bundle.path / FILE
    path.write_text("\n\n".join(filter(None, parts)) + "\n", "utf-8")
    return path


def _what(bundle: Bundle) -> str:
    backbones = ", ".join(bundle.architecture.get("backbones", ()))
    words = len(bundle.labels.vocabulary)
    return (
        f"A cascade of `cxrdex` (hash `{bundle.hash}`): CNNs ({backbones}) that read chest X-rays "
        f"at {bundle.size} x {bundle.size} pixels, score {len(bundle.findings)} findings, "
        f"{len(bundle.labels.pairs)} pairs of finding and qualifier and "
        f"{len(bundle.labels.composites)} composite labels, and make a search vector of "
        f"{bundle.dimensions} numbers; an RNN words each finding from {words} words."
    )


def _data(record: Mapping[str, Any]) -> str:
    counts = record.get("data", {})
    text = ", ".join(f"{count} images of the part `{part}`" for part, count in counts.items())
    return (
        f"Learnt from and chosen by: {text}. Calibration, thresholds and models are chosen on "
        "`val`, so the scores below flatter it a little. No patient that the data sets tell apart "
        "is in both parts."
    )


def _training(recipe: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    names = ("epochs", "batch_size", "learning_rate", "crop", "min_images", "feedback", "seed")
    text = ", ".join(f"{name.replace('_', ' ')} {recipe[name]}" for name in names if name in recipe)
    start = "ImageNet weights" if recipe.get("pretrained") else "random weights"
    start = str(recipe.get("weights") or start)
    if record.get("start"):
        start = f"the bundle `{record['start']}`"
    told = ", ".join(f"`{name}`" for name in record.get("teachers") or ())
    if told and recipe.get("teacher_weight") and recipe.get("epochs"):
        start += f"; where nobody says anything of a picture, taught by the bundles {told}"
    minutes = record.get("seconds", 0) / 60
    return (
        f"Started from {start}; {text or 'the recipe was not recorded'}. It took {minutes:.0f} "
        "minutes. Everything that was recorded stands in `bundle.json` under `record`."
    )


def _scores(last: Mapping[str, Any]) -> str:
    scores = _flat(last)
    if not scores:
        return "None were recorded."
    rows = [(key.replace("_", " "), _shown(value)) for key, value in scores]
    table = _table(("score", "value"), rows)
    if any(value is None for _, value in scores):
        table += (
            f"\n\nA mean is over the findings that at least {MIN_POSITIVES} images of `val` have; "
            "it is not known where there is none."
        )
    return table


def _shown(score: float | None) -> str:
    if score is None:
        return _UNKNOWN
    return f"{score:.3f}" if isinstance(score, float) else str(score)


def _flat(scores: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float | int | None]]:
    """All numbers of a nest of scores, by their path; histories are left out."""
    found: list[tuple[str, float | int | None]] = []
    for key, value in scores.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{key}: ")
        elif value is None or isinstance(value, int | float):
            found.append((f"{prefix}{key}", value))
    return found


def _reports(bundle: Bundle) -> str:
    if bundle.likely is None:
        likely = f"A finding is likely from a probability of {EVEN} on."
    else:
        likely = "A finding is likely where at least half of such findings on `val` were there."
    return (
        f"{likely} It is possible, for search only, where it is clearly commoner than elsewhere. "
        "Where several data sets judge a finding, both are chosen by the mean over them. "
        "Probabilities are calibrated."
    )


def _limits(bundle: Bundle) -> list[tuple[str, str, str]]:
    rows = []
    for name in bundle.findings:
        likely = EVEN if bundle.likely is None else bundle.likely.get(name)
        text = _NEVER if likely is None else f"{likely:.2f}"
        rows.append((name, f"{bundle.thresholds[name]:.2f}", text))
    return rows


def _by_source(counts: Mapping[str, Mapping[str, Mapping[str, int]]]) -> str:
    """What each data set's val films say of the thresholds; nothing where that was not recorded."""
    rows = [
        (
            finding,
            source,
            f"{row['positives']} of {row['films']}",
            *(f"{row[f'{key}_right']} of {row[key]}" for key in ("possible", "likely")),
        )
        for source, found in counts.items()
        for finding, row in found.items()
    ]
    heads = ("finding", "data set", "`val` films that have it", "possible, right", "likely, right")
    return _table(heads, sorted(rows)) if rows else ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in lines)
