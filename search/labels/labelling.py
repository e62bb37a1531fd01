"""What people say of the images of a database: asked, checked and recorded."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from indexer import advice
from indexer.annotation import KINDS, Annotation, vocabulary
from indexer.database.labels.events import Draft, Event, Verdict, standing, verdicts
from indexer.database.ledger.labels import LabelFile
from indexer.errors import NotFoundError, QueryError
from search.models import Once

if TYPE_CHECKING:
    from indexer.database.text.documents import Document
    from search.service import SearchService

__all__ = ["ImageLabels", "LabelStatement", "Labelling", "label_text", "make_draft", "parse_label"]

_NEAR = 3


@dataclass(frozen=True, slots=True)
class LabelStatement:
    """What a person holds of one finding.

    Parameters
    ----------
    finding
        Its heading, as annotations spell it.
    is_there
        Whether the film shows it.
    words
        Side, severity, place and the like of one that is there.
    """

    finding: str
    is_there: bool
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageLabels:
    """What people said of one image.

    Parameters
    ----------
    image
        Image id.
    events
        All of it, in order.
    verdicts
        What stands in the end, by finding.
    """

    image: str
    events: tuple[Event, ...]
    verdicts: Mapping[str, Verdict] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "verdicts", verdicts(self.events))

    @property
    def number(self) -> int:
        """Number of the last event; 0 where there is none."""
        return self.events[-1].number if self.events else 0

    def last(self, finding: str | None = None) -> Event | None:
        """The event that an undo takes back: the last one that stands, of all or of a finding."""
        return next(
            (
                event
                for event in reversed(standing(self.events))
                if finding in (None, event.finding)
                or (event.annotation is not None and event.annotation.disease == finding)
            ),
            None,
        )

    def to_json(self) -> dict[str, Any]:
        """``{"image", "labels", "history"}``."""
        return {
            "image": self.image,
            "labels": [
                {
                    "finding": name,
                    "verdict": "absent" if verdict.annotation is None else "present",
                    "words": [w.text for w in verdict.annotation.words[1:]]
                    if verdict.annotation
                    else [],
                    "person": verdict.event.person,
                    "at": verdict.event.at,
                }
                for name, verdict in self.verdicts.items()
            ],
            "history": [
                {
                    "number": event.number,
                    "action": event.action,
                    "finding": event.finding,
                    "text": event.annotation.text if event.annotation else None,
                    "undoes": event.undoes,
                    "person": event.person,
                    "at": event.at,
                }
                for event in self.events
            ],
        }


def parse_label(finding: str, words: Iterable[str] = (), also: Iterable[str] = ()) -> Annotation:
    """What a person says who names a finding and words of it.

    Parameters
    ----------
    also
        Findings that a database knows beside the vocabulary.

    Raises
    ------
    QueryError
        There is no such finding or word; the text names the nearest.
    """
    finding = " ".join(finding.lower().split())
    findings = {*vocabulary()["disease"], *also}
    if finding not in findings:
        raise QueryError(f'no finding "{finding}"{_hint(finding, findings)}')
    known = {name for kind in KINDS[1:] for name in vocabulary()[kind]}
    cleaned = [" ".join(word.lower().split()) for word in words]
    for word in cleaned:
        if word not in known:
            raise QueryError(f'no word "{word}" of a finding{_hint(word, known)}')
    return Annotation.from_words("human", finding, dict.fromkeys(cleaned))


def _hint(word: str, known: Iterable[str]) -> str:
    from search.language.lexicon import Lexicon

    known = set(known)
    meant = [h.name for h in Lexicon.load().senses(word) if h.name in known] if word else []
    near = [*meant, *difflib.get_close_matches(word, known, _NEAR, 0.5)]
    near += sorted(name for name in known if word and word in name)
    named = list(dict.fromkeys(near))[:_NEAR]
    return f"; near it are {', '.join(named)}" if named else f"; {advice.LEXICON} has headings"


def make_draft(document: Document, finding: str, annotation: Annotation | None) -> Draft:
    """What a person says who holds `annotation` of a finding that a document shows or does not.

    Parameters
    ----------
    annotation
        None where the finding is not there. Without words it is there as it is shown.
    """
    if annotation is None:
        return Draft(action="reject", finding=finding)
    shown = next((a for a in document["annotations"] if a["disease"] == finding), None)
    words = [w["text"] for w in shown["words"][1:]] if shown is not None else []
    as_shown = Annotation.from_words("human", finding, words)
    if annotation.disease == finding and (len(annotation.words) == 1 or annotation == as_shown):
        return Draft(action="accept", finding=finding, annotation=as_shown)
    return Draft(action="correct", finding=finding, annotation=annotation)


class Labelling:
    """Labels of one database; threads may share it.

    Parameters
    ----------
    service
        Of the database.
    """

    def __init__(self, service: SearchService) -> None:
        self._service = service
        self._file: Once[LabelFile] = Once(lambda file: file.close())

    def close(self) -> None:
        """Close the file."""
        self._file.clear()

    def of(self, image: str) -> ImageLabels:
        """What people said of an image up to now.

        Raises
        ------
        NotFoundError
            There is no such image.
        """
        with self._service.snapshot() as snapshot:
            database = snapshot.database
            if image not in database:
                raise NotFoundError(f"no image has the id {image!r}")
            labels = database.labels()
            events = labels.labels.of([image]) if labels is not None else []
        return ImageLabels(image, tuple(events))

    def record(
        self, image: str, drafts: Sequence[Draft], person: str, *, after: int | None = None
    ) -> ImageLabels:
        """Add what a person says of an image; searches see it once it is brought into them.

        Parameters
        ----------
        after
            `ImageLabels.number` as the person saw it; None for whatever it is.

        Raises
        ------
        NotFoundError
            There is no such image.
        LabelsChanged
            Somebody else has said something since.
        DatabaseError
            The database may not be written.
        """
        self.of(image)
        if drafts or after is not None:
            self._opened().record(image, drafts, person, after=after)
        return self.of(image)

    def put(
        self, image: str, wanted: Sequence[LabelStatement], person: str, *, after: int | None = None
    ) -> ImageLabels:
        """Have these statements, and no others, stand of an image; as `record` otherwise.

        Raises
        ------
        QueryError
            A finding or word is unknown, or a finding is named twice.
        """
        document = self.shown(image)
        before = self.of(image).verdicts
        drafts: list[Draft] = []
        named: set[str] = set()
        for one in wanted:
            annotation = parse_label(one.finding, one.words, document["probabilities"])
            if annotation.disease in named:
                raise QueryError(f'the finding "{annotation.disease}" is named twice')
            named.add(annotation.disease)
            held = before.get(annotation.disease)
            there = annotation if one.is_there else None
            if held is None or label_text(held.annotation) != label_text(there):
                drafts.append(make_draft(document, annotation.disease, there))
        drafts += [Draft(action="withdraw", finding=name) for name in before if name not in named]
        return self.record(image, drafts, person, after=after)

    def undo(
        self, image: str, person: str, *, finding: str | None = None, after: int | None = None
    ) -> ImageLabels:
        """Take back the last thing that was said of an image, or of a finding of it; as `record`
        otherwise.

        Raises
        ------
        QueryError
            Nothing stands of it.
        """
        last = self.of(image).last(finding)
        if last is None:
            what = f"of {finding} in the image" if finding else "of the image"
            raise QueryError(f"nothing is said {what} {image} that could be undone")
        draft = Draft(action="undo", finding=last.finding, undoes=last.number)
        return self.record(image, [draft], person, after=after)

    def shown(self, image: str) -> Document:
        """The document of an image as people see it."""
        with self._service.snapshot() as snapshot:
            return snapshot.database.image(image).document

    def _opened(self) -> LabelFile:
        with self._service.snapshot() as snapshot:
            database = snapshot.database

            def make() -> LabelFile:
                file = LabelFile(database.layout.labels, write=True)
                # An old copy of the file lacks the last events, whose numbers would be given again.
                file.complete(database.ledger.labels)
                return file

            return self._file.get(None, make, LabelFile.is_current)


def label_text(annotation: Annotation | None) -> str | None:
    """The words of an annotation, if there is one."""
    return annotation.text if annotation is not None else None
