"""What each part of training from several sources does: trained with and without it, on a short
schedule with one seed, and judged on the val part of every source.

    python -m benchmarks.levers --start BUNDLE ../shared/openi ../shared/nih ../shared/roco

The last data set is the one of captions. A row that is there already is not made again. With
``--table further`` soft targets come from more views and bundles, and each change of appearance is
left out alone; with ``--table unlabelled``, the pictures that nobody labelled, of which as many are
learnt from as ``--limit`` has of labelled ones.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import torch

from benchmarks.record import RESULTS, write_result
from indexer.cascade.bundle import Bundle
from indexer.evaluation.areas import areas_by_source, mean_auc
from indexer.evaluation.captions import own_ranks
from indexer.evaluation.retrieval import Truth, image_scores
from indexer.memory import keep_freed_memory
from indexer.training.assembly import Ensemble, join
from indexer.training.cnn.teachers import Teachers
from indexer.training.recipe import Recipe
from indexer.training.rounds import Training
from indexer.training.sources import PARTS, Sources, Start
from indexer.words import sentences

#: What each row of a table changes in the recipe; each table has a row of all, of its own machine.
_PARTS: Mapping[str, Mapping[str, Any]] = {
    "all": {},
    "nothing trained": {"epochs": 0},
    "without the labelled and unlabelled films of NIH": {},
    "without the captioned films of ROCO": {},
    "without soft targets for what nobody says (self-training)": {"teacher_weight": 0.0},
    "without changes of appearance": {"strong": False},
    "with JPEG compression, too": {"jpeg": True},
    "without cutting borders": {"borders": False},
    "padded, not squashed": {"squash": False},
    "without balanced draws": {"balanced": False},
    "without averaged weights": {"averaged": 0.0},
    "all the way, not 0.8 of it": {"interpolation": 1.0},
    "without sentences": {"text_weight": 0.0},
}
_FURTHER: Mapping[str, Mapping[str, Any]] = {
    "all": {},
    "soft targets from three views of each picture": {"teacher_views": 3},
    "and of two bundles, the other the one that ships": {"teacher_views": 3},
    "without gamma": {"left_out": ("gamma",)},
    "without contrast": {"left_out": ("contrast",)},
    "without local equalisation": {"left_out": ("local equalisation",)},
    "without blur and coarse pixels": {"left_out": ("blur", "coarse pixels")},
    "without noise": {"left_out": ("noise",)},
    "without letters and arrows": {"left_out": ("letters",)},
    "without drawn borders": {"left_out": ("borders",)},
    "without rotations": {"left_out": ("rotations",)},
    "without scales": {"left_out": ("scales",)},
}
_UNLABELLED: Mapping[str, Mapping[str, Any]] = {
    "all": {},
    "without the films of NIH that nobody labelled": {},
}
_TABLES = {"parts": _PARTS, "further": _FURTHER, "unlabelled": _UNLABELLED}
_RESULT = {"parts": "levers", "further": "levers-further", "unlabelled": "levers-unlabelled"}
# Here the bundle that ships teaches beside the one that training starts from.
_TWO_BUNDLES = "and of two bundles, the other the one that ships"
# Of which data set nothing is learnt, and whether its films of which somebody says something stay.
_LEFT_OUT = {
    "without the labelled and unlabelled films of NIH": (1, False),
    "without the captioned films of ROCO": (2, False),
    "without the films of NIH that nobody labelled": (1, True),
}


@click.command()
@click.argument("datasets", nargs=3, type=click.Path(path_type=Path))
@click.option("--start", type=click.Path(path_type=Path), required=True, help="A bundle.")
@click.option("--work", type=click.Path(path_type=Path), required=True, help="For checkpoints.")
@click.option("--table", type=click.Choice(list(_TABLES)), default="parts", show_default=True)
@click.option("--limit", default=2000, show_default=True, help="Films of each source and part.")
@click.option("--epochs", default=1, show_default=True)
def main(
    datasets: tuple[Path, ...], start: Path, work: Path, table: str, limit: int, epochs: int
) -> None:
    """Print and keep one row for each part of the training."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    keep_freed_memory(-1)
    begin = Start(Bundle.load(start))
    recipe = Recipe(
        backbones=("tf_efficientnet_lite0",),
        feedback=0,
        epochs=epochs,
        frozen=2,
        strong=True,
        interpolation=0.8,
    )
    kept = RESULTS / f"{_RESULT[table]}.json"
    rows: dict[str, Any] = json.loads(kept.read_text())["rows"] if kept.exists() else {}
    options = "" if table == "parts" else f" --table {table}"
    for row, changes in _TABLES[table].items():
        if row in rows:
            continue
        torch.manual_seed(0)
        changed = replace(recipe, **changes)
        teachers = [begin.bundle, *([Bundle.load(None)] if row == _TWO_BUNDLES else [])]
        if table == "unlabelled":
            # The labelled films of NIH come first, so that a limit alone takes no other.
            sources = _first_of_each(Sources.load(datasets, changed, work, unlabelled=True), limit)
        else:
            sources = Sources.load(datasets, changed, work, limit=limit, unlabelled=True)
        if row in _LEFT_OUT:
            sources = _without(sources, *_LEFT_OUT[row])
        rows[row] = _row(changed, sources, begin, teachers, work)
        write_result(
            _RESULT[table],
            {
                "command": "python -m benchmarks.levers OPENI NIH ROCO --start BUNDLE "
                f"--work FOLDER{options} --limit {limit} --epochs {epochs}",
                "start": begin.bundle.hash,
                "films_of_each_source": limit,
                "epochs": epochs,
                "rows": rows,
            },
        )


def _row(
    recipe: Recipe, sources: Sources, start: Start, teachers: Sequence[Bundle], work: Path
) -> dict[str, float]:
    """What a training by this recipe comes to."""
    telling = Teachers(teachers, recipe.teacher_views)
    training = Training(recipe, sources, start, work, torch.device("cpu"), telling)
    training.add_member(0, np.arange(sources.known["train"].targets.shape[1]))
    joined = join(
        recipe,
        sources.labels.findings,
        training.members,
        sources.known["val"],
        training.supervision,
    )
    return _judged(joined, sources)


def _without(sources: Sources, number: int, labelled_stay: bool) -> Sources:
    """The same, but that nothing of one data set is learnt from, or only its labelled films."""
    stays = sources.source["train"] != number
    if labelled_stay:
        stays |= _labelled(sources)
    return _learnt_from(sources, np.flatnonzero(stays))


def _first_of_each(sources: Sources, limit: int) -> Sources:
    """The same, but that of each data set only the first films are learnt from of which somebody
    says something, and as many of which nobody does."""
    kind = 2 * sources.source["train"] + _labelled(sources)
    first = [np.flatnonzero(kind == number)[:limit] for number in np.unique(kind)]
    return _learnt_from(sources, np.sort(np.concatenate(first)))


def _labelled(sources: Sources) -> npt.NDArray[np.bool_]:
    """Whether anybody says anything of each film of `train`."""
    examples = sources.examples["train"]
    return np.array([bool(e.annotations or e.findings or e.sentences) for e in examples])


def _learnt_from(sources: Sources, kept: npt.NDArray[np.int64]) -> Sources:
    """The same with these films of `train` alone."""
    return replace(
        sources,
        examples={**sources.examples, "train": [sources.examples["train"][n] for n in kept]},
        source={**sources.source, "train": sources.source["train"][kept]},
        canvases={**sources.canvases, "train": sources.canvases["train"][kept]},
        known={**sources.known, "train": sources.known["train"].rows(kept)},
    )


def _judged(joined: Ensemble, sources: Sources) -> dict[str, float]:
    """Mean AUC of the single images of each source, of cardiomegaly, P@5 of abnormal queries of
    the first source, and the captions' median rank as a share of all."""
    findings = sources.labels.findings
    known = sources.judged_once("val")
    scores = joined.logits["val"][:, : len(findings)].numpy()
    source = sources.source["val"]
    judged = {
        f"AUC {name}": area
        for name, area in areas_by_source(known, scores, source, sources.names).items()
    }
    heart = np.array([findings.index("cardiomegaly")])
    first = source == 0
    judged["AUC cardiomegaly"] = mean_auc(known.columns(heart).rows(first), scores[first][:, heart])
    parts = {
        part: [
            n
            for n in np.flatnonzero(sources.source[part] == 0)
            if sources.examples[part][n].annotations
        ]
        for part in PARTS
    }
    truth = Truth(*([sources.examples[part][n] for n in parts[part]] for part in ("val", "train")))
    likeness = joined.vectors["val"][parts["val"]] @ joined.vectors["train"][parts["train"]].T
    found = image_scores(likeness, truth)["p_at_5"][truth.abnormal]
    judged["P@5"] = round(float(found.mean()), 4)
    if joined.encoder.sentence is None:
        return judged
    told = np.flatnonzero(source == len(sources.names) - 1)
    texts = [" ".join(sources.examples["val"][n].sentences) for n in told]
    with torch.inference_mode():
        vectors = torch.from_numpy(joined.vectors["val"][told])
        places = joined.encoder.sentence(vectors * vectors.shape[1] ** 0.5).numpy()
    ranks = own_ranks(sentences.encode(texts) @ places.T)
    judged["captions' median rank"] = round(float(np.median(ranks)) / len(texts), 4)
    return judged


if __name__ == "__main__":
    main()
