"""The picture that a person names: a file of this machine, or an image of the database."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cli.terminal import echo
from indexer.errors import NotFoundError

if TYPE_CHECKING:
    from search.request import PictureSource

__all__ = ["named_picture"]


def named_picture(text: str) -> PictureSource:
    """The file that `text` names where there is one, else the image whose id it is or begins.

    Raises
    ------
    NotFoundError
        There is no such file, and it is no id.
    """
    from search.request import ImageFile, ImageId, is_id

    # Unlike Path.exists, this is False for a name no file can have.
    if os.path.exists(text):
        if is_id(text):
            echo(
                f"Note: {text} is a file here and could be an id too; the file is taken. Write the "
                "id with a blank before it for the image of the database.",
                err=True,
            )
        return ImageFile(Path(text))
    if not is_id(text):
        raise NotFoundError(
            f'"{text}" is neither a file nor an image id; ids are 16 hexadecimal digits, of which '
            "the first 6 may do"
        )
    return ImageId(text)
