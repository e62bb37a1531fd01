"""How much one file may cost: what is beyond it is damaged, an attack, or no radiograph."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """Limits for one file.

    Parameters
    ----------
    file_bytes
        Size of the file, unpacked from its zip or tar; also of what a deflated data set unpacks to.
    pixels
        Rows times columns; the default is about five times the largest radiograph.
    memory_bytes
        Memory that a worker may take beyond what it starts with (POSIX only).
    seconds
        Time from reading a file to its picture.
    """

    file_bytes: int = 2**29
    pixels: int = 100_000_000
    memory_bytes: int = 2**31
    seconds: float = 120.0
