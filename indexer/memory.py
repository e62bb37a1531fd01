"""How the C library keeps memory."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory", "share_heaps"]

# Parameters of glibc's mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -3, -4, -8


def keep_freed_memory(most: int = 2**30) -> None:
    """Let glibc keep the blocks that are freed.

    Parameters
    ----------
    most
        Bytes kept at most; -1 for no limit.

    By default it gives large ones back to the kernel at once, and faulting them in again for the
    next image or batch may take longer than the work on it. Without effect on other C libraries.
    """
    _set((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, most))


def share_heaps(most: int = 2, large: int = 2**22, spare: int = 2**25) -> None:
    """Let threads of a long-lived process share a few heaps of glibc, for threads yet to start.

    Parameters
    ----------
    most
        Heaps. By default there are eight for each core, and what one thread freed is of no use to
        the next, which allocates from another heap.
    large
        Blocks of so many bytes are given back to the kernel when they are freed. By default the
        size grows with what is freed, to 32 MiB, and holes of such blocks stay in the heaps.
    spare
        Freed bytes that a heap keeps at its end, so that it need not ask for them again.

    Without effect on other C libraries.
    """
    _set((_M_ARENA_MAX, most), (_M_MMAP_THRESHOLD, large), (_M_TRIM_THRESHOLD, spare))


def _set(*parameters: tuple[int, int]) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for parameter, value in parameters:
            mallopt(parameter, value)
