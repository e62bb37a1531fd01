"""What people said is found, and what they denied is not, in each text store."""

from __future__ import annotations

from indexer.annotation import Annotation
from indexer.database.labels.events import Event, verdicts
from indexer.database.labels.verdict_documents import apply_verdicts
from indexer.database.text.documents import Document
from search.language.tree import Node, Value
from search.stores.backend import TextQuery
from tests.contract.conftest import Filled
from tests.contract.corpus import generated_documents


def _event(number: int, finding: str, *words: str, there: bool) -> Event:
    said = Annotation.from_words("human", finding, words) if there else None
    return Event(
        number=number, image="", action="correct" if there else "reject", finding=finding,
        annotation=said, person="ann", at="",
    )  # fmt: skip


def _ids(filled: Filled, node: Node) -> set[str]:
    page = filled.backend.search(TextQuery(node, limit=1000))
    return {document["id"] for _, document in page.hits}


def _predicted(document: Document) -> str | None:
    """A finding that the cascade alone names."""
    origins: dict[str, set[str]] = {}
    for annotation in document["annotations"]:
        origins.setdefault(annotation["disease"], set()).add(annotation["origin"])
    return next((name for name, said in origins.items() if said == {"predicted"}), None)


def test_labels_count_before_predictions(empty: Filled) -> None:
    documents = generated_documents()[:200]
    empty.write(documents)
    named = [(d, name) for d in documents if (name := _predicted(d)) is not None]
    (first, denied), (second, moved) = named[:2]
    assert first["id"] in _ids(empty, Value("disease", denied))
    empty.write(
        [
            apply_verdicts(first, verdicts([_event(1, denied, there=False)])),
            apply_verdicts(second, verdicts([_event(2, moved, "right", "severe", there=True)])),
        ]
    )
    assert first["id"] not in _ids(empty, Value("disease", denied))
    assert first["id"] in _ids(empty, Value("absent", denied))
    assert second["id"] in _ids(empty, Value("disease", moved, "human"))
    assert second["id"] not in _ids(empty, Value("disease", moved, "predicted"))
    assert second["id"] in _ids(empty, Value("composite", f"{moved}, right, severe", "human"))
    page = empty.backend.search(
        TextQuery(Value("absent", denied), facets=["absent", "origin"], facet_size=50, limit=0)
    )
    assert {c.value: c.count for c in page.facets["absent"]}[denied] == page.total
