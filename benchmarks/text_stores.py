"""How fast are both text stores filled and asked, with facets on?

    python -m benchmarks.text_stores

Fills the embedded store and Elasticsearch with the same generated documents, one annotated image
each, then asks both the same queries of twelve kinds, one after the other and none of them twice.
A query is parsed, expanded by the lexicon and answered with facets and 20 hits. The Elasticsearch
is the one of the tests: one node with a heap of 1 GB on this machine, or the one that
CXRDEX_TEST_ELASTICSEARCH_URL names. With `--store` the other store's results stay as they are.
"""

from __future__ import annotations

import datetime
import json
import os
import random
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import click

from benchmarks.record import RESULTS, write_result
from indexer.annotation import Annotation, Origin, qualifiers
from indexer.archive.deidentify import Metadata
from indexer.archive.reports import Report
from indexer.database.text.documents import Document, build_document
from indexer.database.text.elasticsearch.settings import ElasticsearchSettings
from indexer.database.text.elasticsearch.store import ElasticsearchTextStore
from indexer.database.text.store import TextStore
from indexer.database.text.tantivy.store import EmbeddedTextStore
from indexer.words.labeller_rules import FINDINGS
from search.highlights import Highlighter
from search.language.lexicon import Lexicon
from search.language.query import parse
from search.language.tree import MatchAll, narrow
from search.paging import Sort
from search.stores.backend import Backend, TextQuery
from search.stores.elasticsearch.backend import ElasticsearchBackend
from search.stores.tantivy.backend import EmbeddedBackend
from tests.elasticsearch_server import URL_VARIABLE, ElasticsearchServer, unavailable

_NAME = "text-stores"
_BATCH = 10_000
_REPORTS = 4_000
# As docs/elasticsearch.md advises for a million documents.
_HEAP = "1g"
_FACETS = ("disease", "side", "severity", "view", "sex")
_DISEASES = tuple(dict.fromkeys(rule.disease for rule in FINDINGS))
_ORGANS, _PLACES, _SIDES, _DEGREES = (
    tuple(sorted(qualifiers()[kind])) for kind in ("organ", "location", "side", "severity")
)
_WORDS = tuple(
    word for name in _DISEASES for word in name.split() if len(word) > 5 and word.isalpha()
)
_FRAMES = (
    "There is {} {}.",
    "No {1}.",
    "No evidence of {1} or {2}.",
    "Stable {} {} since the prior study.",
    "Possible {1} in the {3}.",
    "{0} {1} with {2}, {3}.",
    "Heart size and mediastinal contours are within normal limits.",
    "The lungs are clear.",
)
__all__ = ["make_queries", "make_reports"]

_Query: TypeAlias = Callable[[random.Random], str]


def _common(rng: random.Random, words: Sequence[str]) -> str:
    """A word, the first ones much oftener than the last: ranks follow a power law."""
    return words[int(len(words) * rng.random() ** 3)]


def _text(rng: random.Random) -> str:
    words = [
        rng.choice(_DEGREES),
        *(_common(rng, _DISEASES) for _ in range(2)),
        rng.choice(_PLACES),
    ]
    return rng.choice(_FRAMES).format(*words)


def _annotation(rng: random.Random, origin: Origin) -> Annotation:
    parts = (_ORGANS, _PLACES, _SIDES, _DEGREES)
    qualifiers = [_common(rng, words) for words in parts if rng.random() < 0.5]
    return Annotation.from_words(origin, _common(rng, _DISEASES), qualifiers)


def make_reports(rng: random.Random) -> list[Report]:
    """A few thousand reports, to be those of many images each: reading reports takes long."""
    made = []
    for number in range(_REPORTS):
        sections = {
            "indication": "Chest pain.",
            "findings": " ".join(_text(rng) for _ in range(6)),
            "impression": " ".join(_text(rng) for _ in range(2)),
        }
        human = tuple(_annotation(rng, "human") for _ in range(rng.randint(0, 2)))
        made.append(Report(f"{number:012x}", sections, human))
    return made


def _documents(count: int, seed: int = 0) -> Iterator[Document]:
    """Documents as an archive of that size has them; the same for the same seed."""
    rng = random.Random(seed)
    reading = {"annotations": [], "view": "frontal", "probabilities": {}}
    reports = [
        build_document("0" * 16, "", "", Metadata(), reading, report)
        for report in make_reports(rng)
    ]
    for number in range(count):
        predicted = [_annotation(rng, "predicted").to_json() for _ in range(rng.randint(1, 3))]
        document = rng.choice(reports)
        yield {
            **document,
            "id": f"{rng.getrandbits(64):016x}",
            "study": f"{number // 2:012x}",
            "patient": f"{number // 4:012x}",
            "view": rng.choice(("frontal", "lateral")),
            "sex": rng.choice(("M", "F")),
            "age": rng.randint(18, 90),
            "year": rng.randint(1995, 2025),
            "annotations": predicted + document["annotations"],
            "probabilities": {a["disease"]: a["confidence"] for a in predicted},
        }


def _word(rng: random.Random) -> str:
    return _common(rng, _WORDS)


_KINDS: Mapping[str, _Query] = {
    "word": _word,
    "two words": lambda rng: f"{_word(rng)} {rng.choice(_SIDES)}",
    "phrase": lambda rng: f'"{rng.choice([d for d in _DISEASES if " " in d])}"',
    "value": lambda rng: f'disease:"{_common(rng, _DISEASES)}"',
    "value, range and origin": lambda rng: (
        f'disease:"{_common(rng, _DISEASES)}" AND age:[40 TO {rng.randint(50, 80)}] '
        f"AND origin:predicted"
    ),
    "logic": lambda rng: f"({_word(rng)} OR {_word(rng)}) AND NOT side:{rng.choice(_SIDES)}",
    "finding": lambda rng: f"finding:({_word(rng)} AND side:{rng.choice(_SIDES)})",
    "absent": lambda rng: f'absent:"{_common(rng, _DISEASES)}" AND report:{_word(rng)}',
    "beginning": lambda rng: f"{_word(rng)[:4]}*",
    "wildcard": lambda rng: (lambda word: f"{word[:2]}*{word[-2:]}")(_word(rng)),
    "fuzzy": lambda rng: (lambda word: f"{word[:3]}{word[4:]}~1")(_word(rng)),
    "nearly every image by age": lambda rng: f"NOT age:{rng.randint(18, 90)}",
}


def make_queries(kind: str, count: int) -> list[str]:
    """At most so many queries of a kind, each once."""
    rng = random.Random(kind)
    made = (_KINDS[kind](rng) for _ in range(20 * count))
    return list(dict.fromkeys(made))[:count]


def _ask(backend: Backend, repeats: int) -> dict[str, dict[str, float]]:
    """Milliseconds by kind of query, the first tenth left out for warming up.

    Those of the processor are of this process with all its threads.
    """
    lexicon = Lexicon.load()
    taken: dict[str, dict[str, float]] = {}
    for kind in _KINDS:
        sort = Sort("age") if "by age" in kind else Sort()
        times, busy, marking, totals = [], [], [], []
        for query in make_queries(kind, repeats + repeats // 10):
            started, working = time.perf_counter(), time.process_time()
            tree = lexicon.expand(parse(query))
            page = backend.search(TextQuery(tree, facets=_FACETS, limit=20, sort=sort))
            times.append(1000 * (time.perf_counter() - started))
            busy.append(1000 * (time.process_time() - working))
            totals.append(page.total)
            started = time.perf_counter()
            highlighter = Highlighter(narrow(tree))
            for _, document in page.hits:
                highlighter.mark(document)
            marking.append(1000 * (time.perf_counter() - started))
        kept = sorted(times[len(times) // 11 :])
        taken[kind] = {
            "queries": len(kept),
            "p50_ms": round(statistics.median(kept), 2),
            "p95_ms": round(kept[int(0.95 * (len(kept) - 1))], 2),
            "processor_p50_ms": round(statistics.median(busy[len(busy) // 11 :]), 2),
            "highlights_p50_ms": round(statistics.median(marking), 2),
            "median_hits": statistics.median(totals),
        }
    return taken


def _load(store: TextStore, count: int) -> dict[str, float]:
    """How many documents the store took in how many seconds, the time to make them left out."""
    seconds = 0.0
    documents = _documents(count)
    while batch := list(islice(documents, _BATCH)):
        started = time.perf_counter()
        store.apply(batch, [])
        seconds += time.perf_counter() - started
    started = time.perf_counter()
    store.finish()
    return {"documents": count, "seconds": seconds + time.perf_counter() - started}


def _measure(
    store: TextStore, open_reader: Callable[[], Backend], count: int, repeats: int, loaded: Path
) -> dict[str, Any]:
    if not loaded.is_file():
        loaded.write_text(json.dumps(_load(store, count)))
    load = json.loads(loaded.read_text())
    backend = open_reader()
    queries = _ask(backend, repeats)
    every = backend.search(TextQuery(MatchAll(), limit=0)).total
    assert every == load["documents"]
    started = time.perf_counter()
    found = len(backend.keys(parse("view:lateral")))
    return {
        "date": datetime.date.today().isoformat(),
        "documents": load["documents"],
        "documents_per_second": round(load["documents"] / load["seconds"]),
        "queries": queries,
        "keys_of_a_filter": {
            "images": found,
            "ms": round(1000 * (time.perf_counter() - started), 1),
        },
    }


def _embedded(stack: ExitStack, folder: Path) -> tuple[TextStore, Callable[[], Backend]]:
    folder = folder / "text"
    store = EmbeddedTextStore(folder, create=True)
    stack.callback(store.close)
    return store, lambda: EmbeddedBackend(EmbeddedTextStore(folder))


def _elasticsearch(stack: ExitStack, _: Path) -> tuple[TextStore, Callable[[], Backend]]:
    url = os.environ.get(URL_VARIABLE)
    if url is None:
        if reason := unavailable():
            raise click.ClickException(reason)
        server = ElasticsearchServer(heap=_HEAP).start()
        stack.callback(server.stop)
        url = server.url
    settings = ElasticsearchSettings((url,))
    index = f"cxrdex-benchmark-{uuid.uuid4().hex[:8]}"
    store = ElasticsearchTextStore(settings.client(), index)

    def drop() -> None:
        indices = store.client.indices
        indices.delete(index=list(indices.get(index=f"{index}-*")))
        indices.delete_index_template(name=index)
        store.client.close()

    stack.callback(drop)
    store.prepare()
    return store, lambda: ElasticsearchBackend(settings.client(), index)


_STORES = {"embedded": _embedded, "elasticsearch": _elasticsearch}


@click.command()
@click.option("--count", default=1_000_000, show_default=True, help="Documents.")
@click.option("--repeats", default=100, show_default=True, help="Queries of each kind.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keeps the embedded store's load.")
@click.option("--store", "names", multiple=True, type=click.Choice([*_STORES]), help="Only this.")
def main(count: int, repeats: int, folder: Path | None, names: tuple[str, ...]) -> None:
    """Print and keep load rates and times of answers."""
    measured = {}
    for name in names or _STORES:
        with ExitStack() as stack:
            here = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            kept = folder if folder is not None and name == "embedded" else here
            kept.mkdir(exist_ok=True)
            opened = _STORES[name](stack, kept)
            measured[name] = _measure(*opened, count, repeats, kept / "load.json")
    earlier = RESULTS / f"{_NAME}.json"
    before = json.loads(earlier.read_text()) if names and earlier.is_file() else {}
    others = {name: before[name] for name in _STORES if name in before}
    command = "python -m benchmarks.text_stores"
    write_result(_NAME, {"command": command, "facets": list(_FACETS), **others, **measured})


if __name__ == "__main__":
    main()
