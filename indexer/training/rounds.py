"""One training: CNNs, the RNN over their embeddings, more CNNs over the composite labels that come
of both, and a bundle of them all."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from indexer.cascade.bundle import Bundle, BundleDescription
from indexer.cascade.networks.annotator import Annotator
from indexer.cascade.text_space import COMMON, TextSpace
from indexer.cascade.trained_on import compressed
from indexer.datasets.targets import KnownTargets
from indexer.evaluation.areas import areas_by_source, mean_area
from indexer.learning.second_cascade import Embedded, SecondCascade, TrainSecondCascade
from indexer.training.annotator import annotator_shape, train_annotator
from indexer.training.assembly import Ensemble, TrainedMember, join, teach
from indexer.training.cnn.member import (
    TrainingRun,
    Validation,
    train_member,
)
from indexer.training.cnn.reading import read_kept
from indexer.training.cnn.supervision import Supervision, common_text, view_targets
from indexer.training.cnn.teachers import Teachers
from indexer.training.composite_labels import Composites, find_composites
from indexer.training.interpretation.calibration import failings
from indexer.training.interpretation.thresholds import (
    Judged,
    choose_thresholds,
    counts_by_source,
)
from indexer.training.interpretation.unusual import learn_unusual
from indexer.training.likeness import fit_likeness, group_means
from indexer.training.recipe import Recipe
from indexer.training.sources import PARTS, Sources, Start
from indexer.training.towers import learn_text_space, told_by_source
from indexer.words import sentences

__all__ = ["Training"]

log = logging.getLogger(__name__)


class Training:
    """One training, from its sources to a bundle.

    Parameters
    ----------
    sources, start
        What it learns from, and the bundle it starts from; None for the recipe's weights.
    work
        Holds checkpoints and what was read.
    teachers
        Who tells what nobody says of a picture; None for nobody.
    """

    def __init__(
        self,
        recipe: Recipe,
        sources: Sources,
        start: Start | None,
        work: Path,
        device: torch.device,
        teachers: Teachers | None = None,
    ) -> None:
        self.recipe = recipe
        self.teachers = teachers or Teachers()
        self.sources = sources
        self.labels = sources.labels
        self.device = device
        self.members: list[TrainedMember] = []
        self.histories: list[list[dict[str, Any]]] = []
        self.rounds: list[dict[str, Any]] = []
        self._findings = len(sources.labels.findings)
        self.supervision = Supervision.of(
            sources.examples["train"], sources.labels, text=recipe.text_weight > 0
        )
        self.composites = Composites.none(
            {part: len(rows) for part, rows in sources.examples.items()}
        )
        val = sources.examples["val"]
        self.validation = Validation(
            sources.canvases["val"],
            sources.judged_once("val"),
            view_targets(val),
            sources.source["val"],
            sources.names,
        )
        several = len(sources.names) > 1 or any(e.findings for e in sources.examples["train"])
        self.run = TrainingRun(
            work,
            device,
            start,
            [*sources.labels.findings, *sources.labels.pairs],
            sources.draw_weight() if several and recipe.balanced else None,
        )

    def bundle(
        self, output: Path, started: float, device: str, second: TrainSecondCascade | None
    ) -> tuple[Bundle, Composites]:
        """Train and write it."""
        recipe, count = self.recipe, len(self.recipe.backbones)
        for number in range(count):
            columns = np.arange(self.sources.known["train"].targets.shape[1])
            if self.members and recipe.trained - recipe.feedback <= number < recipe.trained:
                columns = self._feed_back(columns)
            self.add_member(number, columns)
        if recipe.feedback and recipe.feedback >= recipe.trained:
            self._find_composites()
        self._teach_rest()
        joined, annotator = self._close_round()
        findings = np.arange(self._findings)
        judged = {
            part: Judged(self.sources.known[part].columns(findings), self.sources.source[part])
            for part in PARTS
        }
        scores = joined.logits["val"][:, findings].numpy()
        names = self.labels.findings
        thresholds = choose_thresholds(names, judged["train"], judged["val"], scores)
        lateral = torch.stack([m.outputs["val"].view for m in self.members]).mean(0).numpy()
        views = [e.view for e in self.sources.examples["val"]]
        wrong = failings(thresholds.possible, judged["val"].known, scores, views, lateral)
        paper = self._train_second(second, joined, device)
        record = {
            "recipe": asdict(recipe),
            "start": None if self.run.start is None else self.run.start.bundle.hash,
            "teachers": [bundle.hash for bundle in self.teachers.bundles],
            "sources": list(self.sources.names),
            "data": {part: len(rows) for part, rows in self.sources.examples.items()},
            "members": self.histories,
            "rounds": self.rounds,
            "composites": dict(
                zip(
                    self.composites.names,
                    self.composites.goals["train"].sum(0).astype(int).tolist(),
                    strict=True,
                )
            ),
            "paper": paper.record if paper else None,
            "likeness": fit_likeness(self.sources, joined.vectors).to_json(),
            "trained_on": compressed(e.image_id for e in self.sources.examples["train"]),
            "failings": wrong,
            "thresholds": counts_by_source(
                names, thresholds, judged["val"], scores, self.sources.names
            ),
            "seconds": round(time.time() - started),
        }
        log.info("on val: %s", self.rounds[-1])
        weights = {
            f"{prefix}.{name}": value.detach().float().cpu().numpy()
            if value.is_floating_point()
            else value.cpu().numpy()
            for prefix, module in (("encoder", joined.encoder), ("annotator", annotator))
            for name, value in module.state_dict().items()
        }
        if recipe.text_weight:
            weights[COMMON] = common_text(self.sources.examples["train"])
        if paper:
            weights |= {f"paper.{name}": tensor for name, tensor in paper.tensors.items()}
        description = BundleDescription(
            name=recipe.name,
            size=recipe.size,
            squash=recipe.squash,
            dimensions=recipe.dimensions,
            labels=replace(self.labels, composites=self.composites.names),
            thresholds=thresholds.possible,
            likely=thresholds.likely,
            architecture={
                "backbones": recipe.backbones,
                "sentences": sentences.DIMENSIONS if recipe.text_weight else 0,
                "annotator": annotator_shape(recipe),
                "borders": recipe.borders,
            },
            record=record,
            paper=paper.description if paper else None,
        )
        # The unusual score is learned from search vectors as the bundle itself computes them.
        bundle = Bundle.save(output, description, weights)
        films = {part: self.sources.canvases_by_source(part) for part in PARTS}
        score, record["unusual"] = learn_unusual(bundle, films, device, recipe.seed)
        weights |= score.tensors()
        if recipe.text_weight:
            told = {
                part: told_by_source(self.sources, part, joined.vectors[part]) for part in PARTS
            }
            space, record["towers"] = learn_text_space(
                told["train"], told["val"], TextSpace.of(bundle), recipe.seed
            )
            weights |= space.tensors()
        return Bundle.save(output, description, weights), self.composites

    def add_member(self, number: int, columns: npt.NDArray[np.int64]) -> None:
        """Train the next CNN on the labels `columns` of all."""
        recipe, columns, taught, run = self.lesson(number, columns)
        member, history = train_member(
            recipe, number, taught, self.sources.canvases["train"], self.validation, run
        )
        outputs = {
            part: read_kept(member, self.sources.canvases[part], self.run.work, self.run.device)
            for part in PARTS
        }
        self.members.append(TrainedMember(member.cpu(), outputs, columns))
        self.histories.append(history)

    def lesson(
        self, number: int, columns: npt.NDArray[np.int64]
    ) -> tuple[Recipe, npt.NDArray[np.int64], Supervision, TrainingRun]:
        """What a CNN is taught of the labels `columns`: how, which of them, and from what."""
        recipe, start = self.recipe, self.run.start
        names = [(*self.run.names, *self.composites.names)[c] for c in columns]
        if number >= recipe.trained:
            assert start is not None
            knows = start.knows(number, names)
            columns, names = columns[knows], [n for n, k in zip(names, knows, strict=True) if k]
            recipe = replace(recipe, epochs=0)
        known = self._known("train").columns(columns)
        taught = replace(
            self.supervision,
            labels=torch.from_numpy(known.targets),
            weight=torch.from_numpy(known.known).float(),
        )
        canvases = self.sources.canvases["train"]
        if self.teachers.bundles and recipe.teacher_weight and recipe.epochs:
            chances, scored = self.teachers.chances(canvases, names, self.run.work)
            weight = torch.from_numpy(recipe.teacher_weight * scored.astype(np.float32))
            taught = taught.taught_by(torch.from_numpy(chances), weight)
        return recipe, columns, taught, replace(self.run, names=names)

    def _known(self, part: str) -> KnownTargets:
        """What is known of findings, pairs and the composite labels so far."""
        goals = self.composites.goals[part]
        known = np.zeros(goals.shape, bool)
        known[self.sources.annotated(part)] = True
        return self.sources.known[part].join(KnownTargets(goals, known))

    def _feed_back(self, columns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Find composite labels; the columns that the next CNN is taught."""
        self._find_composites()
        new = len(columns) + np.arange(len(self.composites.names))
        return np.concatenate([columns[: self._findings], new])

    def _teach_rest(self) -> None:
        """The labels that no CNN was taught are learnt by the head of the last one alone."""
        known = self._known("train")
        taught = np.concatenate([member.columns for member in self.members])
        rest = np.setdiff1d(np.arange(known.targets.shape[1]), taught)
        rows = np.flatnonzero(known.known[:, rest].any(1))
        if len(rows):
            self.members[-1] = teach(self.members[-1], known.columns(rest).rows(rows), rest, rows)

    def _find_composites(self) -> None:
        """New composite labels; what the CNNs so far know of composite labels is of others."""
        joined, annotator = self._close_round()
        rows = {part: self.sources.annotated(part) for part in PARTS}
        found = find_composites(
            annotator,
            self.labels,
            {part: self.sources.annotations(part) for part in PARTS},
            {part: joined.vectors[part][rows[part]] for part in PARTS},
            self.recipe,
        )
        goals = {}
        for part in PARTS:
            count = len(self.sources.examples[part])
            goals[part] = np.zeros((count, len(found.names)), np.float32)
            goals[part][rows[part]] = found.goals[part]
        self.composites = replace(found, goals=goals)
        first = self.sources.known["train"].targets.shape[1]
        self.members = [replace(m, columns=m.columns[m.columns < first]) for m in self.members]
        log.info("%d composite labels: %s", len(found.names), "; ".join(found.names))

    def _close_round(self) -> tuple[Ensemble, Annotator]:
        """The CNNs so far side by side, the RNN over them, and how both do on val."""
        sources, known = self.sources, self._known("val")
        joined = join(self.recipe, self.labels.findings, self.members, known, self.supervision)
        rows = {part: sources.annotated(part) for part in PARTS}
        annotator, history = train_annotator(
            self.recipe,
            self.labels,
            {part: sources.annotations(part) for part in PARTS},
            {part: joined.vectors[part][rows[part]] for part in PARTS},
        )
        goals = self.validation.goals
        scores = joined.logits["val"][:, : self._findings]
        study = np.unique([e.study for e in sources.examples["val"]], return_inverse=True)[1]
        by_source = {
            name: areas_by_source(goals, values.numpy(), sources.source["val"], sources.names)
            for name, values in (
                ("own", scores),
                ("pooled", group_means(scores, torch.from_numpy(study))),
            )
        }
        row = {
            "cnns": len(self.members),
            "composites": len(self.composites.names),
            "val_mean_auc": mean_area(by_source["own"]),
            "val_mean_auc_pooled": mean_area(by_source["pooled"]),
            "val_by_source": by_source,
            "annotator": history,
        }
        log.info(
            "%d CNNs: mean AUC on val %.4f, pooled by study %.4f (%s)",
            *(row["cnns"], row["val_mean_auc"], row["val_mean_auc_pooled"], by_source),
        )
        self.rounds.append(row)
        return joined, annotator

    def _train_second(
        self, second: TrainSecondCascade | None, joined: Ensemble, device: str
    ) -> SecondCascade | None:
        """The cascade that the bundle carries beside its own, of the images that people
        annotated."""
        if second is None:
            return None
        parts = {}
        for part in PARTS:
            rows = self.sources.annotated(part)
            parts[part] = Embedded(
                [self.sources.examples[part][n] for n in rows],
                joined.vectors[part][rows],
                joined.logits[part][rows][:, : self._findings].numpy(),
            )
        return second(parts, self.labels.findings, self.run.work, device)
