"""Training the cascade: CNN on classes, RNN, composite labels, and again on those."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from indexer.annotation import NORMAL
from indexer.cascade.bundle import Bundle
from indexer.cascade.devices import choose_device
from indexer.errors import TrainingError
from indexer.learning.composite_labels import CompositeLabels, cluster, joint_vectors
from indexer.learning.composite_map import CompositeMap, map_composite_vectors
from indexer.memory import keep_freed_memory
from indexer.paper.annotations import Vocabulary
from indexer.paper.cases import Cases, load_cases
from indexer.paper.classes import CLASSES, check_apart, commonest_annotations
from indexer.paper.model import PaperModel, Variant, prepare
from indexer.paper.networks import PaperAnnotator, build_classifier
from indexer.paper.recipe import Cell, PaperRecipe
from indexer.paper.sampling import draw_epoch
from indexer.paper.scores import ORDERS, bleu, evaluate_paper

__all__ = ["first_labels", "train_cascade", "train_paper", "writer_loss"]

log = logging.getLogger(__name__)

_Ints = npt.NDArray[np.int64]
_CLIP = 5.0
# How far the balancing of the epochs may be taken back in the decision; val says how far.
_PRIORS = (0.0, 0.25, 0.5, 0.75, 1.0)


def train_paper(
    dataset: Path,
    output: Path,
    recipe: PaperRecipe,
    *,
    work: Path,
    bundle: Path | None = None,
    device: str = "auto",
    limit: int | None = None,
    maps: bool = False,
) -> PaperModel:
    """Train on the `train` part of a data set, choose on `val`, and write the result.

    Parameters
    ----------
    dataset
        A folder in the Open-i layout (see `indexer.datasets.dataset`).
    output
        Folder of the result.
    work
        Holds decoded pictures, embeddings and a checkpoint after each epoch; an interrupted
        training goes on from it.
    bundle
        For a frozen recipe: whose embeddings are read; the shipped bundle where None.
    limit
        Use only this many images of each part.
    maps
        Also draw the joint vectors' maps, for a report.

    Raises
    ------
    TrainingError
        The data set is unusable.
    """
    source = Bundle.load(bundle) if recipe.frozen else None
    parts = {
        part: load_cases(
            dataset, part, recipe, work=work, bundle=source, device=device, limit=limit
        )
        for part in ("train", "val")
    }
    model = train_cascade(recipe, parts["train"], parts["val"], work=work, device=device, maps=maps)
    if source is not None:
        model.bundle = source.hash
    model.save(output)
    return model


def train_cascade(
    recipe: PaperRecipe,
    train: Cases,
    val: Cases,
    *,
    work: Path,
    device: str = "auto",
    maps: bool = False,
) -> PaperModel:
    """All rounds of every RNN cell of the recipe.

    Nothing is learned from `val`: it ends a network's training, and chooses how far class
    frequencies count and which variant of the last round is the best. Both parts stay the same in
    all rounds.

    Raises
    ------
    TrainingError
        The parts share a study.
    """
    check_apart([*train.examples, *train.others], [*val.examples, *val.others])
    target = choose_device(device)
    keep_freed_memory()
    work.mkdir(parents=True, exist_ok=True)
    started = time.time()
    everyone = [a for e in (*train.examples, *train.others) for a in e.annotations]
    vocabulary = Vocabulary.of(everyone)
    model = PaperModel(
        backbone=recipe.backbone,
        dimensions=train.inputs.shape[1] if recipe.frozen else 0,
        size=recipe.size,
        crop=recipe.crop,
        steps=recipe.steps,
        vocabulary=vocabulary,
        variants={},
        chosen="",
        commonest=commonest_annotations(train.examples),
    )
    log.info(
        "%d train and %d val images of a class, %d words",
        len(train.examples),
        len(val.examples),
        len(vocabulary.words),
    )
    rounds = []
    for cell in recipe.cells:
        labels = first_labels(train)
        for number in range(recipe.rounds + 1):
            variant, record = _train_round(
                recipe, cell, number, labels, train, val, vocabulary, work, target
            )
            name = f"{cell}/{number}"
            model.variants[name] = variant
            if maps:
                vectors = _vectors(recipe, variant, train, vocabulary, target)
                model.maps[name] = _flat(vectors, labels, recipe.seed)
            rounds.append({"variant": name, "images": len(train.examples), **record})
            if number < recipe.rounds:
                labels = _composite_labels(recipe, variant, train, vocabulary, target)
    predictions = model.predict(val.inputs)
    last = [name for name in model.variants if name.endswith(f"/{recipe.rounds}")]
    model.chosen = max(last, key=lambda name: _preference(val.annotations, predictions[name]))
    model.record = {
        "recipe": asdict(recipe),
        "images": {"train": len(train.examples), "val": len(val.examples)},
        "rounds": rounds,
        "val": evaluate_paper(val.examples, predictions, model.commonest, chosen=model.chosen),
        "seconds": round(time.time() - started),
    }
    return model


def first_labels(train: Cases) -> CompositeLabels:
    """Round 0: the labels are the classes that train has."""
    present, rows = np.unique(train.classes, return_inverse=True)
    names = tuple(CLASSES[c] for c in present)
    return CompositeLabels(names, names, rows.astype(np.int64))


def _composite_labels(
    recipe: PaperRecipe,
    variant: Variant,
    train: Cases,
    vocabulary: Vocabulary,
    device: torch.device,
) -> CompositeLabels:
    """The next round's labels, from every train image once."""
    vectors = _vectors(recipe, variant, train, vocabulary, device)
    return cluster(
        vectors,
        train.annotations,
        images_per_label=recipe.images_per_label,
        deviations=recipe.deviations,
        k=recipe.clusters,
        seed=recipe.seed,
    )


def _vectors(
    recipe: PaperRecipe,
    variant: Variant,
    cases: Cases,
    vocabulary: Vocabulary,
    device: torch.device,
) -> npt.NDArray[np.float32]:
    features = _features(variant, cases.inputs, recipe.crop, device)[0]
    if not recipe.joint:
        alone: npt.NDArray[np.float32] = nn.functional.normalize(features, dim=1).numpy()
        return alone
    tokens = vocabulary.encode(cases.annotations, recipe.steps)
    return joint_vectors(variant.writer, features, tokens)


def _train_round(
    recipe: PaperRecipe,
    cell: Cell,
    number: int,
    labels: CompositeLabels,
    train: Cases,
    val: Cases,
    vocabulary: Vocabulary,
    work: Path,
    device: torch.device,
) -> tuple[Variant, dict[str, Any]]:
    # Both draw their weights from the seed, whatever was drawn before.
    seed = recipe.seed * 1000 + number
    torch.manual_seed(seed)
    classifier = build_classifier(
        recipe.backbone,
        train.inputs.shape[1],
        recipe.features,
        len(labels.names),
        recipe.dropout,
    )
    shape: dict[str, Any] = {
        "cell": cell,
        "units": recipe.units,
        "layers": recipe.layers,
        "project": recipe.project,
    }
    torch.manual_seed(seed)
    writer = PaperAnnotator(classifier.features, len(vocabulary.words), **shape)
    variant = Variant(
        classifier,
        writer,
        labels.names,
        labels.diseases,
        np.zeros(len(CLASSES), np.float32),
        {"features": recipe.features, "writer": shape},
    )
    classifier_history = _fit_classifier(recipe, variant, labels, train, val, seed, work, device)
    writer_history = _fit_annotator(recipe, variant, train, val, vocabulary, seed, work, device)
    variant.bias, prior = _choose_prior(recipe, variant, labels, train, val, vocabulary, device)
    record = {
        "labels": labels.sizes(),
        "classifier": classifier_history,
        "writer": writer_history,
        "prior": prior,
    }
    log.info("%s/%d: %d labels, prior %.2f", cell, number, len(labels.names), prior)
    return variant, record


def _fit_classifier(
    recipe: PaperRecipe,
    variant: Variant,
    labels: CompositeLabels,
    train: Cases,
    val: Cases,
    seed: int,
    work: Path,
    device: torch.device,
) -> list[dict[str, float]]:
    """SGD on the labels; keeps the epoch of the least mean loss per class on val."""
    model = variant.classifier
    model.to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        model.parameters(), recipe.learning_rate, 0.9, weight_decay=recipe.weight_decay
    )
    third = max(1, -(-recipe.epochs // 3))
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, third, 1 / 3)
    targets = torch.from_numpy(labels.rows)
    half = device.type == "cuda" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())

    def epoch(number: int) -> float:
        rows = _draw(recipe, labels, seed, number)
        draw = torch.Generator().manual_seed(seed * 1000 + number)
        losses = []
        # A rest of a single image would break batch norm.
        for step in np.array_split(rows, max(1, len(rows) // recipe.batch_size)):
            batch = prepare(train.inputs[step], recipe.crop, draw).to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=half and not recipe.frozen):
                _, logits = model(batch)
            loss = nn.functional.cross_entropy(logits, targets[step].to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        schedule.step()
        return float(np.mean(losses))

    def judge() -> dict[str, float]:
        _, chances = _features(variant, val.inputs, recipe.crop, device)
        return _class_loss(chances, val.classes)

    key = [
        _facts(recipe, "backbone features epochs batch_size learning_rate weight_decay patience"),
        _facts(recipe, "data_dropout per_label crop dropout"),
        seed,
        labels.names,
        _digest(labels.rows, train.inputs, val.inputs, val.classes),
    ]
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    return _fit(parts, recipe.epochs, recipe.patience, epoch, judge, seed, _path(work, key), device)


def _class_loss(log_chances: Tensor, classes: _Ints) -> dict[str, float]:
    """Loss and recall averaged over the classes, so that normals do not decide alone."""
    chances = log_chances.numpy()
    own = -chances[np.arange(len(classes)), classes]
    right = chances.argmax(1) == classes
    present = np.unique(classes)
    return {
        "val_loss": float(np.mean([own[classes == c].mean() for c in present])),
        "val_balanced_accuracy": float(np.mean([right[classes == c].mean() for c in present])),
    }


def _fit_annotator(
    recipe: PaperRecipe,
    variant: Variant,
    train: Cases,
    val: Cases,
    vocabulary: Vocabulary,
    seed: int,
    work: Path,
    device: torch.device,
) -> list[dict[str, float]]:
    """RMSprop on the true annotations, its state always started by the image."""
    model = variant.writer
    model.to(device)
    images, tokens = _sequences(recipe, variant, train, vocabulary, device)
    val_features, _ = _features(variant, val.inputs, recipe.crop, device)
    val_tokens = torch.from_numpy(vocabulary.encode(val.annotations, recipe.steps))
    classes = (tokens[:, 0] - 1).numpy()
    optimizer = torch.optim.RMSprop(
        model.parameters(),
        recipe.rate_of("lstm" if model.cell == "lstm" else "gru"),
        weight_decay=recipe.writer_decay,
    )

    def epoch(number: int) -> float:
        # A normal image has nothing to say after its class: as many as of one disease are enough.
        rng = np.random.default_rng([seed, number])
        normal = rng.permutation(np.flatnonzero(classes == 0))[: np.bincount(classes)[1:].max()]
        order = rng.permutation(np.concatenate([np.flatnonzero(classes != 0), normal]))
        losses = []
        for step in np.array_split(order, max(1, len(order) // recipe.writer_batch)):
            loss = model.loss(images[step].to(device), tokens[step].to(device))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
            optimizer.step()
            losses.append(loss.item())
        return float(np.mean(losses))

    def judge() -> dict[str, float]:
        ill = val_tokens[:, 0] != 1
        chosen = ill if bool(ill.any()) else ~ill
        return {"val_loss": writer_loss(model, val_features[chosen], val_tokens[chosen], device)}

    key = [
        _facts(recipe, "units layers project steps"),
        _facts(recipe, "writer_epochs writer_rate writer_batch writer_decay patience"),
        seed,
        model.cell,
        vocabulary.words,
        _digest(images.numpy(), tokens.numpy(), val_features.numpy(), val_tokens.numpy()),
    ]
    history = _fit(
        {"model": model, "optimizer": optimizer},
        recipe.writer_epochs,
        recipe.patience,
        epoch,
        judge,
        seed,
        _path(work, key),
        device,
    )
    model.cpu()
    return history


@torch.inference_mode()
def writer_loss(
    model: PaperAnnotator, features: Tensor, tokens: Tensor, device: torch.device | None = None
) -> float:
    """Cross-entropy of the words after the first, the state started by each image's own features.

    Parameters
    ----------
    features, tokens
        As `PaperAnnotator.loss` takes them.
    """
    model.eval()
    place = device if device is not None else torch.device("cpu")
    return float(model.loss(features.to(place), tokens.to(place)))


def _sequences(
    recipe: PaperRecipe,
    variant: Variant,
    train: Cases,
    vocabulary: Vocabulary,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Features and word rows of every annotation of a class that train images have."""
    features, _ = _features(variant, train.inputs, recipe.crop, device)
    groups = [(train.examples, features)]
    if train.other_inputs is not None and len(train.others):
        groups.append(
            (train.others, _features(variant, train.other_inputs, recipe.crop, device)[0])
        )
    words, images = [], []
    for examples, vectors in groups:
        for example, vector in zip(examples, vectors, strict=True):
            said = [tuple(w.text for w in a.words) for a in example.annotations]
            own = [line for line in said if line[0] in CLASSES]
            words += own
            images += [vector] * len(own)
    return torch.stack(images), torch.from_numpy(vocabulary.encode(words, recipe.steps))


@torch.inference_mode()
def _features(
    variant: Variant, inputs: npt.NDArray[Any], crop: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Features and class log-probabilities of every image, on the CPU, in order."""
    variant.classifier.eval()
    parts = []
    for start in range(0, len(inputs), 64):
        batch = prepare(inputs[start : start + 64], crop).to(device)
        parts.append([part.cpu() for part in variant.embed(batch)])
    features, chances = (torch.cat(column) for column in zip(*parts, strict=True))
    return features, chances


def _choose_prior(
    recipe: PaperRecipe,
    variant: Variant,
    labels: CompositeLabels,
    train: Cases,
    val: Cases,
    vocabulary: Vocabulary,
    device: torch.device,
) -> tuple[npt.NDArray[np.float32], float]:
    """The bias of the classes, and how far it takes the balancing of the epochs back, by val.

    Balanced epochs teach the CNN that every label is as frequent. At 1 the classes are as frequent
    as in train, at 0 as in an epoch; what is best is a matter of what is counted.
    """
    seen = train.classes[_draw(recipe, labels, recipe.seed, 0)]
    true, shown = (
        np.bincount(classes, minlength=len(CLASSES)).clip(1) / len(classes)
        for classes in (train.classes, seen)
    )
    correction = np.log(true / shown).astype(np.float32)
    features, chances = _features(variant, val.inputs, recipe.crop, device)
    scores = {}
    for prior in _PRIORS:
        variant.bias = (prior * correction).astype(np.float32)
        lines = variant.write(features, variant.name(chances), recipe.steps)
        scores[prior] = _preference(val.annotations, [vocabulary.decode(line) for line in lines])
    best = max(scores, key=lambda prior: scores[prior])
    return (best * correction).astype(np.float32), best


def _draw(recipe: PaperRecipe, labels: CompositeLabels, seed: int, epoch: int) -> _Ints:
    """Rows of the CNN's epoch."""
    return draw_epoch(
        labels.rows,
        labels.names.index(NORMAL) if NORMAL in labels.names else len(labels.names),
        seed=seed,
        epoch=epoch,
        data_dropout=recipe.data_dropout,
        per_label=recipe.per_label,
    )


def _preference(references: list[tuple[str, ...]], said: list[tuple[str, ...]]) -> float:
    """What val chooses by: balanced accuracy plus the mean of BLEU-1 to BLEU-4."""
    true = np.array([words[0] for words in references])
    right = np.array([words[0] for words in said]) == true
    balanced = 100 * float(np.mean([right[true == c].mean() for c in np.unique(true)]))
    return balanced + float(np.mean([bleu(references, said, n) or 0.0 for n in ORDERS]))


def _fit(
    parts: Mapping[str, Any],
    epochs: int,
    patience: int | None,
    epoch: Callable[[int], float],
    judge: Callable[[], dict[str, float]],
    seed: int,
    checkpoint: Path,
    device: torch.device,
) -> list[dict[str, float]]:
    """Run the epochs, stop by val, leave the model in its best state; a checkpoint per epoch."""
    model: nn.Module = parts["model"]
    history: list[dict[str, float]] = []
    best = {name: value.clone() for name, value in model.state_dict().items()}
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        history, best = saved["history"], saved["best"]
        log.info("going on after epoch %d of %d", len(history), epochs)
    for number in range(len(history), epochs):
        least = min(history, key=lambda row: row["val_loss"], default=None)
        if least and patience is not None and number - least["epoch"] >= patience:
            break
        # Seeded by epoch, so that a resumed training draws what an unbroken one would have.
        torch.manual_seed(seed * 1000 + number)
        started = time.time()
        model.train()
        loss = epoch(number)
        model.eval()
        row = {"epoch": number + 1, "loss": round(loss, 4)}
        row |= {name: round(value, 4) for name, value in judge().items()}
        if not np.isfinite(row["val_loss"]):
            raise TrainingError(f"the loss is {row['val_loss']} after epoch {number + 1}")
        if least is None or row["val_loss"] < least["val_loss"]:
            best = {name: value.clone() for name, value in model.state_dict().items()}
        history.append(row)
        log.info("%s %.0f s", row, time.time() - started)
        state = {name: part.state_dict() for name, part in parts.items()}
        fresh = checkpoint.with_suffix(".new")
        torch.save({**state, "history": history, "best": best}, fresh)
        fresh.replace(checkpoint)
    model.load_state_dict(best)
    model.eval()
    return history


def _flat(vectors: npt.NDArray[np.float32], labels: CompositeLabels, seed: int) -> CompositeMap:
    """The map of the diseased images; normal ones are one label, and would fill it."""
    rows = [row for row, label in enumerate(labels.rows) if labels.diseases[label] != NORMAL]
    return map_composite_vectors(
        vectors[rows], [labels.names[labels.rows[row]] for row in rows], seed
    )


def _facts(recipe: PaperRecipe, names: str) -> dict[str, Any]:
    return {name: getattr(recipe, name) for name in names.split()}


def _digest(*arrays: npt.NDArray[Any]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _path(work: Path, key: list[Any]) -> Path:
    """A checkpoint's file, named by all that decides what is in it."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return work / f"paper-{digest[:16]}.pt"
