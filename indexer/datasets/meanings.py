"""From what tables say of an image to what is known of its findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from indexer.annotation import NORMAL, Annotation
from indexer.datasets.description import Claim, LabelMeaning, LabelMeanings
from indexer.errors import TrainingError

__all__ = ["Claims", "KnownFindings", "known", "read_labels"]

#: By label, what each row of the image says of it.
Claims: TypeAlias = dict[str, list[Claim]]

# Brackets and quotes of a list as Python writes it.
_LIST_PUNCTUATION = " []'\""


@dataclass(frozen=True, slots=True)
class KnownFindings:
    """What is known of an image's findings.

    Parameters
    ----------
    annotations
        What people say of it.
    findings, others, implied
        See `indexer.datasets.example.Example`.
    """

    annotations: tuple[Annotation, ...] = ()
    findings: Mapping[str, float] = field(default_factory=dict)
    others: float | None = None
    implied: Mapping[str, str] = field(default_factory=dict)


def read_labels(labels: LabelMeanings, cells: Mapping[str, str], listed: str) -> Claims:
    """What one row says.

    Parameters
    ----------
    cells
        The row, whose columns the labels are unless one column lists them.
    listed
        That column's value; an empty one says nothing of any label.

    Raises
    ------
    TrainingError
        A cell is none of those that the description explains; the text names the column.
    """
    if labels.cells is None:
        given = [piece.strip(_LIST_PUNCTUATION) for piece in listed.split(labels.separator)]
        given = [piece for piece in given if piece]
        if not given:
            return {}
        names = {name.casefold(): name for name in labels.meanings}
        found: Claims = {name: ["soft"] for name in labels.meanings}
        return found | {names.get(piece.casefold(), piece): ["yes"] for piece in given}
    found = {}
    # A row of a joined table may be missing, and with it all labels.
    for name in filter(cells.__contains__, labels.meanings):
        cell = cells[name].lower()
        if cell not in labels.cells:
            there = ", ".join(repr(value) for value in labels.cells)
            raise TrainingError(f"column {name}: {cells[name]!r} is none of {there}")
        found[name] = [labels.cells[cell]]
    return found


def known(
    labels: LabelMeanings | None,
    claims: Claims,
    annotations: Iterable[Annotation],
    deny: float | None,
) -> KnownFindings:
    """What is known together.

    A label counts as given where at least half of the rows that judge it give it, as denied where
    none does. A finding is denied where every label that means it is. Any other finding denies
    ``normal``.

    Parameters
    ----------
    claims
        What an image's rows say by labels.
    annotations
        What people wrote of it; none where nobody annotated it.
    deny
        How likely a finding is that those leave out; None where they deny nothing.
    """
    distinct = dict.fromkeys(annotations)
    others = deny if distinct else None
    states: dict[str, list[float | None]] = {}
    implied: dict[str, str] = {}
    called: set[str] = set()
    for name, rows in claims.items():
        # A label that the description does not list is taken for a finding of that name.
        meaning = (labels.meanings.get(name) if labels is not None else None) or LabelMeaning(
            Annotation.from_words("human", name.lower().replace("_", " "), ()), ()
        )
        state = _judged(rows, labels.softness if labels is not None else 0.0)
        if state == 1:
            distinct[meaning.annotation] = None
        if meaning.findings and not meaning.one_of:
            first, *more = meaning.findings
            called.add(first)
            implied |= dict.fromkeys(more, first)
        for finding in meaning.findings:
            unclear = state == 1 and meaning.one_of
            states.setdefault(finding, []).append(None if unclear else state)
    findings = {name: state for name, s in states.items() if (state := _together(s)) is not None}
    if any(annotation.disease != NORMAL for annotation in distinct) and findings.get(NORMAL) != 1:
        findings[NORMAL] = 0.0
    alike = {name: first for name, first in implied.items() if name not in called}
    # Who annotated it fully told them apart.
    return KnownFindings(tuple(distinct), findings, others, alike if others is None else {})


def _judged(rows: list[Claim], softness: float) -> float | None:
    votes = [claim for claim in rows if claim != "unknown"]
    if not votes:
        return None
    given = votes.count("yes")
    if 2 * given >= len(votes):
        return 1.0
    if given:
        return None
    return 0.0 if "no" in votes else softness


def _together(states: list[float | None]) -> float | None:
    """1 if any is; nothing where one is unclear; else the likeliest."""
    if 1.0 in states:
        return 1.0
    clear = [state for state in states if state is not None]
    return max(clear) if len(clear) == len(states) else None
