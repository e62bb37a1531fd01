"""Databases that earlier versions made can be read as they are; a writer brings them up to date."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import cxrdex
from indexer.database.reader import DatabaseReader
from indexer.database.text.store import is_outdated, open_text_store
from indexer.database.upkeep.repair import repair
from indexer.database.upkeep.verify import verify
from indexer.database.vectors.shards import id_from_key
from indexer.database.writer import Writer
from tests.database.upkeep.make_old_database import DATA


@pytest.mark.parametrize("made", sorted(DATA.glob("database-*.zip")), ids=lambda path: path.stem)
@pytest.mark.parametrize("repaired", [True, False])
def test_one_of_an_earlier_version(tmp_path: Path, made: Path, repaired: bool) -> None:
    path = tmp_path / "db"
    with zipfile.ZipFile(made) as archive:
        archive.extractall(path)
    before = (path / "ledger.sqlite").read_bytes()
    with DatabaseReader.open(path) as database:
        # Whoever may only read it reads it as it is.
        _look(database)
        assert database.ledger.is_outdated
        assert all(database.image(image).document["id"] == image for image in database.image_ids())
    if is_outdated("tantivy", path / "text"):
        refused = _search(path)
        assert refused.exit_code == 4
        assert "schema version" in refused.stderr
        assert "`cxrdex verify --repair`" in refused.stderr
    assert (path / "ledger.sqlite").read_bytes() == before
    assert "schema" in {problem.what for problem in verify(path)}
    if repaired:
        assert [p for p in repair(path).problems if p.where != "text"] == []
        assert not is_outdated("tantivy", path / "text")
        assert verify(path) == []
    with DatabaseReader.open(path) as database:
        ids = _look(database)
    with Writer.maintain(path) as writer:
        assert writer.ledger.images.count == 6
    assert verify(path) == []
    found = _search(path, "--format", "ids")
    assert (found.exit_code, len(found.stdout.split())) == (0, 1), found.output
    store = open_text_store("tantivy", path / "text")
    try:
        assert sorted(image for image, _ in store.hashes()) == ids
    finally:
        store.close()


def _search(path: Path, *options: str) -> Result:
    """Ask it by words: one report has an opacity."""
    words = ["search", "report:opacity", "--database", str(path), *options]
    return CliRunner().invoke(cxrdex, words)


def _look(database: DatabaseReader) -> list[str]:
    """Ask it for all that it has, and give its images."""
    ids = sorted(database.image_ids())
    assert len(ids) == len(database) == 6
    vectors = database.vectors()
    own = vectors.stored_vectors(vectors.keys)
    for row in own:
        scores, keys = vectors.search(row, 6)
        assert sorted(map(id_from_key, keys)) == ids
        assert scores[0] == pytest.approx(float((own @ row).max() / (row @ row) ** 0.5), abs=1e-3)
    assert all(database.thumbnail(image) for image in ids)
    reports = [database.image(image).report for image in ids]
    assert sum(report is not None for report in reports) == 1
    return ids
