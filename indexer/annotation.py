"""Annotations: what is said of one finding, in words that each have a kind and a confidence."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

__all__ = [
    "CERTAINTIES",
    "EVEN",
    "KINDS",
    "NORMAL",
    "Annotation",
    "Certainty",
    "Origin",
    "Word",
    "WordKind",
    "in_full",
    "parse_mesh",
    "qualifiers",
    "stored_certainty",
    "vocabulary",
    "word_kind",
]

Origin: TypeAlias = Literal["predicted", "human", "report"]
WordKind: TypeAlias = Literal["disease", "organ", "location", "side", "severity", "other"]
Certainty: TypeAlias = Literal["likely", "possible"]
CERTAINTIES: tuple[Certainty, ...] = ("likely", "possible")
#: From this probability on a finding is likely where a bundle does not say otherwise.
EVEN = 0.5
KINDS: tuple[WordKind, ...] = ("disease", "organ", "location", "side", "severity", "other")
NORMAL = "normal"

# The paper's term rule: these headings name an organ, so the disease is their second part.
_ORGAN_HEADINGS = frozenset(
    {"lung", "spine", "thoracic vertebrae", "aorta", "markings", "diaphragm"}
)
# "No Indexing" says that nobody annotated the study, so it is no label.
_NO_LABEL = frozenset({"", "no indexing"})

_VOCABULARY = Path(__file__).with_name("words") / "chest.toml"


@functools.cache
def vocabulary() -> Mapping[str, Any]:
    """The vocabulary of chest radiology, headings by kind, as ``words/chest.toml`` has it."""
    return tomllib.loads(_VOCABULARY.read_text(encoding="utf-8"))


@functools.cache
def qualifiers() -> Mapping[WordKind, frozenset[str]]:
    """The words that say where, on which side and how much, by kind."""
    words: dict[WordKind, set[str]] = {kind: set() for kind in KINDS[1:-1]}
    for kind in KINDS:
        for name, entry in vocabulary()[kind].items():
            for also in (kind, *entry.get("also", ())):
                if also in words and not entry.get("means"):
                    words[also].add(name)
    return {kind: frozenset(some) for kind, some in words.items()}


@functools.cache
def _kinds() -> Mapping[str, WordKind]:
    return {word: kind for kind, words in qualifiers().items() for word in words}


def word_kind(qualifier: str) -> WordKind:
    """Kind of a qualifier word; ``"other"`` for one that says neither where nor how much."""
    return _kinds().get(qualifier, "other")


@dataclass(frozen=True, slots=True)
class Word:
    """One word of an annotation.

    Parameters
    ----------
    text
        A MeSH heading or qualifier in lower case.
    kind
        What the word tells of the finding.
    confidence
        Probability in 0..1; 1.0 for words a person wrote.
    """

    text: str
    kind: WordKind
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Annotation:
    """A finding with its qualifiers; its words stay together.

    Parameters
    ----------
    origin
        Who says so: the cascade, a person's MeSH terms, or the report's text.
    words
        The disease first, then its qualifiers in the order they were written.
    certainty
        Of the cascade's own: ``"likely"`` where at least half of such findings are there,
        ``"possible"`` where they are only clearly commoner than elsewhere. What people write and
        what a report affirms is likely.
    """

    origin: Origin
    words: tuple[Word, ...]
    certainty: Certainty = "likely"

    @property
    def disease(self) -> str:
        """The finding's name."""
        return self.words[0].text

    @property
    def confidence(self) -> float:
        """Probability of the finding itself, without its qualifiers."""
        return self.words[0].confidence

    @property
    def text(self) -> str:
        """The annotation as people read it: ``"opacity, lung, base, left"``."""
        return ", ".join([word.text for word in self.words])

    def of_kind(self, kind: WordKind) -> tuple[str, ...]:
        """The words of one kind, in order."""
        return tuple(word.text for word in self.words if word.kind == kind)

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        kinds: dict[str, list[str]] = {}
        for word in self.words:
            kinds.setdefault(word.kind, []).append(word.text)
        return {
            "text": self.text,
            "origin": self.origin,
            "confidence": round(self.confidence, 4),
            "certainty": self.certainty,
            "disease": self.disease,
            **{kind: kinds[kind] for kind in KINDS[1:] if kind in kinds},
            "words": [
                {"text": w.text, "kind": w.kind, "confidence": round(w.confidence, 4)}
                for w in self.words
            ],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Annotation:
        """The annotation that `to_json` turned into `data`."""
        words = tuple(Word(w["text"], w["kind"], w["confidence"]) for w in data["words"])
        return cls(data["origin"], words, stored_certainty(data))

    @classmethod
    def from_words(cls, origin: Origin, disease: str, qualifiers: Iterable[str]) -> Annotation:
        """An annotation of confidence 1, the kinds looked up."""
        rest = tuple(Word(q, word_kind(q)) for q in qualifiers)
        return cls(origin, (Word(disease, "disease"), *rest))


def stored_certainty(data: Mapping[str, Any]) -> Certainty:
    """The certainty of an annotation as `Annotation.to_json` made it; of a predicted one of an
    earlier version, which has none, by its probability."""
    found: Certainty | None = data.get("certainty")
    if found:
        return found
    unsure = data["origin"] == "predicted" and data["confidence"] < EVEN
    return "possible" if unsure else "likely"


def in_full(data: Mapping[str, Any]) -> dict[str, Any]:
    """An annotation as `Annotation.to_json` made it, with every key: a kind without words is empty.

    What is stored leaves empty kinds out, so that documents stay small and their hashes the same.
    """
    return {
        "text": data["text"],
        "origin": data["origin"],
        "confidence": data["confidence"],
        "certainty": stored_certainty(data),
        "disease": data["disease"],
        **{kind: data.get(kind, []) for kind in KINDS[1:]},
        "words": data["words"],
    }


def parse_mesh(term: str) -> Annotation | None:
    """One human MeSH string (``"Lung/hypoinflation/mild"``) as an annotation.

    The top-level term follows Shin et al. (CVPR 2016): the part before the first slash, except
    that organ headings keep their second part (``"lung hypoinflation"``). None for strings that
    label nothing.
    """
    parts = [" ".join(part.lower().split()) for part in term.split("/")]
    parts = [part for part in parts if part]
    if not parts or parts[0] in _NO_LABEL:
        return None
    length = 2 if parts[0] in _ORGAN_HEADINGS and len(parts) > 1 else 1
    return Annotation.from_words("human", " ".join(parts[:length]), parts[length:])
