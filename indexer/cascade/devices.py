"""Where torch computes."""

from __future__ import annotations

import torch

from indexer.errors import BundleError

__all__ = ["choose_device"]


def choose_device(name: str = "auto") -> torch.device:
    """The named device; for ``"auto"`` the GPU where there is one.

    Raises
    ------
    BundleError
        The device is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise BundleError(f"no device {name!r} here: choose 'cpu' or 'auto'")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise BundleError(f"no device is named {name!r}: choose 'auto', 'cpu' or 'cuda'") from error
