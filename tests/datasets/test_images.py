"""Tiny imitations of the published collections, each in its own folder and table layout."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from indexer.cascade.labels import END, LabelSet
from indexer.datasets.dataset import load_examples, load_part
from indexer.datasets.example import Example
from indexer.datasets.images import Dataset
from indexer.datasets.targets import encode_targets
from indexer.errors import TrainingError


def _put(root: Path, **tables: str) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for name, text in tables.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".gz":
            path.write_bytes(gzip.compress(text.encode()))
        else:
            path.write_text(text)


def _pictures(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def _by_id(examples: list[Example]) -> dict[str, Example]:
    return {example.image_id: example for example in examples}


def _texts(example: Example) -> list[str]:
    return [annotation.text for annotation in example.annotations]


def test_chestxray14(tmp_path: Path) -> None:
    head = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,View Position\n"
    rows = (
        "00000001_000.png,Cardiomegaly|Effusion,0,1,58,PA\n"
        "00000001_001.png,No Finding,1,1,59,AP\n"
        "00000002_000.png,Pleural_Thickening,0,2,60,PA\n"
        "00000003_000.png,Nodule,0,3,61,PA\n"
    )
    _put(
        tmp_path,
        **{
            "Data_Entry_2017.csv": head + rows,
            "train_val_list.txt": "00000001_000.png\n00000001_001.png\n00000003_000.png\n",
            "test_list.txt": "00000002_000.png\n",
        },
    )
    _pictures(tmp_path, "images_001/images/00000001_000.png", "images_001/images/00000001_001.png")
    _pictures(tmp_path, "images_012/images/00000002_000.png")
    dataset = Dataset.open(tmp_path)
    assert dataset.description.name == "NIH ChestX-ray14"
    assert {i.part for i in dataset.described if i.patient != "2"} <= {"train", "val"}
    assert [i.part for i in dataset.described if i.patient == "2"] == ["test"]
    (test,) = load_examples(tmp_path, "test")
    assert _texts(test) == ["thickening, pleura"]
    assert test.path == tmp_path / "images_012/images/00000002_000.png"
    every = _by_id([e for e in dataset.examples() if e is not None])
    assert "00000003_000" not in every, "it has no picture"
    heart, healthy = every["00000001_000"], every["00000001_001"]
    assert heart.view == "frontal"
    assert _texts(heart) == ["cardiomegaly", "pleural effusion"]
    assert heart.findings["cardiomegaly"] == 1
    assert heart.findings["nodule"] == pytest.approx(0.1), "a label not given denies softly"
    assert heart.findings["normal"] == 0
    assert (healthy.findings["normal"], healthy.others) == (1, None)
    assert heart.patient == healthy.patient != test.patient
    assert heart.patient not in ("1", ""), "a pseudonym"
    assert heart.study != healthy.study, "films of two days"


def test_chexpert(tmp_path: Path) -> None:
    labels = (
        "No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,"
        "Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,"
        "Fracture,Support Devices"
    )
    head = f"Path,Sex,Age,Frontal/Lateral,AP/PA,{labels}\n"
    place = "CheXpert-v1.0-small/"
    one, two = (
        "train/patient00001/study1/view1_frontal.jpg",
        "train/patient00001/study1/view2_lateral.jpg",
    )
    three = "valid/patient64541/study1/view1_frontal.jpg"
    given = "Frontal,AP,,,1.0,-1.0,1.0,,,0.0,,,,,,1.0"
    bare = f"Lateral,,{',' * 13}"
    zeros = ",".join(["0.0"] * 13)
    _put(
        tmp_path,
        **{
            "train.csv": f"{head}{place}{one},Female,68,{given}\n{place}{two},Female,68,{bare}\n",
            "valid.csv": f"{head}{place}{three},Male,73,Frontal,AP,1.0,{zeros}\n",
        },
    )
    _pictures(tmp_path, one, two, three)
    assert Dataset.open(tmp_path).description.name == "CheXpert"
    found = _by_id(load_examples(tmp_path, "train", "picture"))
    frontal = found["train/patient00001/study1/view1_frontal"]
    lateral = found["train/patient00001/study1/view2_lateral"]
    assert (frontal.view, lateral.view) == ("frontal", "lateral")
    assert frontal.study == lateral.study
    assert "cardiomegaly" in frontal.annotations[0].text
    assert frontal.findings["pneumonia"] == 0
    assert "opacity" not in frontal.findings, "a doubted label says nothing"
    assert "nodule" not in frontal.findings, "either a nodule or a mass, but which?"
    assert "lung lesion" in _texts(frontal)
    assert frontal.findings["pneumothorax"] == pytest.approx(0.1), "an empty cell denies softly"
    (healthy,) = load_examples(tmp_path, "val")
    assert healthy.findings["normal"] == 1
    assert healthy.findings["nodule"] == healthy.findings["stents"] == 0


def test_mimic_cxr_jpg(tmp_path: Path) -> None:
    labels = (
        "Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged Cardiomediastinum,Fracture,"
        "Lung Lesion,Lung Opacity,No Finding,Pleural Effusion,Pleural Other,Pneumonia,"
        "Pneumothorax,Support Devices"
    )
    _put(
        tmp_path,
        **{
            "mimic-cxr-2.0.0-metadata.csv.gz": "dicom_id,subject_id,study_id,ViewPosition,Rows\n"
            "aa-1,10000032,50414267,PA,3056\naa-2,10000032,50414267,LATERAL,3056\n"
            "bb-1,11000033,50414268,AP,3056\ncc-1,10000034,50414269,AP,1\n",
            "mimic-cxr-2.0.0-split.csv.gz": "dicom_id,study_id,subject_id,split\n"
            "aa-1,50414267,10000032,train\naa-2,50414267,10000032,train\n"
            "bb-1,50414268,11000033,validate\ncc-1,50414269,10000034,train\n",
            "mimic-cxr-2.0.0-chexpert.csv.gz": f"subject_id,study_id,{labels}\n"
            "10000032,50414267,,1.0,,-1.0,,,,,,0.0,,,,\n11000033,50414268,,,,,,,,,1.0,,,,,\n",
            "files/p10/p10000032/s50414267.txt": "FINDINGS: The heart is enlarged.\n",
        },
    )
    first, second = (
        "files/p10/p10000032/s50414267/aa-1.jpg",
        "files/p10/p10000032/s50414267/aa-2.jpg",
    )
    _pictures(tmp_path, first, second, "files/p11/p11000033/s50414268/bb-1.jpg")
    _pictures(tmp_path, "files/p10/p10000034/s50414269/cc-1.jpg")
    assert Dataset.open(tmp_path).description.name == "MIMIC-CXR-JPG"
    found = load_part(tmp_path, "train")
    assert found.left_out == {"no annotation": 1}, "the last study has no row of labels"
    one, two = found.examples
    assert (one.view, two.view, one.study == two.study) == ("frontal", "lateral", True)
    assert _texts(one) == ["cardiomegaly"]
    assert one.findings["pleural effusion"] == 0
    assert "pulmonary edema" not in one.findings
    assert one.sentences == ("The heart is enlarged.",)
    assert [e.findings["normal"] for e in load_examples(tmp_path, "val")] == [1]


def test_padchest(tmp_path: Path) -> None:
    head = ",ImageID,ImageDir,StudyID,PatientID,Projection,MethodLabel,Labels\n"
    cell = "\"['pleural effusion', 'laminar atelectasis', 'rare thing']\""
    rows = (
        f"0,2021_a.png,0,s1,p1,PA,Physician,{cell}\n"
        f"1,2021_b.png,0,s1,p1,L,Physician,{cell}\n"
        "2,2021_c.png,17,s2,p2,AP_horizontal,RNN_model,['normal']\n"
    )
    _put(tmp_path, **{"PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv": head + rows})
    _pictures(tmp_path, "0/2021_a.png", "0/2021_b.png", "17/2021_c.png")
    dataset = Dataset.open(tmp_path)
    assert dataset.description.name == "PadChest"
    found = _by_id([e for e in dataset.examples() if e is not None])
    a, c = found["2021_a"], found["2021_c"]
    assert _texts(a) == ["pleural effusion", "pulmonary atelectasis", "rare thing"]
    assert (a.view, found["2021_b"].view, c.view) == ("frontal", "lateral", "frontal")
    assert a.findings["cardiomegaly"] == pytest.approx(0.05)
    assert a.findings["pulmonary atelectasis"] == 1, "another label of it is not given"
    assert c.findings["normal"] == 1
    assert found["2021_b"].part == a.part, "of one patient"


def test_vindr_cxr(tmp_path: Path) -> None:
    known = Dataset.open(_vindr(tmp_path)).description.labels
    assert known is not None
    labels = [*known.meanings]
    head = ",".join(["image_id", "rad_id", *labels])

    def row(image: str, reader: str, *given: str) -> str:
        return ",".join([image, reader, *("1" if label in given else "0" for label in labels)])

    train = [
        row("x", "R1", "Pleural effusion", "Pneumonia", "Rib fracture"),
        row("x", "R2", "Pleural effusion", "Nodule/Mass"),
        row("x", "R3", "Cardiomegaly", "Nodule/Mass"),
        row("y", "R1", "No finding"),
        row("y", "R2", "No finding"),
        row("y", "R3", "No finding"),
    ]
    (tmp_path / "annotations/image_labels_train.csv").write_text("\n".join([head, *train]))
    found = _by_id([e for e in Dataset.open(tmp_path).examples() if e is not None])
    assert found["x"].path == tmp_path / "train/x.dicom"
    assert sorted(_texts(found["x"])) == ["nodule/mass", "pleural effusion"]
    assert "pneumonia" not in found["x"].findings, "one of three says so"
    assert found["x"].findings["pneumothorax"] == 0
    assert "fractures, bone" not in found["x"].findings, "one label of two is unclear"
    assert found["y"].findings["normal"] == 1
    assert found["y"].view == "frontal"
    assert found["z"].part == "test"


def _vindr(root: Path) -> Path:
    """Its tables without rows of train."""
    from indexer.datasets.description import Description

    (vindr,) = (d for d in Description.built_in() if d.name == "VinDr-CXR")
    assert vindr.labels is not None
    labels = ",".join(vindr.labels.meanings)
    values = ",".join("0" for _ in vindr.labels.meanings)
    _put(
        root,
        **{
            "annotations/image_labels_train.csv": f"image_id,rad_id,{labels},Other diseases\n",
            "annotations/image_labels_test.csv": f"image_id,{labels}\nz,{values}\n",
        },
    )
    _pictures(root, "train/x.dicom", "train/y.dicom", "test/z.dicom")
    return root


def test_an_extract_of_chestxray14_with_unlabelled_films(tmp_path: Path) -> None:
    _put(
        tmp_path,
        **{"images.csv": "image,patient,labels,view,sex,age\na,1,Mass|Nodule,AP,M,3\nS1,,,PA,F,\n"},
    )
    _pictures(tmp_path, "images/a.webp", "images/S1.webp")
    every = [e for e in Dataset.open(tmp_path).examples() if e is not None]
    labelled, bare = every
    assert labelled.findings["mass"] == labelled.findings["nodule"] == 1
    assert (bare.annotations, bare.findings, bare.others, bare.patient) == ((), {}, None, "")


def test_captions(tmp_path: Path) -> None:
    _put(
        tmp_path,
        **{"captions.csv": 'image,caption\na,"A left effusion, no pneumothorax."\nb,A drain.\n'},
    )
    _pictures(tmp_path, "images/a.webp", "images/b.webp")
    a, b = (e for e in Dataset.open(tmp_path).examples() if e is not None)
    assert _texts(a) == ["pleural effusion, left"]
    assert {annotation.origin for annotation in a.annotations} == {"report"}
    assert (a.others, dict(a.findings)) == (None, {}), "a caption never denies"
    assert a.sentences == ("A left effusion, no pneumothorax.",)
    assert b.annotations == ()


def test_annotated_pictures(tmp_path: Path) -> None:
    rows = "a,Nodule/lung/left;Cardiomegaly,1\nb,normal,1\n"
    _put(tmp_path, **{"annotations.csv": f"image_id,annotation,patient\n{rows}"})
    _pictures(tmp_path, "images/a.png", "images/b.png")
    a, b = (e for e in Dataset.open(tmp_path).examples() if e is not None)
    assert _texts(a) == ["nodule, lung, left", "cardiomegaly"]
    assert (a.others, b.others) == (0, 0), "who annotates names all that is there"
    assert a.part == b.part, "of one patient"


DESCRIBED = """
name = "ours"
licence = "ours"
pictures = ["films/{file}"]
reports = "reports"
[[table]]
file = "films.csv"
delimiter = ";"
[columns]
image = "file"
patient = "pid"
study = "accession"
"""


def test_a_folder_with_a_description_of_its_own(tmp_path: Path) -> None:
    _put(
        tmp_path,
        **{
            "dataset.toml": DESCRIBED,
            "films.csv": "file;pid;accession\n1.png;p;A1\n2.png;p;A1\n3.png;q;A2\n",
            "reports/A1.txt": "IMPRESSION: Right pneumothorax.",
        },
    )
    _pictures(tmp_path, "films/1.png", "films/2.png", "films/3.png")
    one, two, three = (e for e in Dataset.open(tmp_path).examples() if e is not None)
    assert _texts(one) == _texts(two) == ["pneumothorax, right"]
    assert one.others is None
    assert three.annotations == ()
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    with pytest.raises(TrainingError, match="no data set that is known"):
        Dataset.open(outside)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('image = "file"', 'picture = "file"'), r"columns\.image: missing"),
        (('patient = "pid"', 'patiant = "pid"'), r"columns\.patiant: unknown"),
        (('name = "ours"', "name = 3"), "name: is a text"),
        (("[[table]]", "[table]"), r"\[\[table\]\]"),
        (('patient = "pid"', 'patient = "nobody"'), "lacks the column nobody"),
        (('file = "films.csv"', 'file = "none.csv"'), "none.csv is missing"),
        (("delimiter", "delimitor"), r"table\.delimitor: unknown"),
        (('name = "ours"', "name = ours"), "cannot be read"),
        (
            ('name = "ours"', '[labels]\nsoftness = 2\ncells.yes="1"\n[labels.meanings]\na = "b"'),
            "softness",
        ),
    ],
)
def test_what_is_wrong_with_a_description_is_named(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    text = DESCRIBED.replace(*change)
    _put(tmp_path, **{"dataset.toml": text, "films.csv": "file;pid;accession\n1.png;p;A1\n"})
    (tmp_path / "reports").mkdir()
    with pytest.raises(TrainingError, match=message):
        assert list(Dataset.open(tmp_path).described) is None


def test_a_cell_that_no_description_explains(tmp_path: Path) -> None:
    _vindr(tmp_path)
    table = tmp_path / "annotations/image_labels_test.csv"
    table.write_text(table.read_text().replace("z,0,", "z,perhaps,"))
    with pytest.raises(TrainingError, match=r"line 2, column Aortic enlargement: 'perhaps'"):
        _ = Dataset.open(tmp_path).described


def test_a_table_leads_nowhere_outside(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"")
    inside = tmp_path / "set"
    _put(
        inside,
        **{
            "dataset.toml": DESCRIBED.replace('reports = "reports"', ""),
            "films.csv": "file;pid;accession\n../../secret.png;p;A1\n",
        },
    )
    assert list(Dataset.open(inside).examples()) == [None]


def test_targets(tmp_path: Path) -> None:
    labels = LabelSet(("normal", "mass", "nodule"), (("nodule", "left"), ("mass", "left")), (END,))
    _put(tmp_path / "mesh", **{"annotations.csv": "image_id,annotation\na,Nodule/left\nb,Nodule\n"})
    _pictures(tmp_path, "mesh/images/a.png", "mesh/images/b.png")
    _put(tmp_path / "table", **{"images.csv": "image,patient,labels,view\na,1,Nodule,AP\n"})
    _pictures(tmp_path, "table/images/a.webp")
    _put(tmp_path / "text", **{"captions.csv": "image,caption\na,A nodule on the left.\n"})
    _pictures(tmp_path, "text/images/a.webp")
    every = [
        example
        for name in ("mesh", "table", "text")
        for example in Dataset.open(tmp_path / name).examples()
        if example is not None
    ]
    targets, known = encode_targets(every, labels)
    assert known.tolist() == [
        [True] * 5,
        [True] * 5,
        [True, True, True, False, True],
        [False, False, True, True, False],
    ]
    expected = [[0.0, 0, 1, 1, 0], [0, 0, 1, 0, 0], [0, 0.1, 1, 0, 0.1], [0, 0, 1, 1, 0]]
    assert np.abs(targets - np.array(expected, np.float32)).max() < 1e-6


def test_a_label_of_two_findings_is_judged_once(tmp_path: Path) -> None:
    _put(
        tmp_path / "table",
        **{"images.csv": "image,patient,labels,view\na,1,Emphysema,AP\nb,2,Nodule,AP\n"},
    )
    _put(
        tmp_path / "mesh", **{"annotations.csv": "image_id,annotation\na,Emphysema\nb,Emphysema\n"}
    )
    _pictures(
        tmp_path, *(f"{name}/images/{film}.png" for name in ("table", "mesh") for film in "ab")
    )
    table, mesh = (
        [e for e in Dataset.open(tmp_path / name).examples() if e is not None]
        for name in ("table", "mesh")
    )
    both = LabelSet(("emphysema", "nodule", "pulmonary emphysema"), (), (END,))
    one = LabelSet(("emphysema", "nodule"), (), (END,))
    assert encode_targets(table, both)[1].all(), "both are learnt"
    targets, known = encode_targets(table, both, once=True)
    assert known.tolist() == [[False, True, True]] * 2
    assert targets[:, 2].tolist() == pytest.approx([1, 0.1])
    assert encode_targets(table, one, once=True)[1].all(), "it is not told twice"
    assert encode_targets(mesh, both, once=True)[1].all(), "people tell both apart"
