"""How reports are read for the headings of ``chest.toml``: phrases of findings and of qualifiers.

Where a heading is read, its forms are found as they stand, and what its patterns match is found
too. Patterns are regular expressions on lower-case text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from indexer.annotation import KINDS, WordKind, vocabulary

__all__ = ["FINDINGS", "QUALIFIER_PATTERNS", "FindingRule"]

_QUALIFIERS: tuple[WordKind, ...] = KINDS[1:]


@dataclass(frozen=True, slots=True)
class FindingRule:
    """One way to word a finding.

    Parameters
    ----------
    disease
        The top-level term.
    pattern
        Regular expression of the phrase.
    qualifiers
        Said by the phrase itself.
    organ
        Where the finding is if the sentence names no organ.
    kinds
        Kinds of qualifiers it may take from its sentence.
    """

    disease: str
    pattern: str
    qualifiers: tuple[str, ...] = ()
    organ: str = ""
    kinds: tuple[WordKind, ...] = _QUALIFIERS


def _with_parts(pattern: str) -> str:
    """A pattern with the parts that it names in angle brackets."""
    parts: Mapping[str, str] = vocabulary()["parts"]
    while named := re.search(r"<(\w+)>", pattern):
        pattern = pattern.replace(named[0], parts[named[1]])
    return pattern


def _literally(texts: Iterable[str]) -> str:
    """A pattern of these texts, the longest first; plurals and hyphens as the file says."""
    ways = sorted({*texts}, key=lambda text: (-len(text), text))
    patterns = (re.escape(way).replace(r"\ ", "[ -]").replace(r"\-", "[ -]?") for way in ways)
    return f"(?:{'|'.join(patterns)})(?:s|es)?"


def _forms(name: str, entry: Mapping[str, Any]) -> list[str]:
    """What a report says for a heading."""
    if not entry.get("read"):
        return []
    own = [] if name in entry.get("asked", ()) else [name]
    return [*own, *entry.get("forms", ()), *entry.get("said", ())]


def _findings() -> Iterator[FindingRule]:
    # Terms that name their organ come first: "degenerative lumbar spine" is about those vertebrae.
    for kind in (*_QUALIFIERS, "disease"):
        for name, entry in vocabulary()[kind].items():
            organ = entry.get("organ", "")
            kinds = tuple(entry.get("takes", _QUALIFIERS))
            for way in entry.get("patterns" if kind == "disease" else "as_finding", ()):
                given = {"pattern": way} if isinstance(way, str) else way
                yield FindingRule(
                    name,
                    _with_parts(given["pattern"]),
                    tuple(given.get("says", ())),
                    given.get("organ", organ),
                    tuple(given.get("takes", kinds)),
                )
            if kind == "disease" and (forms := _forms(name, entry)):
                yield FindingRule(name, _literally(forms), (), organ, kinds)


def _qualifiers() -> Iterator[tuple[str, str]]:
    for kind in _QUALIFIERS:
        for name, entry in vocabulary()[kind].items():
            if forms := _forms(name, entry):
                yield name, rf"{_literally(forms)}(?!\w)"
            for pattern in entry.get("patterns", ()):
                yield name, _with_parts(pattern)


# Where two phrases overlap the longer one counts, and of equally long ones the first.
FINDINGS: tuple[FindingRule, ...] = tuple(_findings())
#: Words of the annotations' vocabulary and how reports put them.
QUALIFIER_PATTERNS: tuple[tuple[str, str], ...] = tuple(_qualifiers())
