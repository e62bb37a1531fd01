from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from indexer.database.text.documents import Document, document_hash
from indexer.database.text.store import open_text_store
from indexer.database.text.tantivy.store import EmbeddedTextStore
from indexer.errors import DatabaseError, DatabaseMismatch
from search.language.query import parse
from search.language.tree import MatchAll
from search.stores.backend import TextQuery
from search.stores.tantivy.backend import EmbeddedBackend
from tests.search.corpus import image_document, random_documents


def _hashes(documents: list[Document]) -> list[tuple[str, str]]:
    return sorted((d["id"], document_hash(d)) for d in documents)


def test_upserts_and_deletes_are_idempotent(tmp_path: Path) -> None:
    documents = random_documents(50)
    changed = {**documents[0], "age": 12}
    with_change = [changed, *documents[1:40]]
    store = EmbeddedTextStore(tmp_path / "text", create=True)
    for _ in range(2):
        store.apply(documents, [])
        assert list(store.hashes()) == _hashes(documents)
    for _ in range(2):
        store.apply([changed], [d["id"] for d in documents[40:]])  # type: ignore[list-item]
        assert list(store.hashes()) == _hashes(with_change)  # type: ignore[arg-type]
    store.close()
    again = EmbeddedTextStore(tmp_path / "text")
    assert list(again.hashes()) == _hashes(with_change)  # type: ignore[arg-type]
    again.clear()
    assert list(again.hashes()) == []
    again.close()


def test_hashes_over_the_whole_range_of_ids(tmp_path: Path) -> None:
    documents = [image_document(f"{n:016x}") for n in (0, 1, 1 << 63, (1 << 63) - 1, (1 << 64) - 1)]
    store = EmbeddedTextStore(tmp_path / "text", create=True)
    store.apply(documents, [])
    assert list(store.hashes()) == _hashes(documents)
    store.close()


def test_a_failed_apply_leaves_nothing_behind(tmp_path: Path) -> None:
    documents = random_documents(4)

    def broken() -> object:
        yield documents[1]
        raise RuntimeError("the ledger broke off")

    store = EmbeddedTextStore(tmp_path / "text", create=True)
    store.apply(documents[:1], [])
    with pytest.raises(RuntimeError, match="broke off"):
        store.apply(broken(), [documents[0]["id"]])  # type: ignore[arg-type]
    assert list(store.hashes()) == _hashes(documents[:1])
    store.apply(documents[2:], [])
    assert list(store.hashes()) == _hashes([documents[0], *documents[2:]])
    store.close()


def test_what_a_killed_commit_left_is_no_hindrance(tmp_path: Path) -> None:
    """Killed before `meta.json` names them, lists of deleted documents lie about under the names
    that the next commit gives them."""
    documents = random_documents(4)
    store = EmbeddedTextStore(tmp_path / "text", create=True)
    store.apply(documents, [])
    store.close()
    before = (tmp_path / "text" / "meta.json").read_bytes()
    for _ in range(2):
        store = EmbeddedTextStore(tmp_path / "text")
        store.apply([], [documents[0]["id"]])
        assert list(store.hashes()) == _hashes(documents[1:])
        store.close()
        assert len(list((tmp_path / "text").glob("*.del"))) == 1
        (tmp_path / "text" / "meta.json").write_bytes(before)


def test_a_write_that_fails_is_named_and_may_be_repeated(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    store = EmbeddedTextStore(tmp_path / "text", create=True)
    store.apply(random_documents(5), [])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))
    try:
        with pytest.raises(DatabaseError, match=r"text index at .* cannot be written"):
            store.apply(random_documents(300, seed=1), [])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(store.hashes()) == _hashes(random_documents(5))
    store.apply(random_documents(300, seed=1), [])
    assert len(list(store.hashes())) == 305
    store.close()


def test_a_reader_sees_the_commits_of_a_writer(tmp_path: Path) -> None:
    documents = random_documents(3)
    writer = EmbeddedTextStore(tmp_path / "text", create=True)
    reader = EmbeddedBackend(EmbeddedTextStore(tmp_path / "text"))
    assert reader.search(TextQuery(MatchAll())).total == 0
    writer.apply(documents, [])
    assert reader.search(TextQuery(MatchAll())).total == 3
    writer.close()


def test_two_writers(tmp_path: Path) -> None:
    first = EmbeddedTextStore(tmp_path / "text", create=True)
    second = EmbeddedTextStore(tmp_path / "text")
    first.apply(random_documents(1), [])
    with pytest.raises(DatabaseError, match="another process is writing"):
        second.apply(random_documents(1), [])
    first.close()
    second.apply(random_documents(1), [])
    second.close()


def test_a_killed_writer_blocks_nobody(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path\n"
        "from indexer.database.text.tantivy.store import EmbeddedTextStore\n"
        "from tests.search.corpus import random_documents\n"
        "store = EmbeddedTextStore(Path(sys.argv[1]), create=True)\n"
        "store.apply(random_documents(20), [])\n"
        "writer = store._open_writer()\n"
        "writer.delete_all_documents()\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "text")], check=False)
    assert done.returncode == -9
    store = EmbeddedTextStore(tmp_path / "text", create=True)
    assert list(store.hashes()) == _hashes(random_documents(20))
    store.apply([], [random_documents(20)[0]["id"]])
    assert len(list(store.hashes())) == 19
    store.close()


def test_phrases_end_with_their_annotation_and_section(tmp_path: Path) -> None:
    documents = [
        image_document("0" * 16, [("human", "thickening; grey"), ("human", "zebra; left")]),
        image_document("1" * 16, [("human", "grey zebra; left")]),
        image_document("2" * 16, report={"findings": "Scar, grey", "impression": "Zebra."}),
        image_document("3" * 16, report={"findings": "Grey zebras."}),
    ]
    store = open_text_store("tantivy", tmp_path / "text", create=True)
    assert isinstance(store, EmbeddedTextStore)
    store.apply(documents, [])
    page = EmbeddedBackend(store).search(TextQuery(parse('"grey zebra"')))
    assert {document["id"][0] for _, document in page.hits} == {"1", "3"}
    store.close()


def test_text_that_is_no_unicode_is_kept(tmp_path: Path) -> None:
    document = image_document("a" * 16, report={"findings": "effusion \ud800 left"})
    store = EmbeddedTextStore(tmp_path / "text", create=True)
    store.apply([document], [])
    page = EmbeddedBackend(store).search(TextQuery(parse("effusion left")))
    assert [found for _, found in page.hits] == [document]
    store.close()


def test_missing_and_foreign_indexes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"no text index at .*verify --repair"):
        EmbeddedTextStore(tmp_path / "text")
    EmbeddedTextStore(tmp_path / "text", create=True).close()
    version = tmp_path / "text" / "schema.json"
    for content in ('{"version": 99}', "[]", "{}"):
        version.write_text(content)
        with pytest.raises(DatabaseMismatch, match=r"schema version .*verify --repair"):
            EmbeddedTextStore(tmp_path / "text", create=True)
    version.write_text("not json")
    with pytest.raises(DatabaseError, match="verify --repair"):
        EmbeddedTextStore(tmp_path / "text")


def test_a_damaged_index_is_named(tmp_path: Path) -> None:
    store = EmbeddedTextStore(tmp_path / "text", create=True)
    store.apply(random_documents(5), [])
    store.close()
    (tmp_path / "text" / "meta.json").write_text(json.dumps({"segments": "gone"}))
    with pytest.raises(DatabaseError, match=r"text index at .* cannot be used.*verify --repair"):
        EmbeddedTextStore(tmp_path / "text")
    shutil.rmtree(tmp_path / "text")
    assert list(EmbeddedTextStore(tmp_path / "text", create=True).hashes()) == []
