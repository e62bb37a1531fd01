"""Changes of appearance that stand for other hospitals."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from indexer.learning.appearance import change_appearance
from indexer.learning.augmentation import augment
from indexer.learning.changes import AppearanceChange

OF_PLACE: tuple[AppearanceChange, ...] = ("rotations", "scales")


def _films() -> Tensor:
    """Forty times the same: smooth shades, and a bright bone across them."""
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    film = 0.4 + 0.3 * torch.sin(rows / 9) * torch.cos(columns / 7)
    film[30:33] = 0.95
    return film.repeat(40, 1, 1, 1)


def _steps(pictures: Tensor) -> Tensor:
    """How much more pictures change between two blocks of JPEG than within one."""
    change = (pictures[..., 1:] - pictures[..., :-1]).abs().mean((0, 1, 2))
    between = torch.arange(1, pictures.shape[-1]) % 8 == 0
    return change[between].mean() / change[~between].mean()


def test_some_pictures_are_compressed_as_jpeg_and_nothing_else_changes() -> None:
    plain, packed = (
        change_appearance(_films(), torch.Generator().manual_seed(3), jpeg=jpeg)
        for jpeg in (False, True)
    )
    difference = (packed - plain).abs().amax((1, 2, 3))
    compressed = difference > 0
    assert 4 <= compressed.sum() <= 20
    # What a film shows stays: loss of quality is small on the average, and leaves blocks.
    assert (packed - plain).abs().mean((1, 2, 3)).max() < 0.04
    assert _steps(packed[compressed]) > 1.02 * _steps(plain[compressed])
    assert packed.min() >= 0
    assert packed.max() <= 1
    again = change_appearance(_films(), torch.Generator().manual_seed(3), jpeg=True)
    assert torch.equal(again, packed)


def _augmented(left_out: tuple[AppearanceChange, ...]) -> Tensor:
    canvases = (_films()[:, 0] * 255).byte()
    draw = torch.Generator().manual_seed(5)
    return augment(canvases, 56, draw, strong=True, left_out=left_out)


@pytest.mark.parametrize("change", get_args(AppearanceChange))
def test_a_change_that_is_left_out_leaves_the_draws_of_the_others(change: AppearanceChange) -> None:
    plain, without = _augmented(()), _augmented((change,))
    touched = (plain - without).abs().amax((1, 2, 3)) > 1e-3
    assert touched.any(), "some pictures had it"
    everywhere = change in ("gamma", "contrast", *OF_PLACE)
    assert touched.all() == everywhere, "and the others are as they were"


def test_without_any_change_a_picture_is_cut_out_as_it_is() -> None:
    pictures = _augmented(get_args(AppearanceChange))
    film = (_films()[:1, 0] * 255).byte().float()
    for picture in pictures[:, 0]:
        places = film.unfold(1, 56, 1).unfold(2, 56, 1)[0].reshape(-1, 56, 56)
        nearest = (places - picture).abs().mean((1, 2)).min()
        assert nearest < 6, "but for a shift by parts of a pixel"
