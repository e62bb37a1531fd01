"""Does a query by a synonym find what a query by the heading finds?

    python -m benchmarks.synonyms ../shared/openi

Over the human MeSH terms of the val images: for each disease heading that a val image carries, the
recall of every synonym of the lexicon, typed without quotes, against `disease:"heading"` of human
origin, and against the exact heading without the narrower ones that the lexicon adds.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path

import click
import numpy as np

from benchmarks.record import write_result
from indexer.annotation import Annotation
from indexer.database.text.documents import Document
from indexer.database.text.tantivy.store import EmbeddedTextStore
from indexer.datasets.annotated import load_annotated
from search.language.lexicon import Heading, Lexicon
from search.language.query import parse
from search.language.tree import Value, conjunction
from search.stores.tantivy.backend import EmbeddedBackend

_MIN_SHARE = 0.95
_HUMAN = Value("origin", "human")


def _document(number: int, study: str, annotations: tuple[Annotation, ...]) -> Document:
    return Document(
        id=f"{number:016x}",
        study=study,
        patient=study,
        view="frontal",
        view_origin="predicted",
        projection=None,
        sex=None,
        age=None,
        year=None,
        manufacturer=None,
        rows=256,
        columns=256,
        notes=[],
        annotations=[annotation.to_json() for annotation in annotations],
        absent=[],
        uncertain=[],
        probabilities={},
        unusual=0.0,
        report=None,
        statements={},
    )


def _synonyms(lexicon: Lexicon, heading: Heading) -> list[str]:
    loose = [form for form, names in lexicon.loose.items() if heading.name in names]
    return [*heading.forms, *loose]


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path, exists=True))
def main(dataset: Path) -> None:
    """Print and keep recall by synonym."""
    lexicon = Lexicon.load()
    images = load_annotated(dataset, "mesh", "val").images
    documents = [_document(i, image.study, image.annotations) for i, image in enumerate(images)]
    present = {a.disease for image in images for a in image.annotations}
    tested = [lexicon.headings[name] for name in sorted(present) if name in lexicon.headings]
    recalls: dict[str, list[float]] = defaultdict(list)
    precisions: list[float] = []
    low: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        store = EmbeddedTextStore(Path(folder) / "text", create=True)
        store.apply(documents, [])
        backend = EmbeddedBackend(store)
        for heading in tested:
            value = Value("disease", heading.name)
            exact = backend.keys(conjunction(value, _HUMAN))
            wide = backend.keys(lexicon.expand(conjunction(value, _HUMAN)))
            plain = backend.keys(parse(f'"{heading.name}" AND origin:human'))
            for synonym in _synonyms(lexicon, heading):
                found = backend.keys(lexicon.expand(parse(f"{synonym} AND origin:human")))
                without = backend.keys(parse(f"{synonym} AND origin:human"))
                shares = {
                    "recall": np.isin(wide, found).mean(),
                    "recall_exact": np.isin(exact, found).mean(),
                    "recall_without_lexicon": np.isin(wide, without).mean(),
                }
                for name, share in shares.items():
                    recalls[name].append(float(share))
                expected = np.union1d(wide, plain)
                precisions.append(float(np.isin(found, expected).mean()))
                if min(shares["recall"], shares["recall_exact"]) < _MIN_SHARE:
                    low.append({"heading": heading.name, "synonym": synonym, **shares})
        backend.close()
    write_result(
        "synonyms",
        {
            "command": "python -m benchmarks.synonyms ../shared/openi",
            "images": len(documents),
            "headings": len(tested),
            "headings_without_synonym": sorted(present - {h.name for h in tested if h.forms}),
            "synonyms": len(recalls["recall"]),
            **{
                name: {"mean": round(float(np.mean(shares)), 4), "worst": round(min(shares), 4)}
                for name, shares in recalls.items()
            },
            "precision_mean": round(float(np.mean(precisions)), 4),
            "below_0.95": low,
        },
    )


if __name__ == "__main__":
    main()
