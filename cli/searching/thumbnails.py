"""Thumbnails of hits, drawn where the terminal can, and of one image, written to a file."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import click

from indexer.errors import DiskFullError, NotFoundError

__all__ = ["thumbnail_drawer", "write_picture", "write_thumbnail"]

_FORMATS = {".webp": "WEBP", ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


def thumbnail_drawer(thumbnail: Callable[[str], bytes | None]) -> Callable[[str], None]:
    """What draws the thumbnail of an image under its row, if there is one.

    Parameters
    ----------
    thumbnail
        Gives the WebP file of an image id.

    Raises
    ------
    click.UsageError
        This terminal draws no pictures.
    """
    from cli.searching.terminal_pictures import drawn, protocol
    from cli.terminal import draw

    how = protocol()
    if how is None:
        raise click.UsageError(
            "--show: this terminal draws no pictures (kitty's, iTerm's or sixels); "
            "`cxrdex show ID --thumbnail FILE` writes one to a file"
        )

    def under(image_id: str) -> None:
        picture = thumbnail(image_id)
        if picture is not None:
            draw(drawn(picture, how))

    return under


def write_thumbnail(picture: bytes | None, target: Path) -> None:
    """Write a thumbnail in the format of the file's suffix.

    Raises
    ------
    NotFoundError
        The image has none.
    click.UsageError
        The suffix is of no format that is known.
    """
    kind = _FORMATS.get(target.suffix.lower())
    if kind is None:
        raise click.UsageError(f"--thumbnail {target}: the name must end in {', '.join(_FORMATS)}")
    if picture is None:
        raise NotFoundError("the image has no thumbnail: text may be burned into it")
    if kind != "WEBP":
        from PIL import Image

        file = io.BytesIO()
        with Image.open(io.BytesIO(picture)) as opened:
            opened.convert("L").save(file, kind)
        picture = file.getvalue()
    write_picture(target, picture)


def write_picture(target: Path, picture: bytes) -> None:
    """Write a picture that was asked for, whole or not at all.

    Raises
    ------
    DiskFullError
        There is no space for it.
    click.ClickException
        It cannot be written otherwise.
    """
    try:
        target.write_bytes(picture)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            why = f"{target} cannot be written: {error.strerror}"
            raise click.ClickException(why) from error
        with suppress(OSError):
            target.unlink()
        raise DiskFullError(f"no space is left to write {target}: free some") from error
