"""A database remembers where its bundle lies; bundles of one name are told apart."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

import cxrdex
from cli.main import cxrdex as command
from indexer.database.layout import Layout
from tests.pipeline.making import make_bundle, write_pictures


@pytest.fixture
def database(tmp_path: Path) -> Path:
    bundle = make_bundle(tmp_path / "bundle", "mine")
    compute = cxrdex.Compute(bundle=bundle.path, device="cpu")
    cxrdex.index(write_pictures(tmp_path / "a", 2), tmp_path / "db", compute=compute, workers=1)
    return tmp_path / "db"


def test_the_bundle_need_not_be_named_again(database: Path, tmp_path: Path) -> None:
    assert Layout(database).read_manifest().bundle_path == str((tmp_path / "bundle").resolve())
    assert cxrdex.index(write_pictures(tmp_path / "a", 3), database, workers=1).done == 1
    with cxrdex.open(database) as db:
        assert len(db.similar(tmp_path / "a" / "000.png", k=2).hits) == 2


def test_a_bundle_that_was_moved(database: Path, tmp_path: Path) -> None:
    shutil.move(tmp_path / "bundle", tmp_path / "moved")
    with pytest.raises(cxrdex.BundleError, match="elsewhere now, name its place with `bundle`"):
        cxrdex.index(tmp_path / "a", database, workers=1)
    words = ["index", str(tmp_path / "a"), "--database", str(database), "--workers", "1"]
    environment = {"CXRDEX_BUNDLE": str(tmp_path / "moved")}
    result = CliRunner().invoke(command, words, env=environment)
    assert result.exit_code == 0, result.output
    assert Layout(database).read_manifest().bundle_path == str((tmp_path / "moved").resolve())
    assert cxrdex.index(tmp_path / "a", database, workers=1).unchanged == 2


def test_another_bundle_of_the_same_name(database: Path, tmp_path: Path) -> None:
    other = make_bundle(tmp_path / "other", "mine", seed=1)
    mine = Layout(database).read_manifest().bundle
    with pytest.raises(cxrdex.DatabaseMismatch) as caught:
        cxrdex.index(tmp_path / "a", database, compute=cxrdex.Compute(bundle=other.path))
    assert f"mine ({mine})" in str(caught.value)
    assert f"mine ({other.hash})" in str(caught.value)


def test_a_database_of_before(database: Path, tmp_path: Path) -> None:
    """Its manifest names no place: the bundle that ships is taken, as ever."""
    layout = Layout(database)
    text = layout.manifest.read_text()
    (line,) = (line for line in text.splitlines() if "bundle_path" in line)
    before = text.replace(line, "").replace(",\n\n}", "\n}")
    layout.manifest.write_text(before)
    assert layout.read_manifest().bundle_path is None
    with pytest.raises(cxrdex.DatabaseMismatch, match="cxrdex-base"):
        cxrdex.index(tmp_path / "a", database, workers=1)
