"""`cxrdex index --labels`: what a data set's tables say becomes people's words on the images."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer.database.reader import DatabaseReader
from indexer.errors import TrainingError
from tests.pipeline.conftest import Index
from tests.pipeline.making import write_picture, write_pictures


def _human(database: Path) -> dict[str, list[str]]:
    """By file name, what people say of it."""
    found = {}
    with DatabaseReader.open(database) as opened:
        for file in opened.ledger.files.records(statuses=("done",)):
            assert file.image_id is not None
            document = opened.image(file.image_id).document
            found[file.name] = [
                a["text"] for a in document["annotations"] if a["origin"] == "human"
            ]
    return found


def test_annotations_of_a_data_set_are_peoples_words(run: Index, tmp_path: Path) -> None:
    archive, database = tmp_path / "set", tmp_path / "db"
    write_pictures(archive / "images", 2)
    table = archive / "annotations.csv"
    table.write_text("image_id,annotation\n000,Opacity/lung/left;Nodule\n009,normal\n")
    summary = run(archive / "images", labels=[archive])
    assert _human(database) == {"000.png": ["opacity, lung, left", "nodule"], "001.png": []}
    assert summary.labels_unmatched == 1
    table.write_text("image_id,annotation\n000,Mass\n001,normal\n")
    assert run(archive / "images", labels=[archive]).reports_changed == 2
    assert _human(database) == {"000.png": ["mass"], "001.png": ["normal"]}
    assert run(archive / "images").reports_changed == 0
    assert _human(database) == {"000.png": ["mass"], "001.png": ["normal"]}, "they stay"


def test_reports_keep_their_words_beside_labels(run: Index, tmp_path: Path) -> None:
    archive, reports = tmp_path / "set", tmp_path / "reports"
    write_pictures(archive, 1)
    reports.mkdir()
    (reports / "000.txt").write_text("FINDINGS: Left effusion.")
    (archive / "annotations.csv").write_text("image_id,annotation\n000,Pneumonia\n")
    run(archive, labels=[archive], reports=reports)
    with DatabaseReader.open(tmp_path / "db") as opened:
        (document,) = opened.documents()
    labels_and_words = {(a["origin"], a["text"]) for a in document["annotations"]}
    assert {("human", "pneumonia"), ("report", "pleural effusion, left")} <= labels_and_words


def test_pictures_of_one_name_are_told_apart_by_their_folders(run: Index, tmp_path: Path) -> None:
    archive = tmp_path / "CheXpert-v1.0-small"
    for patient in (1, 2):
        write_picture(archive / f"train/patient0000{patient}/study1/view1_frontal.png", patient)
    (archive / "dataset.toml").write_text(
        'pictures = "{image}"\n[[table]]\nfile = "train.csv"\n[columns]\nimage = "Path"\n'
        'labels = "Label"\n[labels.meanings]\n"Mass" = "mass"\n"Edema" = "pulmonary edema"\n'
    )
    (archive / "train.csv").write_text(
        "Path,Label\ntrain/patient00001/study1/view1_frontal.png,Mass\n"
        "train/patient00002/study1/view1_frontal.png,Edema\n"
    )
    run(archive, labels=[archive])
    assert sorted(_human(tmp_path / "db").values()) == [["mass"], ["pulmonary edema"]]


def test_what_is_no_data_set_stops_the_run_before_it_begins(run: Index, tmp_path: Path) -> None:
    archive = write_pictures(tmp_path / "a", 1)
    with pytest.raises(TrainingError, match="no data set that is known"):
        run(archive, labels=[archive])
