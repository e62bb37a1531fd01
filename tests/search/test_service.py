from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from indexer.annotation import Annotation
from indexer.archive.decoding import DecodeSettings, decode
from indexer.archive.deidentify import Metadata, fingerprint, pseudonym
from indexer.archive.id_key import load_key
from indexer.archive.reports import Report
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.cascade.reading import Predictor, Reading
from indexer.database.outcomes import File, Header, Read
from indexer.database.writer import Writer
from indexer.errors import ArchiveError, DatabaseMismatch, NotFoundError, QueryError, RequestError
from search.request import ImageId, SearchRequest
from search.service import SearchService
from tests.archive.making import make_dicom, make_picture, to_bytes
from tests.database.making import decoded as make_decoded
from tests.search.asking import similar, words

STUDIES, VIEWS = 6, 2


def _pixels(seed: int) -> npt.NDArray[np.uint16]:
    """Soft blotches that differ from seed to seed."""
    coarse = np.random.default_rng(seed).integers(0, 255, (5, 4), dtype=np.uint8)
    soft = Image.fromarray(coarse).resize((100, 120), Image.Resampling.BICUBIC)
    return np.asarray(soft).astype(np.uint16) * 16


def _dicom(study: int, view: int) -> bytes:
    """Every two studies are of one patient."""
    dataset = make_dicom(
        _pixels(10 * study + view),
        StudyInstanceUID=f"1.2.{study}",
        SOPInstanceUID=f"1.2.{study}.{view}",
        PatientID=f"P{study // 2}",
    )
    return to_bytes(dataset)


def _files() -> dict[str, bytes]:
    files = {f"{s}-{v}.dcm": _dicom(s, v) for s in range(STUDIES) for v in range(VIEWS)}
    files["CXR77_IM-1-1001.png"] = make_picture(_pixels(770), "PNG")
    files["alone.png"] = make_picture(_pixels(990), "PNG")
    return files


def _report(key: bytes) -> Report:
    labels = (
        Annotation.from_words("human", "pleural effusion", ["left"]),
        Annotation.from_words("human", "zebra lung", ["right"]),
    )
    sections = {"findings": "Small pleural effusions on the left. Heart normal."}
    return Report(pseudonym(key, "report", "CXR77"), sections, labels)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    for name, data in _files().items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def ids() -> dict[str, str]:
    """Image ids by file name, filled when the database is made."""
    return {}


@pytest.fixture(scope="module")
def database(
    archive: Path, bundle: Bundle, ids: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("database")
    key = load_key()
    settings = DecodeSettings(bundle.size, bundle.squash, key, borders=bundle.borders)
    names = sorted(p.name for p in archive.iterdir())
    decoded = [decode((archive / name).read_bytes(), name, settings) for name in names]
    predictor = Predictor(bundle, Compute(device="cpu"), batch_size=16)
    # As if they were films: nobody asks here whether they are.
    readings = predictor.interpret(predictor.encode(np.stack([d.canvas for d in decoded])))
    filed = pseudonym(key, "report", "CXR77_IM-1-1001")

    def find_report(keys: Sequence[str]) -> Report | None:
        return _report(key) if filed in keys else None

    with Writer.open(path, bundle, fingerprint(key)) as writer:
        writer.begin_run()
        number = writer.archive(str(archive))
        entries = []
        for name, image, reading in zip(names, decoded, readings, strict=True):
            data = (archive / name).read_bytes()
            ids[name] = image.image_id
            file = File(number, name, len(data), 0)
            entries.append(Read(file, hashlib.sha256(data).hexdigest(), image, reading))
        writer.commit(entries, find_report)
        writer.build_vectors()
        writer.end_run("complete", {"done": len(entries)})
    return path


@pytest.fixture(scope="module")
def engine(database: Path) -> Iterator[SearchService]:
    with SearchService(database, Compute(device="cpu")) as engine:
        yield engine


def test_a_file_finds_itself_first(
    engine: SearchService, archive: Path, ids: dict[str, str]
) -> None:
    for name in ("0-0.dcm", "alone.png"):
        results = similar(engine, archive / name, k=5)
        assert results.hits[0].id == ids[name]
        assert results.total == len(ids)
        scores = [hit.score for hit in results.hits]
        assert scores == sorted(scores, reverse=True)
        assert len(scores) == 5
        # Nothing but the picture itself is as like it.
        assert scores[0] == 1 > scores[1]


def test_an_id_finds_others(engine: SearchService, archive: Path, ids: dict[str, str]) -> None:
    own = ids["0-0.dcm"]
    results = similar(engine, own, k=100)
    assert {hit.id for hit in results.hits} == {*ids.values()} - {own}
    assert results.total == len(ids) - 1
    assert [h.id for h in similar(engine, own[:9].upper(), k=3).hits] == [
        h.id for h in results.hits[:3]
    ]
    by_file = [hit.id for hit in similar(engine, archive / "0-0.dcm", k=100).hits]
    assert by_file[0] == own
    assert set(by_file[1:]) == {hit.id for hit in results.hits}


@pytest.mark.parametrize("by", ["id", "file"])
def test_leaving_out_study_and_patient(
    engine: SearchService, archive: Path, ids: dict[str, str], by: str
) -> None:
    source = ids["0-0.dcm"] if by == "id" else archive / "0-0.dcm"
    study = {ids["0-0.dcm"], ids["0-1.dcm"]}
    patient = study | {ids["1-0.dcm"], ids["1-1.dcm"]}
    without_study = similar(engine, source, 100, exclude="study")
    assert {hit.id for hit in without_study.hits} == {*ids.values()} - study
    without_patient = similar(engine, source, 100, exclude="patient")
    assert {hit.id for hit in without_patient.hits} == {*ids.values()} - patient
    assert without_patient.total == len(ids) - len(patient)


def test_leaving_out_the_study_of_a_file_that_is_not_indexed(
    engine: SearchService, ids: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "new.dcm").write_bytes(_dicom(2, 7))
    found = similar(engine, tmp_path / "new.dcm", 100, exclude="study")
    assert {hit.id for hit in found.hits} == {*ids.values()} - {ids["2-0.dcm"], ids["2-1.dcm"]}
    (tmp_path / "new.png").write_bytes(make_picture(_pixels(4711), "PNG"))
    assert len(similar(engine, tmp_path / "new.png", 3).hits) == 3
    with pytest.raises(QueryError, match=r"new\.png does not say which study"):
        similar(engine, tmp_path / "new.png", exclude="patient")


def test_another_key_cannot_name_the_study(
    database: Path, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXRDEX_KEY_FILE", str(tmp_path / "other"))
    with SearchService(database, Compute(device="cpu")) as engine:
        assert similar(engine, archive / "0-0.dcm", 1).hits[0].score == 1
        with pytest.raises(QueryError, match="CXRDEX_KEY_FILE"):
            similar(engine, archive / "0-0.dcm", exclude="study")


def test_one_image_of_each_study(engine: SearchService, ids: dict[str, str]) -> None:
    results = similar(engine, ids["3-0.dcm"], k=7, group="study", exclude="study")
    studies = [hit.document["study"] for hit in results.hits]
    assert len(studies) == len(set(studies)) == 7
    best: dict[str, str] = {}
    for hit in similar(engine, ids["3-0.dcm"], 100, exclude="study").hits:
        best.setdefault(hit.document["study"], hit.id)
    assert [hit.id for hit in results.hits] == list(best.values())
    patients = similar(engine, ids["3-0.dcm"], 100, group="patient").hits
    assert len(patients) == len({hit.document["patient"] for hit in patients}) == STUDIES // 2 + 2


@pytest.mark.parametrize("group", [None, "study"])
def test_a_film_and_its_id_find_the_same(
    engine: SearchService, archive: Path, ids: dict[str, str], group: Any
) -> None:
    own = {ids["0-0.dcm"], ids["0-1.dcm"]}
    found = [
        similar(engine, source, 100, exclude=exclude, group=group)
        for source in (archive / "0-0.dcm", ids["0-0.dcm"])
        for exclude in (None, "study")
    ]
    others = [[(h.id, h.score) for h in f.hits if h.id not in own] for f in found]
    assert others[0] == others[1] == others[2] == others[3]
    assert len(others[0]) == (STUDIES + 1 if group else len(ids) - 2)
    # The order of studies is lost to no rounding, and nothing is as like it as it is itself.
    scores = {h.document["study"]: h.score for h in found[1].hits}
    assert len({*scores.values()}) == len(scores)
    assert max(scores.values()) < 1


def test_a_row_of_a_study_holds_its_images(engine: SearchService, ids: dict[str, str]) -> None:
    rows = similar(engine, ids["3-0.dcm"], 100, group="study").hits
    every = {image for hit in rows for image in hit.images}
    assert every == {*ids.values()} - {ids["3-0.dcm"]}
    assert all(hit.images[0] == hit.id for hit in rows)
    pages = [words(engine, "*", limit=3, page=page, group="study") for page in (1, 2, 3, 4)]
    studies = [hit.document["study"] for page in pages for hit in page.hits]
    assert len(studies) == len(set(studies)) == STUDIES + 2
    assert {i for page in pages for hit in page.hits for i in hit.images} == {*ids.values()}
    after: str | None = None
    told: list[str] = []
    for _ in pages:
        page = words(engine, "*", limit=3, after=after, group="study")
        told += [hit.document["study"] for hit in page.hits]
        after = page.after
        if after is None:
            break
    assert (told, after) == (studies, None)


def test_what_is_less_alike_is_left_out(engine: SearchService, ids: dict[str, str]) -> None:
    scores = [hit.score for hit in similar(engine, ids["3-0.dcm"], 100).hits]
    middle = scores[len(scores) // 2]
    kept = similar(engine, ids["3-0.dcm"], 100, least_likeness=middle).hits
    assert [hit.score for hit in kept] == [score for score in scores if score >= middle]


def test_filters_hold_for_pictures(engine: SearchService, ids: dict[str, str]) -> None:
    only = similar(engine, ids["0-0.dcm"], 100, filters=["disease:zebra lung"])
    assert [hit.id for hit in only.hits] == [ids["CXR77_IM-1-1001.png"]]
    assert only.total == 1
    assert {c.value: c.count for c in only.facets["disease"]}["zebra lung"] == 1
    rest = similar(engine, ids["0-0.dcm"], 100, filters=["-disease:zebra lung", "year:2019"])
    assert {hit.id for hit in rest.hits} == {
        image for name, image in ids.items() if name.endswith("dcm")
    } - {ids["0-0.dcm"]}
    nothing = similar(engine, ids["0-0.dcm"], 5, filters=["severity:borderline", "year:1990"])
    assert (nothing.total, list(nothing.hits)) == (0, [])


def test_words(engine: SearchService, ids: dict[str, str]) -> None:
    results = words(engine, '"pleural effusion" AND disease:"zebra lung"', facets=["side"])
    (hit,) = results.hits
    assert hit.id == ids["CXR77_IM-1-1001.png"]
    answer = json.loads(json.dumps(results.to_json()))
    assert answer["total"] == 1
    assert {f["value"] for f in answer["facets"]["side"]} >= {"left", "right"}
    marks = answer["hits"][0]["highlights"]
    assert "<em>pleural effusion</em>, left" in marks["annotations"]
    assert marks["report"] == ["Small <em>pleural effusions</em> on the left."]
    assert set(answer["hits"][0]) == set(similar(engine, hit.id, 1).to_json()["hits"][0])


def test_paging_of_words(engine: SearchService, ids: dict[str, str]) -> None:
    pages = [words(engine, "*", limit=5, page=page) for page in (1, 2, 3, 4)]
    assert [len(page.hits) for page in pages] == [5, 5, 4, 0]
    assert [hit.id for page in pages for hit in page.hits] == sorted(ids.values())
    assert {page.total for page in pages} == {len(ids)}


def test_what_the_bundle_can_say_is_a_valid_value(engine: SearchService, bundle: Bundle) -> None:
    for finding in bundle.findings:
        words(engine, f'disease:"{finding}"', limit=1)
    with pytest.raises(QueryError, match=r'column 9: no disease .* disease:"zebra lung"'):
        words(engine, "disease:zebralung")


def test_showing_an_image(engine: SearchService, bundle: Bundle, ids: dict[str, str]) -> None:
    shown = engine.show(ImageId(ids["CXR77_IM-1-1001.png"][:8]))
    answer = shown.to_json()
    assert answer["id"] == ids["CXR77_IM-1-1001.png"]
    assert answer["report"] == _report(b"").sections
    assert answer["probabilities"].keys() == set(bundle.findings)
    assert answer["provenance"]["files"] == 1
    assert answer["provenance"]["bundle"] == bundle.hash
    assert shown.record.files[0].name == "CXR77_IM-1-1001.png"


def test_no_name_of_a_file_is_in_an_answer(engine: SearchService, archive: Path) -> None:
    found = similar(engine, archive / "CXR77_IM-1-1001.png")
    for answer in (words(engine, "*"), found, engine.show(ImageId(found.hits[0].id))):
        text = json.dumps(answer.to_json())
        assert "CXR77" not in text
        assert str(archive) not in text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no/such/file.dcm", "is no image id"),
        ("abc", "is no image id"),
        ("0" * 16, "no image has the id 0000000000000000"),
        ("0" * 9, "no image has an id that begins with"),
        ("x" * 5000, "is no image id"),
        ("a\0b", "is no image id"),
    ],
)
def test_unknown_sources(engine: SearchService, source: str, message: str) -> None:
    with pytest.raises(NotFoundError, match=message):
        similar(engine, source)
    with pytest.raises(NotFoundError):
        engine.show(ImageId(source))


def test_beginnings_of_ids(engine: SearchService, ids: dict[str, str]) -> None:
    first = next(iter(ids.values()))
    assert engine.resolve(ImageId(f" {first.upper()} ")) == first
    assert engine.resolve(ImageId(first[:6])) == first
    with pytest.raises(NotFoundError, match="of which the first 6 may do"):
        engine.resolve(ImageId(first[:5]))


def test_an_ambiguous_beginning(bundle: Bundle, tmp_path: Path) -> None:
    vector = np.eye(1, bundle.dimensions, dtype=np.float32)[0]
    normal = Annotation.from_words("predicted", "normal", [])
    reading = Reading(dict.fromkeys(bundle.findings, 0.0), (normal,), "frontal", 1.0, vector)
    header = Header("5" * 12, "7" * 12, Metadata(), ())
    with Writer.open(tmp_path / "new", bundle, "12345678") as writer:
        writer.begin_run()
        number = writer.archive("archive")
        entries = [
            Read(File(number, name, 1, 0), name, make_decoded(name, header), reading)
            for name in ("abcdef0000000001", "abcdef0000000002", "abcdef1000000003")
        ]
        writer.commit(entries)
        writer.end_run("complete", {})
    with SearchService(tmp_path / "new") as engine:
        with pytest.raises(NotFoundError, match=r"^2 images have an id that begins with abcdef0$"):
            engine.resolve(ImageId("abcdef0"))
        assert engine.resolve(ImageId("abcdef1")) == "abcdef1000000003"
        # Equal scores stand in order of id.
        found = similar(engine, "abcdef1000000003")
        assert [hit.id for hit in found.hits] == ["abcdef0000000001", "abcdef0000000002"]


def test_files_that_are_no_query(engine: SearchService, tmp_path: Path) -> None:
    (tmp_path / "text.dcm").write_text("hello")
    (tmp_path / "ct.dcm").write_bytes(
        to_bytes(make_dicom(_pixels(1), Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.2"))
    )
    for name, reason in (("text.dcm", "not_dicom"), ("ct.dcm", "other_modality")):
        with pytest.raises(ArchiveError, match=rf"{name}: .*{reason}"):
            similar(engine, tmp_path / name)
    with pytest.raises(ArchiveError, match="is a folder"):
        similar(engine, tmp_path)


def test_wrong_arguments(engine: SearchService, ids: dict[str, str]) -> None:
    with pytest.raises(QueryError, match='no facet is called "diseas"; did you mean "disease"'):
        words(engine, "*", facets=["diseas"])
    with pytest.raises(QueryError, match="no facet is called"):
        similar(engine, ids["0-0.dcm"], facets=["report"])
    with pytest.raises(QueryError, match="pages count from 1"):
        words(engine, "*", page=0)
    with pytest.raises(RequestError, match="give words, a sentence or a picture"):
        SearchRequest()
    with pytest.raises(RequestError, match="are for words alone"):
        similar(engine, ids["0-0.dcm"], sort="age")
    with pytest.raises(QueryError, match="there are study and patient"):
        similar(engine, ids["0-0.dcm"], group="series")


def test_another_bundle_is_refused_for_files_only(
    database: Path, archive: Path, ids: dict[str, str], tmp_path: Path
) -> None:
    shipped = Bundle.load()
    other = Bundle.save(
        tmp_path / "other",
        replace(
            shipped,
            name="other",
            thresholds=dict.fromkeys(shipped.findings, 0.123),
            record={},
            paper=None,
            likely=None,
        ),
        shipped.weights(),
    )
    assert other.hash != shipped.hash
    with SearchService(database, Compute(tmp_path / "other", "cpu")) as engine:
        assert len(similar(engine, ids["0-0.dcm"], 3).hits) == 3
        assert words(engine, "*").total == len(ids)
        with pytest.raises(DatabaseMismatch, match="`bundle`"):
            similar(engine, archive / "0-0.dcm")
