"""The headings of chest radiology, and how people say them, as ``chest.toml`` has them.

Annotations are spelt by them, reports are read for them (`indexer.words.labeller`), queries are
widened by them, and sentences are compared with their everyday words.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from indexer.annotation import KINDS, WordKind, vocabulary

__all__ = ["Heading", "headings", "in_a_sentence", "loose_forms"]

# Headings whose comma parts two things.
_LISTS = frozenset({"trachea, carina"})


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading and how people say it.

    Parameters
    ----------
    name
        In the spelling of annotations.
    kinds
        What it may stand as in an annotation, the usual kind first.
    forms
        Other ways to say it, the commonest first.
    broader, narrower
        Headings right above and right below it.
    means
        Kind and word, where the name says several things of one finding; never of a disease.
    plain
        The heading in everyday words, empty where it has none.
    exact
        Whether its name is looked for as a finding alone, as other findings are said to be at a
        place of the same words.
    """

    name: str
    kinds: tuple[WordKind, ...]
    forms: tuple[str, ...] = ()
    broader: tuple[str, ...] = ()
    narrower: tuple[str, ...] = ()
    means: tuple[tuple[WordKind, str], ...] = ()
    plain: str = ""
    exact: bool = False

    def to_json(self) -> dict[str, Any]:
        """``{"heading", "kinds", "forms", "broader", "narrower", "means"}``."""
        return {
            "heading": self.name,
            "kinds": list(self.kinds),
            "forms": list(self.forms),
            "broader": list(self.broader),
            "narrower": list(self.narrower),
            "means": [f"{kind}:{word}" for kind, word in self.means],
        }


@functools.cache
def headings() -> tuple[Heading, ...]:
    """Every heading, in the order of the file; `Heading.narrower` is left empty.

    Raises
    ------
    ValueError
        The vocabulary has a table of no kind of word.
    """
    if unknown := sorted(vocabulary().keys() - {*KINDS, "loose", "parts"}):
        raise ValueError(f"the vocabulary has no kind {unknown[0]}")
    return tuple(
        Heading(
            name,
            (kind, *entry.get("also", ())),
            tuple(f for f in (*entry.get("forms", ()), *entry.get("asked", ())) if f != name),
            tuple(entry.get("broader", ())),
            means=tuple(tuple(part.split(":", 1)) for part in entry.get("means", ())),
            plain=entry.get("plain", ""),
            exact=entry.get("exact", False),
        )
        for kind in KINDS
        for name, entry in vocabulary()[kind].items()
    )


def in_a_sentence(name: str) -> str:
    """A name as it is said among other words: of a heading what stands behind its comma comes
    first, "indwelling catheters" for "catheters, indwelling"; any other is left as it is."""
    if name in _LISTS or not any(name in vocabulary()[kind] for kind in KINDS):
        return name
    return " ".join(reversed(name.split(", ")))


def loose_forms() -> Mapping[str, list[str]]:
    """Ways to ask for headings that are no ways to look for them, with the headings."""
    loose: Mapping[str, list[str]] = vocabulary()["loose"]
    return loose
