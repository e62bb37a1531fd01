"""Teaching sentences and pictures where they meet (see `indexer.cascade.text_space.TextSpace`).

Two towers: the sentence model with a small network on it, and the map of the pictures, which starts
as training has it. They are taught by contrast (Radford et al., "Learning Transferable Visual
Models From Natural Language Supervision", ICML 2021): which text of a batch was said of which
picture. Search vectors and the sentence model stay as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from indexer.archive.decoding import DecodeSettings
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.cascade.reading import Predictor
from indexer.cascade.text_space import TextMap, TextSpace
from indexer.datasets.dataset import Example, load_canvases
from indexer.datasets.images import Dataset
from indexer.evaluation.captions import own_ranks
from indexer.evaluation.retrieval import text_ranks
from indexer.training.model_card import write_model_card
from indexer.training.sources import PARTS, Sources, is_annotated, load_to_learn
from indexer.words import sentences

__all__ = [
    "Shares",
    "Told",
    "Towers",
    "choose",
    "learn_text_space",
    "median_shares",
    "read_told",
    "refit",
    "taught",
    "told_by_source",
]

#: By source and kind of text, the median rank of a text's picture as a share of all pictures.
Shares: TypeAlias = dict[str, dict[str, float]]

_HIDDEN = 64
_EPOCHS, _BATCH, _RATE, _DECAY = 15, 256, 3e-4, 0.1
# Share of the way from the start to what is learnt at which they end, as weights of CNNs do
# (`Recipe.interpolation`): all the way, short phrases lose hits among the first ten.
_WAY = 0.35
# Search vectors of pictures that the CNN learnt from lie nearer to their texts than those of others
# do; noise of so much of their spread keeps the network from relying on it.
_NOISE = 0.5
# Temperature of the likeness of two texts: those that say the same fit each other's pictures.
_NEAR = 0.05

log = logging.getLogger(__name__)

_FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Told:
    """Pictures of one source of which something is said, n of them.

    Parameters
    ----------
    source
        Name of the data set.
    kind
        Whether what is said is annotations, of which a picture may have several, or one text.
    examples
        The pictures.
    vectors
        Shape (n, dimensions): their search vectors.
    names, texts
        The m distinct annotations or texts, and their vectors of shape (m, 384).
    said
        Per picture, which of these are said of it.
    """

    source: str
    kind: Literal["annotations", "texts"]
    examples: Sequence[Example]
    vectors: _FloatArray
    names: Sequence[str]
    texts: _FloatArray
    said: Sequence[Sequence[int]]

    @classmethod
    def of(cls, source: str, examples: Sequence[Example], vectors: _FloatArray) -> list[Told]:
        """Of pictures of one source with search vectors of shape (n, dimensions)."""
        # What the rule labeller finds in a text is no annotation: the text itself says more.
        kinds: Mapping[Literal["annotations", "texts"], list[list[str]]] = {
            "annotations": [[a.text for a in e.annotations if is_annotated(e)] for e in examples],
            "texts": [[" ".join(e.sentences)] if e.sentences else [] for e in examples],
        }
        found = []
        for kind, spoken in kinds.items():
            rows = [n for n, own in enumerate(spoken) if own]
            if len(rows) < 2:
                continue
            names = sorted({name for n in rows for name in spoken[n]})
            column = {name: index for index, name in enumerate(names)}
            said = [[column[name] for name in spoken[n]] for n in rows]
            own = [examples[n] for n in rows]
            texts = sentences.encode(names)
            found.append(cls(source, kind, own, vectors[rows], names, texts, said))
        return found

    def ranks(
        self, fit: Callable[[_FloatArray, _FloatArray], _FloatArray]
    ) -> npt.NDArray[np.int64]:
        """As `cxrdex evaluate` has them: of each annotation that of the first picture which has it,
        or of each picture its own rank for its text.

        Parameters
        ----------
        fit
            `TextSpace.likeness` of some text space, or what stands in its place.
        """
        if self.kind == "annotations":
            return text_ranks(fit(self.texts, self.vectors), self.names, self.examples)
        queries = self.texts[[own[0] for own in self.said]]
        return own_ranks(fit(queries, self.vectors))


class Towers(nn.Module):
    """A text space that is to be learnt.

    Parameters
    ----------
    way
        Share of the way from `space` to what is learnt at which it ends.
    """

    def __init__(self, space: TextSpace, seed: int = 0, way: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        dimensions, length = space.weight.shape
        self.start, self.way = space, way
        self.hidden = nn.Linear(dimensions, _HIDDEN)
        self.output = nn.Linear(_HIDDEN, dimensions, bias=False)
        self.added = nn.Linear(length, dimensions)
        # They start as the text space does.
        for zeros in (self.output.weight, *self.added.parameters()):
            nn.init.zeros_(zeros)

    def moved(self, texts: Tensor) -> Tensor:
        """Texts of shape (n, 384) as they are compared with pictures."""
        own = texts - torch.from_numpy(self.start.common)
        answer: Tensor = self.output(torch.relu(self.hidden(own)))
        return own + answer

    def places(self, vectors: Tensor) -> Tensor:
        """Search vectors of shape (n, dimensions) among sentences: (n, 384)."""
        weight, bias = torch.from_numpy(self.start.weight), torch.from_numpy(self.start.bias)
        added: Tensor = self.added(vectors)
        return vectors @ weight.T + bias + added

    def space(self) -> TextSpace:
        """As a bundle has it."""
        start, way = self.start, self.way
        parts = self.hidden.weight, self.hidden.bias, way * self.output.weight
        weight, bias = ((way * p).detach().numpy() for p in self.added.parameters())
        return replace(
            start,
            weight=start.weight + weight,
            bias=start.bias + bias,
            text_map=TextMap(*(p.detach().numpy().copy() for p in parts)),
        )


def learn_text_space(
    train: Sequence[Told], val: Sequence[Told], space: TextSpace, seed: int
) -> tuple[TextSpace, dict[str, Shares]]:
    """A text space taught further, and the median ranks on `val` before and after.

    `space` itself where no epoch makes them better, or each makes those of some source or kind
    worse. One that was taught already goes on from its map of the pictures, with a new text map.
    """
    found = space
    if train and val:
        found = choose(
            taught(Towers(replace(space, text_map=None), seed, _WAY), train, seed), space, val
        )
    shares = {"before": median_shares(val, space), "after": median_shares(val, found)}
    log.info("median rank shares of words to pictures on val: %s", shares)
    return found, shares


def median_shares(val: Sequence[Told], space: TextSpace) -> Shares:
    """How well a text space finds the pictures of `val` by their texts."""
    shares: Shares = {}
    for told in val:
        median = float(np.median(told.ranks(space.likeness))) / len(told.examples)
        shares.setdefault(told.source, {})[told.kind] = round(median, 4)
    return shares


def choose(
    spaces: Iterable[TextSpace],
    start: TextSpace,
    val: Sequence[Told],
    *,
    harmless: bool = True,
) -> TextSpace:
    """The text space of the best mean over sources of `median_shares`, or `start`.

    Parameters
    ----------
    harmless
        Choose among those alone that make no source and kind of text worse than `start`.
    """
    before = median_shares(val, start)
    best, least = start, _mean(before)
    for space in spaces:
        shares = median_shares(val, space)
        worse = any(shares[s][k] > before[s][k] for s, kinds in shares.items() for k in kinds)
        if _mean(shares) < least and not (harmless and worse):
            best, least = space, _mean(shares)
    return best


def _mean(shares: Shares) -> float:
    return float(np.mean([np.mean([*kinds.values()]) for kinds in shares.values()]))


def taught(towers: Towers, train: Sequence[Told], seed: int) -> Iterator[TextSpace]:
    """Teach towers; its text space after each epoch."""
    draw, choice = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    with torch.no_grad():
        spreads = [
            _fits(towers, torch.from_numpy(t.texts), torch.from_numpy(t.vectors)).std()
            for t in train
        ]
    scale = nn.Parameter(-torch.stack(spreads).mean().clamp(min=1e-6).log())
    steps = max(1, max(len(t.examples) for t in train) // _BATCH)
    groups: list[dict[str, Any]] = [
        {"params": [*towers.parameters()], "weight_decay": _DECAY},
        {"params": [scale]},
    ]
    optimizer = torch.optim.AdamW(groups, lr=_RATE, weight_decay=0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _EPOCHS * steps)
    for _ in range(_EPOCHS):
        for _ in range(steps):
            losses = [_contrast(towers, told, scale.exp(), draw, choice) for told in train]
            optimizer.zero_grad()
            torch.stack(losses).sum().backward()
            optimizer.step()
            schedule.step()
        yield towers.space()


def _fits(towers: Towers, texts: Tensor, vectors: Tensor) -> Tensor:
    return towers.moved(texts) @ towers.places(vectors).T


def _contrast(
    towers: Towers, told: Told, scale: Tensor, draw: torch.Generator, choice: np.random.Generator
) -> Tensor:
    """Loss of a batch: which of its texts was said of which picture, and the other way round."""
    count = len(told.examples)
    rows = torch.randperm(count, generator=draw)[:_BATCH].tolist()
    said = [choice.choice(told.said[row]) for row in rows]
    texts, vectors = torch.from_numpy(told.texts[said]), torch.from_numpy(told.vectors[rows])
    noise = torch.randn(vectors.shape, generator=draw)
    vectors = vectors + _NOISE * torch.from_numpy(told.vectors.std(0)) * noise
    if told.kind == "annotations":
        # People annotated these pictures fully, so that each has all that is said of it.
        true = torch.tensor([[float(text in told.said[row]) for row in rows] for text in said])
        of_text, of_picture = true / true.sum(1, keepdim=True), (true / true.sum(0)).T
    else:
        own = nn.functional.normalize(texts - torch.from_numpy(towers.start.common), dim=1)
        of_text = of_picture = (own @ own.T / _NEAR).softmax(1)
    fits = _fits(towers, texts, vectors) * scale
    cross = nn.functional.cross_entropy
    return cross(fits, of_text) + cross(fits.T, of_picture)


def told_by_source(sources: Sources, part: str, vectors: _FloatArray) -> list[Told]:
    """What is said of the pictures of a part, with search vectors of shape (n, dimensions)."""
    told: list[Told] = []
    for number, name in enumerate(sources.names):
        rows = np.flatnonzero(sources.source[part] == number)
        told += Told.of(name, [sources.examples[part][row] for row in rows], vectors[rows])
    return told


def read_told(
    bundle: Bundle, datasets: Sequence[Path], work: Path, device: str = "auto"
) -> dict[str, list[Told]]:
    """What data sets say of their pictures by part, with their search vectors by a bundle.

    Pictures of which nothing is said in words are not read.
    """
    settings = DecodeSettings(
        bundle.size, bundle.squash, b"training set", borders=bundle.borders, thumbnail=0
    )
    runtime = Predictor(bundle, Compute(device=device))
    step = runtime.batch_size
    told: dict[str, list[Told]] = {part: [] for part in PARTS}
    for path in datasets:
        name = Dataset.open(path).description.name
        for part, found in told.items():
            examples = [
                e
                for e in load_to_learn(path, part, unlabelled=True)
                if e.sentences or (e.annotations and is_annotated(e))
            ]
            if not examples:
                continue
            canvases = load_canvases(examples, settings, work)
            starts = range(0, len(canvases), step)
            vectors = [runtime.encode(np.array(canvases[s : s + step])).embedding for s in starts]
            found += Told.of(name, examples, np.concatenate(vectors))
    return told


def refit(
    bundle: Bundle, datasets: Sequence[Path], output: Path, *, work: Path, device: str = "auto"
) -> Bundle:
    """The same bundle, but that sentences and pictures are taught anew where they meet.

    Parameters
    ----------
    datasets
        What it learnt from.
    output
        Folder of the new bundle.
    work
        Holds decoded pictures.

    Raises
    ------
    TrainingError
        A data set is unusable.
    BundleError
        The bundle was trained without sentences.
    """
    told = read_told(bundle, datasets, work, device)
    space, shares = learn_text_space(told["train"], told["val"], TextSpace.of(bundle), seed=0)
    record = {**bundle.record, "towers": shares, "towers_refitted_of": bundle.hash}
    fresh = Bundle.save(output, replace(bundle, record=record), bundle.weights() | space.tensors())
    write_model_card(fresh, [Dataset.open(path).description for path in datasets])
    return fresh
