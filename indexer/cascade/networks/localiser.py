"""Where in a picture the CNN saw a finding: class activation maps of an `Encoder`.

The heads are linear over the mean of the backbone's last feature map (Zhou et al., "Learning Deep
Features for Discriminative Localization", CVPR 2016), so each cell of that map has a score of its
own, and the mean of a label's cells is the label's logit.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from indexer.cascade.networks.encoder import Encoder, EnsembleMember
from indexer.errors import BundleError

__all__ = ["Localiser"]

# Largest difference between a label's logit and the mean of its cells, due to rounding.
_TOLERANCE = 1e-2


class Localiser(nn.Module):
    """An encoder that scores every cell of its last feature map.

    Parameters
    ----------
    encoder
        In evaluation mode.
    size
        Side of its pictures in pixels.

    Raises
    ------
    BundleError
        A backbone has layers between its last feature map and its features, so that cells have no
        scores of their own.
    """

    def __init__(self, encoder: Encoder, size: int) -> None:
        super().__init__()
        self.encoder = encoder.eval()
        with torch.inference_mode():
            probe = torch.randint(0, 256, (1, 1, size, size), generator=torch.manual_seed(0))
            apart = (self(probe).mean((2, 3)) - self.encoder(probe).logits).abs().max().item()
        if apart > _TOLERANCE:
            raise _no_last_feature_map()

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits of cells, shape (n, labels, rows, columns), of pictures as `Encoder` takes them.

        Their mean over rows and columns is the encoder's logit.
        """
        maps = [_cells(member, pictures) for member in self.encoder.members]  # type: ignore[arg-type]
        return torch.stack(maps).mean(0)


def _no_last_feature_map() -> BundleError:
    return BundleError("the bundle's networks cannot tell where they look: no heat maps")


def _cells(member: EnsembleMember, pictures: Tensor) -> Tensor:
    pixels = pictures.float().div(127.5).sub(1)
    backbone = member.backbone
    last = backbone.layers if hasattr(backbone, "layers") else backbone.forward_features
    features: Tensor = last(pixels).permute(0, 2, 3, 1)  # type: ignore[operator]
    count, rows, columns, width = features.shape
    if width != member.projection.in_features:
        raise _no_last_feature_map()
    # The batch norm shifts and scales each number alone, so it may be applied cell by cell.
    cells = member.norm(member.projection(features).flatten(0, 2)).unflatten(0, (count, -1))
    # All cells are divided by one length: that of the embedding of the whole picture.
    length = cells.mean(1, keepdim=True).norm(dim=2, keepdim=True).clamp_min(1e-12)
    scores: Tensor = member.head(cells / length * cells.shape[2] ** 0.5)
    cells_of_labels: Tensor = scores.transpose(1, 2).unflatten(2, (rows, columns))
    return cells_of_labels
