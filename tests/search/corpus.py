"""Generated documents for the tests of searching."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from indexer.annotation import Annotation, Origin
from indexer.database.text.documents import Document, read_report

__all__ = ["image_document", "random_documents"]

_DISEASES = (
    "atelectasis",
    "cardiomegaly",
    "normal",
    "nodule",
    "opacity",
    "pleural effusion",
    "tube, inserted",
)
_QUALIFIERS = ("lung", "heart", "base", "apex", "left", "right", "mild", "severe", "round")
_SENTENCES = (
    "The heart is enlarged.",
    "No pleural effusion or pneumothorax.",
    "Stable opacities in the left base.",
    "Lungs are clear.",
    "There is mild cardiomegaly!",
)


def image_document(
    image_id: str,
    annotations: Iterable[tuple[Origin, str]] = (),
    report: dict[str, str] | None = None,
    **changes: Any,
) -> Document:
    """A document; annotations as (origin, ``"disease; qualifier; ..."``), more of the report."""
    made = []
    for origin, text in annotations:
        disease, *qualifiers = text.split("; ")
        made.append(Annotation.from_words(origin, disease, qualifiers).to_json())
    read = read_report(report or {})
    document: dict[str, Any] = {
        "id": image_id,
        "study": f"5{image_id[-11:]}",
        "patient": f"7{image_id[-11:]}",
        "view": "frontal",
        "view_origin": "predicted",
        "projection": None,
        "sex": None,
        "age": None,
        "year": None,
        "manufacturer": None,
        "rows": 256,
        "columns": 256,
        "annotations": [*made, *read["annotations"]],
        "absent": read["absent"],
        "uncertain": read["uncertain"],
        "report": report,
        "statements": read["statements"],
        "probabilities": {},
    }
    return Document(**{**document, **changes})  # type: ignore[typeddict-item]


def random_documents(count: int, seed: int = 0) -> list[Document]:
    """Documents with one to three annotations, two thirds of them with a report."""
    rng = random.Random(seed)
    documents = []
    for number in range(count):
        origins: list[Origin] = [
            rng.choice(("predicted", "human")) for _ in range(rng.randint(1, 3))
        ]
        annotations: list[tuple[Origin, str]] = [
            (origin, "; ".join([rng.choice(_DISEASES), *rng.sample(_QUALIFIERS, 2)]))
            for origin in sorted(origins, reverse=True)
        ]
        report = {
            "findings": " ".join(rng.choices(_SENTENCES, k=3)),
            "impression": rng.choice(_SENTENCES),
        }
        documents.append(
            image_document(
                f"{rng.getrandbits(64):016x}",
                annotations,
                report if rng.random() < 2 / 3 else None,
                study=f"{number // 3:012x}",
                patient=f"{number // 6:012x}",
                view=rng.choice(("frontal", "lateral")),
                sex=rng.choice(("M", "F", None)),
                age=rng.choice((None, 34, 51, 68, 90)),
                year=rng.choice((2009, 2013)),
            )
        )
    return documents
