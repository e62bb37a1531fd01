"""Whether what finds the nearest vectors, FAISS or Elasticsearch, has those of the shards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import chain

import numpy as np

from indexer.database.reader import DatabaseReader
from indexer.database.text.elasticsearch.store import ElasticsearchTextStore
from indexer.database.text.elasticsearch.vectors import vector_digest
from indexer.database.vectors.generation import current_generation
from indexer.database.vectors.shards import id_from_key
from indexer.errors import CxrdexError, TextStoreUnavailable

__all__ = ["disagreements"]

# Vectors that are compared number by number with those of the server.
_SAMPLE = 500


def disagreements(database: DatabaseReader) -> Iterator[tuple[str, int, str]]:
    """What is wrong: a code, how many images it touches, and in words.

    Shards that cannot be read, and an index of which nothing can be read, are no matter of this:
    their own checks tell.

    Raises
    ------
    TextStoreUnavailable
        Elasticsearch does not answer, so that nothing can be said of it.
    """
    try:
        check = _server if database.manifest.vectors == "elasticsearch" else _faiss
        yield from check(database)
    except TextStoreUnavailable:
        raise
    except CxrdexError:
        return


def _faiss(database: DatabaseReader) -> Iterator[tuple[str, int, str]]:
    count, folder = len(database), database.layout.vectors
    last = database.last_run()
    generation = current_generation(folder)
    if generation is None:
        if count and last is not None and last.state == "complete":
            yield "missing", count, "there is no readable FAISS index"
        return
    vectors = database.vectors()
    if vectors.generation != generation:
        yield "damaged", count, "the FAISS index cannot be read"
        return
    yield from vectors.disagreements()


def _server(database: DatabaseReader) -> Iterator[tuple[str, int, str]]:
    """Compare the digest of every vector, and the numbers of some."""
    manifest, ledger, folder = database.manifest, database.ledger, database.layout.embeddings
    if ledger.outbox.refill or manifest.text_index is None:
        return
    shards = ledger.shards.open(folder, manifest.dimensions)
    rows = chain.from_iterable(shards.live_chunks())
    pairs = zip(shards.keys.tolist(), rows, strict=True)
    expected = {id_from_key(key): vector_digest(row) for key, row in pairs}
    store = ElasticsearchTextStore.connect(manifest.text_index, manifest.text_url)
    with closing(store):
        found = dict(store.vector_digests())
        known = [image for image in found if image in expected]
        sent = store.vectors(known[:: max(len(known) // _SAMPLE, 1)][:_SAMPLE])
    own = ledger.shards.read_vectors(folder, [*sent], manifest.dimensions)
    waiting = ledger.outbox.images()
    if missing := sum(image not in found for image in expected.keys() - waiting):
        yield "missing", missing, f"{missing} images have no vector in Elasticsearch"
    other = {image for image, digest in expected.items() if found.get(image, digest) != digest}
    other |= {image for image, vector in sent.items() if not np.array_equal(vector, own[image])}
    if count := len(other - waiting):
        yield "values", count, f"{count} vectors in Elasticsearch differ from their shards"
