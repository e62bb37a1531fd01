"""One image of a data set and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from indexer.annotation import Annotation
from indexer.errors import TrainingError

__all__ = ["Example", "Part", "check_apart"]

#: ``train``, ``val``, ``test`` or another part of the set, or a file of studies or images.
Part: TypeAlias = str | Path


@dataclass(frozen=True, slots=True)
class Example:
    """One image of a data set.

    Parameters
    ----------
    image_id
        Its name in the set, without suffix.
    path
        Where the picture lies.
    study
        Images of one study share it; a pseudonym.
    view
        ``"frontal"`` or ``"lateral"``; None where unknown.
    annotations
        What people say of it, and where nobody annotated it what its text affirms.
    sentences
        What its report or caption says.
    patient
        A pseudonym; empty where the set does not tell.
    part
        The part of the set that it is of.
    findings
        How likely findings are there that labels speak of: 1 for yes, 0 for no, in between for a
        label that is not given in a set that may have missed it.
    others
        How likely any finding is that neither `annotations` nor `findings` name; None where nothing
        is known of it.
    implied
        Findings that labels mean beside the one that they are called by, as ``"emphysema"`` beside
        ``"pulmonary emphysema"``, with that one: the two are learnt, and judged once.
    """

    image_id: str
    path: Path
    study: str
    view: str | None
    annotations: tuple[Annotation, ...]
    sentences: tuple[str, ...] = ()
    patient: str = ""
    part: str = ""
    findings: Mapping[str, float] = field(default_factory=dict)
    others: float | None = 0.0
    implied: Mapping[str, str] = field(default_factory=dict)


def check_apart(train: Sequence[Example], val: Sequence[Example]) -> None:
    """Refuse parts that share a study.

    Raises
    ------
    TrainingError
        A study has images in both.
    """
    common = {e.study for e in train} & {e.study for e in val}
    if common:
        raise TrainingError(
            f"{len(common)} studies are in train and val ({min(common)} for one): split by study"
        )
