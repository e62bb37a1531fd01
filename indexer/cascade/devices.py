"""Where torch computes, and how the C library keeps its memory."""

from __future__ import annotations

import ctypes
import sys

import torch

from indexer.errors import BundleError

__all__ = ["choose_device", "keep_freed_memory"]

# Parameters of glibc's mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


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


def keep_freed_memory(most: int = 2**30) -> None:
    """Let glibc keep the blocks that a batch frees.

    Parameters
    ----------
    most
        Bytes kept at most; -1 for no limit.

    By default it gives large ones back to the kernel at once, and faulting them in again for the
    next batch takes longer than the model's own work. Without effect on other C libraries.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, most)
