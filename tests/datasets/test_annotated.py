from __future__ import annotations

from pathlib import Path

import pytest

from indexer.datasets.annotated import AnnotatedImage, load_annotated
from indexer.errors import ArchiveError, TrainingError

XML = """<eCitation><uId id="CXR{uid}"/><Abstract>
<AbstractText Label="INDICATION">Pneumonia</AbstractText>
<AbstractText Label="FINDINGS">{text}</AbstractText></Abstract>
<MeSH><major>{mesh}</major></MeSH>{images}</eCitation>"""


def _xml(uid: int, mesh: str, text: str = "", images: int = 2) -> str:
    names = "".join(f'<parentImage id="CXR{uid}_IM-{n}"/>' for n in range(images))
    return XML.format(uid=uid, mesh=mesh, text=text, images=names)


@pytest.fixture
def openi(tmp_path: Path) -> Path:
    """Three studies in the Open-i layout; the second is in val, the third has no image."""
    (tmp_path / "images").mkdir()
    reports = tmp_path / "ecgen-radiology"
    reports.mkdir()
    (reports / "1.xml").write_text(_xml(1, "Opacity/lung/left ", "No effusion. Mild scoliosis."))
    (reports / "2.xml").write_text(_xml(2, "No Indexing", "Cardiomegaly.", 1))
    (reports / "3.xml").write_text(_xml(3, "normal", "", 0))
    (tmp_path / "images.csv").write_text(
        "image_id,uid,projection,split\n"
        "CXR1_IM-0,1,frontal,train\nCXR1_IM-1,1,lateral,train\nCXR2_IM-0,2,frontal,val\n"
        "CXR9_IM-0,9,frontal,val\n"
    )
    return tmp_path


def _texts(images: tuple[AnnotatedImage, ...]) -> list[list[str]]:
    return [[a.text for a in image.annotations] for image in images]


def test_open_i(openi: Path) -> None:
    found = load_annotated(openi)
    assert found.source == "mesh"
    assert _texts(found.images) == [["opacity, lung, left"], ["opacity, lung, left"], []]
    assert [i.study for i in found.images] == ["1", "1", "2"]
    assert (found.without_image, found.without_report, found.problems) == (1, 1, ())
    assert [i.image_id for i in load_annotated(openi, part="val").images] == ["CXR2_IM-0"]


def test_open_i_text(openi: Path) -> None:
    found = load_annotated(openi, "text")
    assert _texts(found.images) == [["scoliosis, mild"], ["scoliosis, mild"], ["cardiomegaly"]]
    assert {a.origin for i in found.images for a in i.annotations} == {"report"}


def test_a_folder_of_xml(openi: Path) -> None:
    reports = openi / "ecgen-radiology"
    (reports / "4.xml").write_text("<eCitation>")
    found = load_annotated(reports)
    assert len(found.images) == 3
    assert len({i.study for i in found.images}) == 2
    assert len(found.problems) == 1
    assert "4.xml" in found.problems[0]
    with pytest.raises(TrainingError, match=r"images\.csv"):
        load_annotated(reports, part="val")


def test_a_folder_of_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("FINDINGS: No nodule.\nIMPRESSION: Left effusion.")
    found = load_annotated(tmp_path)
    assert found.source == "text"
    assert _texts(found.images) == [["pleural effusion, left"]]
    with pytest.raises(TrainingError, match="`source=text`"):
        load_annotated(tmp_path, "mesh")


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"no \.xml or \.txt"):
        load_annotated(tmp_path)


def test_csv(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text(
        "image_id,annotation,study,split\n"
        'x,"Catheters, Indwelling/right; Cardiomegaly/mild;",s,train\n'
        "x,Cardiomegaly/mild,s,train\n\n"
        "y,No Indexing,s,val\n"
    )
    found = load_annotated(table)
    assert _texts(found.images) == [["catheters, indwelling, right", "cardiomegaly, mild"], []]
    assert [i.study for i in found.images] == ["s", "s"]
    assert [i.image_id for i in load_annotated(table, part="val").images] == ["y"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: no column image_id"),
        ("image,annotation\n", "line 1: no column image_id"),
        ("image_id,annotation,studdy\n", "line 1, column studdy"),
        ("image_id,annotation,annotation\n", "line 1, column annotation"),
        ("image_id,annotation\nx,\n", "line 2, column annotation: no value"),
        ("image_id,annotation\nx,normal\n,normal\n", "line 3, column image_id: no value"),
        ("image_id,annotation\nx\n", "line 2, column annotation: no value"),
        ("image_id,annotation\nx,Nodule;;Mass\n", "line 2, column annotation: an empty"),
        ("image_id,annotation\nx,Nodule; / \n", "line 2, column annotation: an empty"),
        ("image_id,annotation\nx,Fractures, Bone\n", "line 2, column 3: more values"),
        ('image_id,annotation\nx,"Nodule\n', "line 2"),
        ("image_id,annotation,study\nx,Mass,1\nx,Mass,2\n", "line 3, column study"),
        ("image_id,annotation\n", "no image"),
    ],
)
def test_a_malformed_csv(tmp_path: Path, text: str, message: str) -> None:
    table = tmp_path / "a.csv"
    table.write_text(text)
    with pytest.raises(TrainingError, match=message) as caught:
        load_annotated(table)
    assert str(table) in str(caught.value)


def test_csv_without_parts_or_text(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("image_id,annotation\nx,Mass\n")
    with pytest.raises(TrainingError, match="split"):
        load_annotated(table, part="train")
    with pytest.raises(TrainingError, match="`source=text`"):
        load_annotated(table, "text")
    table.write_bytes(b"image_id,annotation\nx,\xff\n")
    with pytest.raises(TrainingError, match="UTF-8"):
        load_annotated(table)


def test_an_open_i_table_lacks_a_column(openi: Path) -> None:
    (openi / "images.csv").write_text("image_id,uid\nx,1\n")
    with pytest.raises(TrainingError, match="split"):
        load_annotated(openi)
