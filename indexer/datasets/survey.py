"""Which labels annotations could give, and what is left out and why.

The set of an image's top-level terms is its pattern. Shin et al. (CVPR 2016) make the patterns of
enough images the classes of a picture that has one label; a cascade that names every finding of a
picture counts each term wherever it stands. `survey` shows both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Generic, TypeVar

from indexer.annotation import NORMAL, qualifiers
from indexer.cascade.labels import END, LabelSet
from indexer.datasets.annotated import AnnotatedImage, Collection
from indexer.datasets.mining import PAPER_CLASSES, mine
from indexer.words.labeller_rules import FINDINGS, QUALIFIER_PATTERNS

__all__ = ["Candidate", "MiningReport", "Totals", "survey"]

T = TypeVar("T")

# Qualifiers of the collection that the labeller has no phrase for.
_OTHER_WORDS = frozenset(
    [
        "abnormal",
        "acute",
        "reticular",
        "bronchovascular",
        "hypoinflation",
        "hyperdistention",
        "pulmonary congestion",
    ]
)
_KNOWN_WORDS = frozenset().union(
    *qualifiers().values(),
    {word for word, _ in QUALIFIER_PATTERNS},
    *(rule.qualifiers for rule in FINDINGS),
    _OTHER_WORDS,
)


@dataclass(frozen=True, slots=True)
class Candidate(Generic[T]):
    """One thing that could be learned, and whether it is.

    Parameters
    ----------
    name
        A pattern (sorted tuple of terms), a term, a pair or a word.
    images, studies
        How many carry it.
    shared
        Images of it that carry other terms too.
    kept
        Whether it becomes a label.
    reason
        Why it is none; for a kept one a remark, or nothing.
    """

    name: T
    images: int
    studies: int
    shared: int
    kept: bool
    reason: str = ""

    @property
    def title(self) -> str:
        """Its name as a text."""
        return self.name if isinstance(self.name, str) else " + ".join(self.name)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts of a whole collection.

    Parameters
    ----------
    images, studies
        All of it, annotated or not.
    unannotated
        Images whose report says ``No Indexing``, or of which nothing is known.
    normal
        Images whose only term is ``normal``.
    terms, qualifiers, patterns
        Distinct top-level terms (``normal`` is one), other words, and sets of terms.
    terms_per_image
        Number of abnormal images by number of terms.
    words_per_annotation
        Number of annotations by number of words; counted once an image.
    """

    images: int
    studies: int
    unannotated: int
    normal: int
    terms: int
    qualifiers: int
    patterns: int
    terms_per_image: dict[int, int]
    words_per_annotation: dict[int, int]


@dataclass(frozen=True, slots=True)
class MiningReport:
    """What annotations would teach a cascade, most frequent first.

    Parameters
    ----------
    protocol
        ``"mined"``, or ``"paper"`` for the fixed classes of pictures with a single label.
    min_images
        Fewest images of a label; None for the fixed classes.
    classes
        Patterns: what an image as a whole may be.
    findings
        Terms, each counted in every image that has it.
    pairs
        A finding with one of its qualifiers.
    words
        Qualifiers, the rest of the annotator's vocabulary.
    overlaps
        Two terms and the number of images that have both.
    labels
        The kept findings, pairs and words as training takes them.
    """

    protocol: str
    min_images: int | None
    totals: Totals
    classes: tuple[Candidate[tuple[str, ...]], ...]
    findings: tuple[Candidate[str], ...]
    pairs: tuple[Candidate[tuple[str, str]], ...]
    words: tuple[Candidate[str], ...]
    overlaps: tuple[tuple[str, str, int], ...]
    labels: LabelSet

    def to_json(self, collection: Collection) -> dict[str, Any]:
        """A JSON object, as docs/output.md describes it.

        Parameters
        ----------
        collection
            What it was made of.
        """
        return {
            "source": collection.source,
            "reports_without_image": collection.without_image,
            "images_without_report": collection.without_report,
            "unreadable_reports": len(collection.problems),
            **asdict(self),
        }

    @property
    def tables(self) -> dict[str, Sequence[Candidate[Any]]]:
        """The entries by what they are of."""
        return {
            "class": self.classes,
            "finding": self.findings,
            "pair": self.pairs,
            "word": self.words,
        }

    def rows(self) -> Iterator[dict[str, object]]:
        """All entries, one after the other, for a table of one kind of row."""
        for label, entries in self.tables.items():
            for entry in entries:
                yield {
                    "label": label,
                    "name": entry.title,
                    "images": entry.images,
                    "studies": entry.studies,
                    "shared": entry.shared,
                    "kept": "yes" if entry.kept else "no",
                    "reason": entry.reason,
                }


def survey(images: Sequence[AnnotatedImage], min_images: int | None) -> MiningReport:
    """Count patterns, terms, pairs and words, and say which become labels.

    Parameters
    ----------
    images
        Annotated or not.
    min_images
        Fewest images of a label. None: the protocol of the paper, where an image with several
        terms is left out and `PAPER_CLASSES` are the classes, however few images they have.
    """
    annotated = [image for image in images if image.annotations]
    paper = min_images is None
    known = set(PAPER_CLASSES)
    # In the paper's protocol only these images teach anything.
    single = {(name,) for name in PAPER_CLASSES}
    usable = [image for image in annotated if _pattern(image) in single] if paper else annotated
    if min_images is None:
        labels = mine([image.annotations for image in usable], 1)
        order = {name: rank for rank, name in enumerate(PAPER_CLASSES)}
        qualifiers = tuple(w for w in labels.vocabulary[1:] if w not in set(labels.findings))
        labels = LabelSet(
            findings=PAPER_CLASSES,
            pairs=tuple(sorted(labels.pairs, key=lambda pair: order[pair[0]])),
            vocabulary=(END, *PAPER_CLASSES, *(q for q in qualifiers if q not in order)),
        )
    else:
        labels = mine([image.annotations for image in annotated], min_images)

    def refusal_of_class(name: tuple[str, ...], count: int) -> str:
        if min_images is not None:
            return _too_few(count, min_images)
        if len(name) > 1:
            return "several findings: the paper takes images of a single one"
        return "" if name[0] in known else "not one of the paper's 17 classes"

    def refusal_of_finding(name: str, count: int) -> str:
        if min_images is None:
            return "" if name in known else "not one of the paper's 17 classes"
        return _too_few(count, min_images)

    def refusal_of_pair(name: tuple[str, str], count: int) -> str:
        if name in set(labels.pairs):
            return ""
        if name[0] not in set(labels.findings):
            return "its finding is left out"
        return _few_or_several(count, min_images)

    def refusal_of_word(name: str, count: int) -> str:
        return "" if name in set(labels.vocabulary) else _few_or_several(count, min_images)

    overlaps = Counter(pair for i in annotated for pair in combinations(_pattern(i), 2))
    return MiningReport(
        protocol="paper" if paper else "mined",
        min_images=min_images,
        totals=_totals(images),
        classes=_entries(annotated, lambda i: {_pattern(i)}, refusal_of_class),
        findings=_entries(annotated, lambda i: set(_pattern(i)), refusal_of_finding),
        pairs=_entries(
            annotated,
            lambda i: {(a.disease, w.text) for a in i.annotations for w in a.words[1:]},
            refusal_of_pair,
        ),
        words=_entries(
            annotated,
            lambda i: {w.text for a in i.annotations for w in a.words[1:]},
            refusal_of_word,
            _unknown,
        ),
        overlaps=tuple((*pair, count) for pair, count in _ranked(overlaps)),
        labels=labels,
    )


def _pattern(image: AnnotatedImage) -> tuple[str, ...]:
    return tuple(sorted({annotation.disease for annotation in image.annotations}))


def _too_few(count: int, least: int) -> str:
    return "" if count >= least else f"fewer than {least} images"


def _few_or_several(count: int, least: int | None) -> str:
    if least is None:
        return "only in images that the paper leaves out"
    return _too_few(count, least)


def _unknown(name: str) -> str:
    return "" if name in _KNOWN_WORDS else "unknown word"


def _ranked(counts: Counter[T]) -> list[tuple[T, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))


def _entries(
    images: Iterable[AnnotatedImage],
    names: Callable[[AnnotatedImage], set[T]],
    refusal: Callable[[T, int], str],
    remark: Callable[[T], str] = lambda _: "",
) -> tuple[Candidate[T], ...]:
    counts: Counter[T] = Counter()
    shared: Counter[T] = Counter()
    studies: dict[T, set[str]] = {}
    for image in images:
        several = len(_pattern(image)) > 1
        for name in names(image):
            counts[name] += 1
            shared[name] += several
            studies.setdefault(name, set()).add(image.study)
    entries = []
    for name, count in _ranked(counts):
        refused = refusal(name, count)
        reason = "; ".join(text for text in (refused, remark(name)) if text)
        entries.append(
            Candidate(name, count, len(studies[name]), shared[name], not refused, reason)
        )
    return tuple(entries)


def _totals(images: Sequence[AnnotatedImage]) -> Totals:
    annotated = [image for image in images if image.annotations]
    patterns = [_pattern(image) for image in annotated]
    abnormal = Counter(len(pattern) for pattern in patterns if pattern != (NORMAL,))
    lengths = Counter(len(a.words) for image in annotated for a in image.annotations)
    return Totals(
        images=len(images),
        studies=len({image.study for image in images}),
        unannotated=len(images) - len(annotated),
        normal=patterns.count((NORMAL,)),
        terms=len({term for pattern in patterns for term in pattern}),
        qualifiers=len({w.text for i in annotated for a in i.annotations for w in a.words[1:]}),
        patterns=len(set(patterns)),
        terms_per_image=dict(sorted(abnormal.items())),
        words_per_annotation=dict(sorted(lengths.items())),
    )
