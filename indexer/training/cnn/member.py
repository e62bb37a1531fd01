"""Training one CNN of a bundle."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from blake3 import blake3
from safetensors import SafetensorError, safe_open
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from indexer.cascade.networks.backbones import build_backbone
from indexer.cascade.networks.encoder import EnsembleMember
from indexer.datasets.targets import KnownTargets
from indexer.errors import TrainingError
from indexer.evaluation.areas import areas_by_source, mean_area
from indexer.learning.augmentation import augment
from indexer.learning.depthwise import use_fast_depthwise
from indexer.learning.epochs import Checkpoint, Criterion, EpochScores, run_epochs
from indexer.learning.pretrained import imagenet_weights, load_weights
from indexer.training.cnn.reading import read_pictures
from indexer.training.cnn.supervision import Supervision
from indexer.training.recipe import Recipe
from indexer.training.sources import Start
from indexer.words import sentences

__all__ = [
    "TrainingRun",
    "Validation",
    "check_start",
    "finished_path",
    "identity",
    "train_member",
]

log = logging.getLogger(__name__)

_ByteArray = npt.NDArray[np.uint8]
# The score that chooses which epoch is kept.
_MEAN_AREA = Criterion("val_mean_auc", largest=True)


@dataclass(frozen=True, slots=True)
class Validation:
    """What a CNN in training is judged by.

    Parameters
    ----------
    canvases
        Shape (n, size, size).
    goals
        What is known of its findings.
    lateral
        Shape (n,): 1 for a lateral view, not a number where it is unknown.
    source
        Shape (n,): the number of each image's data set.
    names
        Of the data sets.
    """

    canvases: _ByteArray
    goals: KnownTargets
    lateral: npt.NDArray[np.float32]
    source: npt.NDArray[np.int64]
    names: Sequence[str]

    def score(self, member: nn.Module, device: torch.device) -> dict[str, Any]:
        """Mean AUC over the findings of each data set, the mean of these, and the share of right
        views among those that are known; none where none is."""
        outputs = read_pictures(member, self.canvases, device)
        scores = outputs.logits[:, : self.goals.targets.shape[1]].numpy()
        seen = ~np.isnan(self.lateral)
        right = (outputs.view.numpy() > 0)[seen] == self.lateral[seen]
        areas = areas_by_source(self.goals, scores, self.source, self.names)
        return {
            "val_mean_auc": mean_area(areas),
            "val_view_accuracy": round(float(np.mean(right)), 4) if seen.any() else None,
            **({"val_by_source": areas} if len(areas) > 1 else {}),
        }


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """Where a training runs.

    Parameters
    ----------
    work
        Holds a checkpoint after each epoch, from which an interrupted training goes on.
    device
        Where it computes.
    start
        The bundle it starts from; None for the recipe's weights.
    names
        Of the labels in the order of the head: a finding, or a finding and its qualifier.
    draw_weight
        Shape (n,): how often an image is drawn; None for each once an epoch.
    """

    work: Path
    device: torch.device
    start: Start | None = None
    names: Sequence[str | tuple[str, str]] = ()
    draw_weight: npt.NDArray[np.float64] | None = None


def train_member(
    recipe: Recipe,
    number: int,
    supervision: Supervision,
    canvases: _ByteArray,
    validation: Validation,
    run: TrainingRun,
) -> tuple[EnsembleMember, list[EpochScores]]:
    """A CNN as the moving average of its weights, after the epoch that does best on val, and its
    scores on val after every epoch.

    Parameters
    ----------
    number
        Which of the recipe's.
    supervision
        Of the images.
    canvases
        Shape (n, size, size).
    run
        Where it is trained, and from what.
    """
    device = run.device
    name = identity(recipe, number, supervision, canvases, run)
    model = _new_member(recipe, number, supervision, run)
    finished = finished_path(run.work, number, name)
    if finished.exists():
        log.info("member %d/%d was trained elsewhere: %s", number + 1, recipe.trained, finished)
        return _finished(model, finished)
    model = model.to(device)
    model.to(memory_format=torch.channels_last)
    half = _half_precision(device)
    # Only needed for bfloat16: in float32 the usual way is as fast.
    if device.type == "cpu" and half is not None:
        use_fast_depthwise(model)
    frozen = _frozen(model.backbone, recipe.frozen)
    for module in frozen:
        module.requires_grad_(False)
    count = len(canvases)
    steps = math.ceil(count / recipe.batch_size)
    optimizer, schedule = _optimizer(model, recipe, steps)
    spanned = recipe.averaged * recipe.epochs * steps
    decay = 1 - 1 / max(2.0, spanned) if spanned else 0.0
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)

    def train_epoch(epoch: int) -> EpochScores:
        # Seeded by epoch, so that a resumed training draws what an unbroken one would have.
        seed = recipe.seed * 100_000 + number * 1000 + epoch
        draw = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        started, total = time.time(), 0.0
        model.train()
        for module in frozen:
            module.eval()
        order = _order(count, run.draw_weight, draw)
        for step, rows in enumerate(np.array_split(order, steps)):
            rows = np.sort(rows)
            pictures = augment(
                torch.from_numpy(canvases[rows]).to(device),
                recipe.crop,
                draw,
                strong=recipe.strong,
                jpeg=recipe.jpeg,
                left_out=recipe.left_out,
            )
            with nullcontext() if half is None else torch.autocast(device.type, half):
                outputs = model(pictures)
            loss = supervision.loss(outputs, torch.from_numpy(rows), recipe.text_weight)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            average.update_parameters(model)
            total += loss.item()
            if step % 20 == 19:
                log.info(
                    "member %d/%d epoch %d/%d step %d/%d loss %.3f %.1f images/s",
                    number + 1,
                    len(recipe.backbones),
                    epoch + 1,
                    recipe.epochs,
                    step + 1,
                    steps,
                    total / (step + 1),
                    (step + 1) * recipe.batch_size / (time.time() - started),
                )
        row = {
            "loss": round(total / steps, 4),
            **validation.score(average.module, device),
            "seconds": round(time.time() - started),
        }
        log.info("member %d/%d epoch %d: %s", number + 1, len(recipe.backbones), epoch + 1, row)
        return row

    checkpoint = Checkpoint(
        run.work / f"member-{number}-{name}.pt",
        {"model": model, "average": average, "optimizer": optimizer, "schedule": schedule},
        device,
    )
    trained = average.module
    assert isinstance(trained, EnsembleMember)
    first = {name: value.clone() for name, value in trained.state_dict().items()}
    history = run_epochs(trained, train_epoch, recipe.epochs, _MEAN_AREA, checkpoint)
    if run.start is not None:
        _interpolate(trained, first, recipe.interpolation)
    return trained, history


def finished_path(work: Path, number: int, name: str) -> Path:
    """Where a CNN lies that another machine trained (`indexer.training.cnn.packed`).

    Parameters
    ----------
    name
        As `identity` has it.
    """
    return work / f"cnn-{number}-{name}.safetensors"


def _finished(member: EnsembleMember, path: Path) -> tuple[EnsembleMember, list[EpochScores]]:
    """A CNN and its history as another machine trained it."""
    try:
        with safe_open(path, "pt") as file:
            history = json.loads(file.metadata()["history"])
            member.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise TrainingError(f"{path} is no CNN of this training: {error}") from error
    return member.eval(), history


def _interpolate(trained: nn.Module, first: Mapping[str, torch.Tensor], share: float) -> None:
    """Put weights on the straight way from where they started to where training led them.

    Part of the way keeps more of what the start knew, and gains most of what is new (Wortsman et
    al., "Robust fine-tuning of zero-shot models", CVPR 2022).
    """
    if share < 1:
        state = trained.state_dict()
        for name, value in state.items():
            if value.is_floating_point():
                state[name] = torch.lerp(first[name], value, share)
        trained.load_state_dict(state)


def _optimizer(
    model: EnsembleMember, recipe: Recipe, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """What moves the weights, new layers five times as fast as the backbone."""
    fresh = [p for n, p in model.named_parameters() if not n.startswith("backbone")]
    learnt = [p for p in model.backbone.parameters() if p.requires_grad]
    rate = recipe.learning_rate
    optimizer = torch.optim.AdamW(
        [{"params": learnt, "lr": rate}, {"params": fresh, "lr": 5 * rate}],
        weight_decay=recipe.weight_decay,
    )
    total = max(recipe.epochs * steps, 2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [rate, 5 * rate], total_steps=total, pct_start=0.2
    )
    return optimizer, schedule


def _order(
    count: int, weight: npt.NDArray[np.float64] | None, draw: torch.Generator
) -> npt.NDArray[np.int64]:
    """The images of an epoch: each once, or as often as its weight has it."""
    if weight is None or np.ptp(weight) == 0:
        return torch.randperm(count, generator=draw).numpy()
    rows = torch.from_numpy(weight).multinomial(count, replacement=True, generator=draw)
    return rows.numpy()


def _frozen(backbone: nn.Module, stages: int) -> list[nn.Module]:
    """The first stages of a network of timm's EfficientNet family, and its stem."""
    if not stages:
        return []
    blocks = getattr(backbone, "blocks", None)
    if not isinstance(blocks, nn.Sequential) or len(blocks) < stages:
        raise TrainingError(
            f"stages can be frozen of an EfficientNet only, and at most {len(blocks or ())} here"
        )
    first = [m for name, m in backbone.named_children() if name in {"conv_stem", "bn1"}]
    return [*first, *blocks[:stages]]


def _new_member(
    recipe: Recipe, number: int, supervision: Supervision, run: TrainingRun
) -> EnsembleMember:
    """A member before training, its new layers drawn for it alone."""
    torch.manual_seed(recipe.seed * 100_000 + number)
    backbone = recipe.backbones[number]
    member = EnsembleMember(
        backbone,
        recipe.dimensions,
        supervision.labels.shape[1],
        sentences.DIMENSIONS if recipe.text_weight else 0,
        recipe.drop_path,
    )
    # Most labels are rare: start from their frequencies, not from one half.
    seen = supervision.weight > 0
    share = (supervision.labels * seen).sum(0) / seen.sum(0).clamp(min=1)
    member.head.bias.data = share.clamp(1e-3, 1 - 1e-3).logit()
    if run.start is None:
        _start(member.backbone, recipe, backbone)
    else:
        run.start.put_into(member, number, run.names)
    return member


def check_start(recipe: Recipe) -> None:
    """Refuse backbones or weights that cannot be had, before anything is read.

    Raises
    ------
    TrainingError, MissingExtraError
        Each says what to do.
    """
    for name in dict.fromkeys(recipe.backbones):
        _start(build_backbone(name), recipe, name)


def _start(backbone: nn.Module, recipe: Recipe, name: str) -> None:
    """Give a backbone the weights that its training starts from."""
    if recipe.weights:
        load_weights(backbone, Path(recipe.weights), recipe.grey_range)
    elif recipe.pretrained:
        backbone.load_state_dict(imagenet_weights(name))


def identity(
    recipe: Recipe, number: int, supervision: Supervision, canvases: _ByteArray, run: TrainingRun
) -> str:
    """What a CNN's checkpoint belongs to: all that changes its training."""
    others = {
        "name",
        "backbones",
        "kept",
        "interpolation",
        "weights",
        "feedback",
        "images_per_label",
        "deviations",
        "clusters",
        "min_images",
        "finding_worth",
        "normal_worth",
        "detail_worth",
        "cell",
        "units",
        "layers",
        "annotator_epochs",
    }
    facts = {k: v for k, v in asdict(recipe).items() if k not in others}
    facts["backbone"] = recipe.backbones[number]
    digest = blake3(json.dumps(facts, sort_keys=True).encode())
    if recipe.weights:
        digest.update_mmap(recipe.weights)
    if run.start is not None:
        digest.update(run.start.bundle.hash.encode())
    if run.draw_weight is not None:
        digest.update(run.draw_weight.tobytes())
    tensors = (getattr(supervision, field.name).numpy() for field in fields(supervision))
    for array in (canvases, *tensors):
        digest.update(f"{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest(length=8)


def _half_precision(device: torch.device) -> torch.dtype | None:
    """bfloat16 where the device multiplies it natively."""
    fast = device.type == "cuda" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.bfloat16 if fast else None
