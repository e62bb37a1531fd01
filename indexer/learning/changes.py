"""Names of the random changes of a picture, which a command can list without loading torch."""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["AppearanceChange"]

#: What can be left out of `indexer.learning.augmentation`; all but the last two are changes of
#: appearance (`indexer.learning.appearance`).
AppearanceChange: TypeAlias = Literal[
    "gamma",
    "local equalisation",
    "blur",
    "coarse pixels",
    "contrast",
    "noise",
    "letters",
    "borders",
    "rotations",
    "scales",
]
