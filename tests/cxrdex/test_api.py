"""What `import cxrdex` promises."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import polars
import pytest
from PIL import Image

import cxrdex
from indexer import errors
from indexer.cascade.bundle import Bundle
from indexer.cascade.interpretation.likeness import Likeness
from indexer.simulation import Simulation
from search.pictures.query import SAME

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "faiss", "numpy", "tantivy", "rich", "pydicom", "PIL", "timm", "openvino")


def find_film(demo: Simulation) -> Path:
    return demo.folder / next(
        f.name for f in demo.files if f.outcome == "done" and f.name.endswith(".dcm")
    )


def test_importing_it_imports_nothing_heavy() -> None:
    code = f"import sys, cxrdex\nprint(sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_every_error_is_named() -> None:
    for name in errors.__all__:
        assert getattr(cxrdex, name) is getattr(errors, name)
        assert name in cxrdex.__all__


def test_names_that_are_not_there() -> None:
    with pytest.raises(AttributeError, match="serach"):
        _ = cxrdex.serach
    assert dir(cxrdex) == sorted(cxrdex.__all__)


def test_no_database(tmp_path: Path) -> None:
    with pytest.raises(cxrdex.DatabaseError, match="nowhere"):
        cxrdex.open(tmp_path / "nowhere")


# --- searches ---


def test_a_search_by_meaning_has_no_sort(db: cxrdex.Database) -> None:
    with pytest.raises(cxrdex.QueryError, match="words alone"):
        db.search("fluid", mode="semantic", sort="age")


def test_a_file_and_its_image_are_alike(db: cxrdex.Database, demo: Simulation) -> None:
    found = db.similar(find_film(demo), k=1)
    assert found.hits[0].score == pytest.approx(1, abs=1e-3)
    assert found.hits[0].id in db


def test_pages_of_a_frame(db: cxrdex.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = db.frame("opacity")
    monkeypatch.setattr("cxrdex.database._PAGE", 7)
    pandas.testing.assert_frame_equal(db.frame("opacity"), whole)
    assert len(whole) == db.search("opacity").total > 7


# --- frames ---


def test_frames_of_both_libraries_agree(db: cxrdex.Database) -> None:
    pandas_table = db.frame("effusion", probabilities=True, library="pandas")
    polars_table = db.frame("effusion", probabilities=True, library="polars")
    assert isinstance(pandas_table, pandas.DataFrame)
    assert isinstance(polars_table, polars.DataFrame)
    assert list(pandas_table.columns) == polars_table.columns
    for row, other in zip(
        pandas_table.to_dict("records"), polars_table.iter_rows(named=True), strict=True
    ):
        for name, value in other.items():
            if value is None:
                assert pandas.isna(row[name])
            else:
                assert row[name] == value, name
    findings = set(db.image(pandas_table["id"][0]).record.document["probabilities"])
    assert findings <= set(polars_table.columns)


def test_a_frame_of_nothing_has_all_columns(db: cxrdex.Database) -> None:
    for library in ("pandas", "polars"):
        empty = db.frame("sex:F", filters=["sex:M"], library=library)
        assert len(empty) == 0
        assert list(empty.columns) == list(db.frame("sex:F").columns)


def test_a_frame_of_filters_alone(db: cxrdex.Database) -> None:
    table = db.frame(filters=["sex:F"])
    assert set(table["sex"]) == {"F"}
    assert len(table) == db.search("*", filters=["sex:F"]).total
    assert table["score"].isna().all()


def test_frames_need_a_library(db: cxrdex.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxrdex.frame.find_spec", lambda _: None)
    with pytest.raises(cxrdex.MissingExtraError, match=r"cxrdex\[frame\]"):
        db.frame("effusion")
    with pytest.raises(cxrdex.QueryError, match="pandas and polars"):
        db.frame("effusion", library="excel")  # type: ignore[arg-type]


# --- embeddings ---


def test_embeddings(db: cxrdex.Database) -> None:
    embeddings = db.embeddings()
    ids = embeddings.ids
    assert len(embeddings) == len(db) == len(set(ids.tolist()))
    whole = np.asarray(embeddings)
    assert whole.shape == embeddings.shape
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(embeddings[:], whole)
    np.testing.assert_array_equal(embeddings[ids[[5, 2]]], whole[[5, 2]])
    np.testing.assert_array_equal(embeddings[str(ids[3])], whole[3])
    np.testing.assert_array_equal(embeddings[-1], whole[-1])
    assert embeddings[[]].shape == (0, whole.shape[1])
    blocks = list(embeddings.blocks())
    np.testing.assert_array_equal(np.concatenate([b for _, b in blocks]), whole.astype(np.float16))
    np.testing.assert_array_equal(np.concatenate([i for i, _ in blocks]), ids)
    # The inner product, as a share of the query's own, is what searches rank by.
    hits = db.similar(str(ids[0]), k=20, pool_studies=False).hits
    found = embeddings[[hit.id for hit in hits]]
    likeness = found @ whole[0] / (whole[0] @ whole[0])
    same = np.linalg.norm(found - whole[0], axis=1) <= SAME * np.linalg.norm(whole[0])
    fitted = Likeness.of(Bundle.load().record["likeness"])
    # The same film in another encoding counts as the same picture.
    chances = [
        1.0 if one else fitted.chance(float(share))
        for one, share in zip(same, likeness, strict=True)
    ]
    assert not same.all()
    np.testing.assert_allclose(chances, [hit.score for hit in hits], atol=2e-3)


def test_blocks_are_the_files_themselves(db: cxrdex.Database) -> None:
    (_, block), *_ = db.embeddings().blocks()
    assert not block.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        block[0, 0] = 1


@pytest.mark.parametrize("wrong", ["0" * 16, "0" * 15, "film.dcm"])
def test_an_image_that_is_not_there(db: cxrdex.Database, wrong: str) -> None:
    embeddings = db.embeddings()
    with pytest.raises(cxrdex.NotFoundError):
        embeddings[[str(embeddings.ids[0]), wrong]]
    with pytest.raises(IndexError):
        embeddings[len(embeddings)]


def test_embeddings_after_a_prune_and_a_compaction(
    demo: Simulation, database: Path, tmp_path: Path
) -> None:
    import shutil

    from click.testing import CliRunner

    from cli.main import cxrdex as command

    archive, copy = tmp_path / "archive", tmp_path / "database"
    shutil.copytree(demo.folder, archive)
    cxrdex.index(archive, copy, reports=archive / "reports")
    film = archive / find_film(demo).relative_to(demo.folder)
    with cxrdex.open(copy) as before:
        held = before.embeddings()
        whole = held[:]
        (gone,) = (h.id for h in before.similar(film, k=1).hits)
    film.unlink()
    cxrdex.index(archive, copy, reports=archive / "reports", prune=True)
    with cxrdex.open(copy) as after:
        left = after.embeddings()
        assert len(left) == len(held) - 1 == sum(len(block) for _, block in left.blocks())
        for ids, block in left.blocks():
            assert gone not in ids
            np.testing.assert_array_equal(left[ids], block.astype(np.float32))
    result = CliRunner().invoke(command, ["compact", "--database", str(copy)])
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(held[:], whole)


# --- files ---


def test_a_file_is_read_as_it_is_indexed(db: cxrdex.Database, demo: Simulation) -> None:
    film = find_film(demo)
    reading = cxrdex.read(film)
    image = db.image(db.similar(film, k=1).hits[0].id)
    assert reading.probabilities == pytest.approx(image.record.reading["probabilities"], abs=0.01)
    assert reading.view == image.record.reading["view"]
    assert reading.metadata == image.record.metadata
    assert cxrdex.read(film.read_bytes()).probabilities == reading.probabilities
    assert cxrdex.read(str(film)).probabilities == reading.probabilities


def test_a_file_that_is_no_radiograph(tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (200, 200), "red").save(picture, "PNG")
    with pytest.raises(cxrdex.SkippedImage) as caught:
        cxrdex.read(picture.getvalue())
    assert caught.value.reason == "colour"
    with pytest.raises(cxrdex.ArchiveError):
        cxrdex.read(tmp_path / "gone.dcm")
