"""Tiny imitations of published collections whose pictures can be read: each in its own layout, with
films that are normal and films with an effusion in turn."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from indexer.datasets.description import Description
from tests.archive.making import make_dicom

__all__ = ["COLLECTIONS", "EFFUSION", "TRAIN", "VAL"]

#: Films of each part; of a collection without a `val` the second are its `test`, and some of the
#: first become `val`.
TRAIN, VAL = 24, 6
EFFUSION = "pleural effusion"
_SIZE = 64
_REPORT = """<?xml version="1.0"?><eCitation><uId id="CXR{n}"/><MeSH><major>{term}</major></MeSH>
<parentImage id="CXR{n}_IM-1"/></eCitation>"""


def _pixels(number: int) -> npt.NDArray[np.uint8]:
    """Noise; brighter below where there is an effusion."""
    pixels = np.random.default_rng(number).normal(90, 20, (_SIZE, _SIZE))
    if _ill(number):
        pixels[40:] += 80
    grey: npt.NDArray[np.uint8] = pixels.clip(0, 255).astype(np.uint8)
    return grey


def _ill(number: int) -> bool:
    return number % 2 == 1


def _picture(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".dicom":
        uid = f"1.2.3.{number + 1}"
        film = make_dicom(
            _pixels(number), 8, SOPInstanceUID=uid, PatientID=uid, StudyInstanceUID=uid
        )
        film.save_as(path, enforce_file_format=True)
    else:
        Image.fromarray(_pixels(number)).save(path)


def _table(path: Path, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([heads, *rows])


def _films() -> list[tuple[int, bool]]:
    """The number of each film, and whether it is of `val` or `test`."""
    return [(number, number >= TRAIN) for number in range(TRAIN + VAL)]


def _meanings(name: str) -> list[str]:
    """The labels that a built-in description knows, in its order."""
    (description,) = (d for d in Description.built_in() if d.name == name)
    assert description.labels is not None
    return list(description.labels.meanings)


def _cells(labels: Sequence[str], given: str, yes: str, no: str) -> list[str]:
    return [yes if label == given else no for label in labels]


def _openi(root: Path) -> None:
    rows = []
    for number, held in _films():
        name = f"CXR{number}_IM-1"
        _picture(root / "images" / f"{name}.png", number)
        rows.append([name, number, "frontal", "val" if held else "train"])
        term = "Pleural Effusion" if _ill(number) else "normal"
        report = root / "ecgen-radiology" / f"{number}.xml"
        report.parent.mkdir(exist_ok=True)
        report.write_text(_REPORT.format(n=number, term=term))
    _table(root / "images.csv", ["image_id", "uid", "projection", "split"], rows)


def _chestxray14(root: Path) -> None:
    rows = []
    for number, _ in _films():
        name = f"{number:08d}_000.png"
        _picture(root / f"images_{1 + number % 2:03d}" / "images" / name, number)
        # Of these patients 31 and 42 are of `val`, by their hash.
        patient = 31 + number
        rows.append([name, "Effusion" if _ill(number) else "No Finding", 0, patient, 58, "PA"])
    heads = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,View Position"
    _table(root / "Data_Entry_2017.csv", heads.split(","), rows)
    (root / "train_val_list.txt").write_text("".join(f"{row[0]}\n" for row in rows[:TRAIN]))
    (root / "test_list.txt").write_text("".join(f"{row[0]}\n" for row in rows[TRAIN:]))


def _chexpert(root: Path) -> None:
    labels = _meanings("CheXpert")
    rows: dict[str, list[list[object]]] = {"train": [], "valid": []}
    for number, held in _films():
        part = "valid" if held else "train"
        place = f"{part}/patient{number:05d}/study1/view1_frontal.jpg"
        _picture(root / place, number)
        given = "Pleural Effusion" if _ill(number) else "No Finding"
        cells = _cells(labels, given, "1.0", "")
        rows[part].append([f"CheXpert-v1.0-small/{place}", "Male", 60, "Frontal", "PA", *cells])
    for part, lines in rows.items():
        heads = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *labels]
        _table(root / f"{part}.csv", heads, lines)


def _mimic(root: Path) -> None:
    labels = _meanings("MIMIC-CXR-JPG")
    metadata, split, chexpert = [], [], []
    for number, held in _films():
        image, patient, study = f"film-{number}", 10000000 + number, 50000000 + number
        _picture(root / f"files/p10/p{patient}/s{study}/{image}.jpg", number)
        metadata.append([image, patient, study, "PA"])
        split.append([image, study, patient, "validate" if held else "train"])
        given = "Pleural Effusion" if _ill(number) else "No Finding"
        chexpert.append([patient, study, *_cells(labels, given, "1.0", "")])
    start = "mimic-cxr-2.0.0-"
    heads = ["dicom_id", "subject_id", "study_id", "ViewPosition"]
    _table(root / f"{start}metadata.csv", heads, metadata)
    _table(root / f"{start}split.csv", ["dicom_id", "study_id", "subject_id", "split"], split)
    _table(root / f"{start}chexpert.csv", ["subject_id", "study_id", *labels], chexpert)


def _padchest(root: Path) -> None:
    rows = []
    for number, _ in _films():
        name = f"film_{number}.png"
        _picture(root / "0" / name, number)
        labels = "['pleural effusion']" if _ill(number) else "['normal']"
        rows.append([number, name, 0, f"s{number}", f"p{number}", "PA", "Physician", labels])
    heads = ",ImageID,ImageDir,StudyID,PatientID,Projection,MethodLabel,Labels"
    table = root / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
    _table(table, heads.split(","), rows)


def _vindr(root: Path) -> None:
    labels = _meanings("VinDr-CXR")
    train: list[list[object]] = []
    test: list[list[object]] = []
    for number, held in _films():
        _picture(root / ("test" if held else "train") / f"film{number}.dicom", number)
        given = "Pleural effusion" if _ill(number) else "No finding"
        cells = _cells(labels, given, "1", "0")
        if held:
            test.append([f"film{number}", *cells])
        else:
            train += [[f"film{number}", reader, *cells] for reader in ("R1", "R2", "R3")]
    folder = root / "annotations"
    _table(folder / "image_labels_train.csv", ["image_id", "rad_id", *labels], train)
    _table(folder / "image_labels_test.csv", ["image_id", *labels], test)


#: By the name of its description, what makes a folder of it.
COLLECTIONS: Mapping[str, Callable[[Path], None]] = {
    "Open-i": _openi,
    "NIH ChestX-ray14": _chestxray14,
    "CheXpert": _chexpert,
    "MIMIC-CXR-JPG": _mimic,
    "PadChest": _padchest,
    "VinDr-CXR": _vindr,
}
