"""Trained CNNs as one encoder: labels, calibration, search vectors, places among sentences."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from indexer.annotation import NORMAL
from indexer.cascade.networks.encoder import Encoder, EnsembleMember, Outputs
from indexer.datasets.targets import KnownTargets
from indexer.training.cnn.supervision import Supervision
from indexer.training.interpretation.calibration import calibrate
from indexer.training.recipe import Recipe
from indexer.words import sentences

__all__ = ["Ensemble", "TrainedMember", "join", "teach"]

_FloatArray = npt.NDArray[np.float32]
# Ridge penalties of the map from search vectors to sentences, for its two sides.
_RIDGE, _PHRASE_RIDGE = 1000.0, 1.0
# Ridge penalty of the head for labels that no CNN has learned.
_HEAD_RIDGE = 30.0


@dataclass(frozen=True, slots=True)
class TrainedMember:
    """A CNN, what it says, and what it was taught.

    Parameters
    ----------
    member
        In evaluation mode.
    outputs
        Per part of the data set, its outputs.
    columns
        Shape (k,): which of all labels the first k scores of its head are.
    """

    member: EnsembleMember
    outputs: Mapping[str, Outputs]
    columns: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Members side by side.

    Parameters
    ----------
    encoder
        As a bundle holds it, calibrated.
    logits
        Per part, calibrated scores of shape (n, labels).
    vectors
        Per part, search vectors of shape (n, dimensions).
    """

    encoder: Encoder
    logits: Mapping[str, Tensor]
    vectors: Mapping[str, _FloatArray]


def join(
    recipe: Recipe,
    findings: Sequence[str],
    members: Sequence[TrainedMember],
    goals: KnownTargets,
    supervision: Supervision,
) -> Ensemble:
    """Assemble an encoder of trained members.

    A label's score is the mean over the members that were taught it.

    Parameters
    ----------
    findings
        The first labels.
    goals
        What is known of the part `val`, by which the scores are calibrated.
    supervision
        Of the part `train`; its sentences place the search vectors.
    """
    total = goals.targets.shape[1]
    known = np.zeros(total)
    for trained in members:
        known[trained.columns] += 1
    heads = [_spread(t, len(members) / known.clip(1), total) for t in members]
    parts = list(members[0].outputs)
    embeddings = {part: torch.stack([t.outputs[part].embedding for t in members]) for part in parts}
    logits = {
        part: torch.stack(
            [head(own * recipe.dimensions**0.5) for head, own in zip(heads, held, strict=True)]
        ).mean(0)
        for part, held in embeddings.items()
    }
    scale, shift = calibrate(goals.targets, logits["val"].numpy(), goals.known)
    calibrated = {
        part: value * torch.from_numpy(scale) + torch.from_numpy(shift)
        for part, value in logits.items()
    }
    places = sentences.DIMENSIONS if recipe.text_weight else 0
    encoder = Encoder(recipe.backbones[: len(members)], recipe.dimensions, total, places).eval()
    for own, trained, head in zip(encoder.members, members, heads, strict=True):
        assert isinstance(own, EnsembleMember)
        _fold(head, scale, shift)
        state = {"head.weight": head.weight, "head.bias": head.bias}
        # The sentence heads of the members are dropped; the joint one is fitted below.
        kept = {k: v for k, v in trained.member.state_dict().items() if "sentence" not in k}
        own.load_state_dict(kept | state)
    encoder.worth.fill_(recipe.detail_worth)
    encoder.worth[: len(findings)] = recipe.finding_worth
    if NORMAL in findings:
        encoder.worth[list(findings).index(NORMAL)] = recipe.normal_worth
    with torch.inference_mode():
        sides = {part: encoder.side_by_side(embeddings[part], calibrated[part]) for part in parts}
        encoder.join.weight.data = _main_directions(sides["train"], recipe.dimensions)
        vectors = {part: encoder.join(value).numpy() for part, value in sides.items()}
    if encoder.sentence is not None:
        _place(encoder.sentence, torch.from_numpy(vectors["train"]), supervision)
    return Ensemble(encoder, calibrated, vectors)


@torch.no_grad()
def _spread(trained: TrainedMember, worth: npt.NDArray[np.float64], total: int) -> nn.Linear:
    """The head over all labels: scores of 0 where it was taught nothing."""
    own, columns = trained.member.head, torch.from_numpy(trained.columns)
    head = nn.Linear(own.in_features, total).requires_grad_(False)
    head.weight.zero_()
    head.bias.zero_()
    factor = torch.from_numpy(worth[trained.columns]).float()
    head.weight[columns] = own.weight[: len(columns)] * factor[:, None]
    head.bias[columns] = own.bias[: len(columns)] * factor
    return head


def teach(
    trained: TrainedMember,
    goals: KnownTargets,
    columns: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
) -> TrainedMember:
    """A CNN that scores more labels: its head learns them, by logistic regression on the embeddings
    of some images of `train`; nothing else changes.

    Parameters
    ----------
    goals
        What is known of the new labels, of those images.
    columns
        Shape (k,): which of all labels they are.
    rows
        Shape (n,): the images.
    """
    own = trained.member.head
    inputs = trained.outputs["train"].embedding[rows] * own.in_features**0.5
    target, known = torch.from_numpy(goals.targets), torch.from_numpy(goals.known).float()
    share = (target * known).sum(0) / known.sum(0).clamp(min=1)
    head = nn.Linear(own.in_features, len(columns))
    nn.init.zeros_(head.weight)
    head.bias.data = share.clamp(1e-3, 1 - 1e-3).logit()
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> float:
        optimizer.zero_grad()
        value = nn.functional.binary_cross_entropy_with_logits(
            head(inputs), target, known, reduction="sum"
        )
        value = value + _HEAD_RIDGE * head.weight.square().sum()
        value.backward()
        return float(value.detach())

    optimizer.step(loss)
    count = len(trained.columns)
    both = nn.Linear(own.in_features, count + len(columns))
    with torch.no_grad():
        both.weight.copy_(torch.cat([own.weight[:count], head.weight]))
        both.bias.copy_(torch.cat([own.bias[:count], head.bias]))
    member = copy.deepcopy(trained.member)
    member.head = both.requires_grad_(False)
    return TrainedMember(member, trained.outputs, np.concatenate([trained.columns, columns]))


def _place(head: nn.Linear, vectors: Tensor, supervision: Supervision) -> None:
    """Fit a head by ridge regression, so that a text's inner product with a picture's place tells
    whether it was said of the picture.

    A phrase counts by the root of how often it was said: a rare one is asked for as well. A
    caption is of its picture alone. What texts have in common tells none of them apart, so their
    covariance is taken out.
    """
    bank = supervision.phrases.double() - supervision.phrases.double().mean(0)
    mentioned = (supervision.phrase_shares > 0).double()
    sums = (mentioned / mentioned.sum(0).clamp(min=1).sqrt()) @ bank
    captioned = (mentioned.sum(1) == 0) & (supervision.report >= 0)
    captions = supervision.reports.double()[supervision.report[captioned]]
    sums[captioned] = captions - captions.mean(0) if len(captions) else captions
    described = captioned | (mentioned.sum(1) > 0)
    inputs = vectors.double()[described] * vectors.shape[1] ** 0.5
    sums = sums[described]
    centre, mean = inputs.mean(0), sums.mean(0)
    moments = (inputs - centre).T @ (inputs - centre)
    ridge = _RIDGE * torch.eye(len(moments)).double()
    solved = torch.linalg.solve(moments + ridge, (inputs - centre).T @ (sums - mean))
    texts = torch.cat([bank, captions - captions.mean(0)]) if len(captions) else bank
    spread = texts.T @ texts
    spread = (
        spread / spread.diagonal().mean().clamp(min=1e-9)
        + _PHRASE_RIDGE * torch.eye(len(spread)).double()
    )
    solved = torch.linalg.solve(spread, solved.T).T
    head.weight.data = solved.T.float().contiguous()
    head.bias.data = -(centre @ solved).float()


def _main_directions(embeddings: Tensor, dimensions: int) -> Tensor:
    """The projection that keeps most of the inner products of rows.

    Of shape (n, columns) it makes (dimensions, columns).
    """
    moments = embeddings.double().T @ embeddings.double()
    directions = torch.linalg.eigh(moments).eigenvectors.flip(1)
    main: Tensor = directions[:, :dimensions].T.float().contiguous()
    return main


def _fold(head: nn.Linear, scale: _FloatArray, shift: _FloatArray) -> None:
    """Make a head give calibrated logits."""
    factor = torch.from_numpy(scale).to(head.weight.device)
    head.weight.data *= factor[:, None]
    head.bias.data = head.bias.data * factor + torch.from_numpy(shift).to(head.bias.device)
