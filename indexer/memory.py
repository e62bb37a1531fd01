"""How the C library keeps memory."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory"]

# Parameters of glibc's mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory(most: int = 2**30) -> None:
    """Let glibc keep the blocks that are freed.

    Parameters
    ----------
    most
        Bytes kept at most; -1 for no limit.

    By default it gives large ones back to the kernel at once, and faulting them in again for the
    next image or batch may take longer than the work on it. Without effect on other C libraries.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, most)
