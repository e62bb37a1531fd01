"""Files as one zip file."""

from __future__ import annotations

import io
import zipfile

__all__ = ["zipped"]


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip file of `files` by name, the same one for the same files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            # A fixed time, as that of writing would differ.
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data)
    return buffer.getvalue()
