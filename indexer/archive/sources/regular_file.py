"""Reading a regular file of the disk, and nothing else that may have its name."""

from __future__ import annotations

import os
import stat

from indexer.errors import FailedImage, SkippedImage

__all__ = ["read_regular_file", "too_large"]


def too_large(most: int) -> SkippedImage:
    return SkippedImage("too_large", f"over {most >> 20} MiB, the limit for a file")


def read_regular_file(path: str, most: int) -> bytes:
    """A file of at most `most` bytes; never opens, nor waits for, a pipe, device or socket."""
    _require_regular(os.stat(path))
    # Checked again once it is open, as another file may have taken its name.
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        status = os.fstat(file.fileno())
        _require_regular(status)
        if status.st_size > most:
            raise too_large(most)
        # Python allocates as many bytes as it is asked to read, and a file may grow meanwhile.
        data = file.read(status.st_size + 1)
        if len(data) > status.st_size:
            data += file.read(most + 1 - len(data))
        if len(data) > most:
            raise too_large(most)
        return data


def _require_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        folder = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, device or socket"
        raise FailedImage("unreadable_file", f"no regular file: {folder}")
