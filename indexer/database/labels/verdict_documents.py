"""A document once people have judged what the cascade says."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from indexer.annotation import NORMAL, Annotation
from indexer.database.labels.events import Verdict

if TYPE_CHECKING:
    from indexer.database.text.documents import Document

__all__ = ["apply_verdicts"]


def apply_verdicts(document: Document, verdicts: Mapping[str, Verdict]) -> Document:
    """The document in which what people say stands in place of predictions.

    Predictions of a finding that people judged are left out. A finding that they deny stands in
    `absent`, and what the report's reading and imported labels say of it is left out, too; so it
    is where they correct its words. A person who calls a film normal denies all that is predicted
    of it. Where the report affirms what they deny, its words are blanked in `statements`, as if it
    denied them itself. The report's own text and the probabilities stay.

    Parameters
    ----------
    verdicts
        What people say, by finding.
    """
    if not verdicts:
        return document
    present = {name for name, verdict in verdicts.items() if verdict.annotation is not None}
    denied = [name for name in verdicts if name not in present]
    predicted = [a for a in document["annotations"] if a["origin"] == "predicted"]
    if NORMAL in present:
        others = (a["disease"] for a in predicted)
        denied += [name for name in dict.fromkeys(others) if name not in verdicts]
    alone = {name for name, verdict in verdicts.items() if verdict.is_alone}
    found = present - {NORMAL}

    def stays(annotation: Mapping[str, Any]) -> bool:
        name = annotation["disease"]
        if annotation["origin"] != "predicted":
            return name not in alone
        return name not in verdicts and name not in denied and not (name == NORMAL and found)

    kept = [a for a in document["annotations"] if stays(a)]
    before = {a["text"] for a in kept if a["origin"] == "human"}
    own = [v.annotation for v in verdicts.values() if v.annotation is not None]
    human = [a.to_json() for a in own if a.text not in before]
    place = sum(a["origin"] != "report" for a in kept)
    settled = {*verdicts, *denied}

    def unsettled(annotations: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [a for a in annotations if a["disease"] not in settled]

    absent = [Annotation.from_words("human", name, ()).to_json() for name in denied]
    return {
        **document,
        "annotations": [*kept[:place], *human, *kept[place:]],
        "absent": [*unsettled(document["absent"]), *absent],
        "uncertain": unsettled(document["uncertain"]),
        "statements": _without_mentions(document, denied),
    }


def _without_mentions(document: Document, names: Collection[str]) -> dict[str, str]:
    """The report's statements, every mention of some findings made spaces."""
    from indexer.words.labeller import label

    statements = dict(document["statements"])
    if not names or not statements:
        return statements
    for mention in label(document["report"] or {}):
        text = statements.get(mention.section)
        if mention.annotation.disease in names and text is not None:
            start, end = mention.phrase_span
            statements[mention.section] = text[:start] + " " * (end - start) + text[end:]
    return statements
