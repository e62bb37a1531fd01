"""The documents of the contract: generated ones of every kind, and the val reports of Open-i."""

from __future__ import annotations

import csv
import hashlib
import random
from pathlib import Path
from typing import Any, Literal

from indexer.annotation import Annotation, Origin
from indexer.archive.deidentify import Metadata, pseudonym
from indexer.archive.reports import Report, parse_report
from indexer.database.text.documents import Document, build_document

__all__ = ["generated_documents", "open_i_documents"]

_KEY = b"contract of the text stores"
_DISEASES = (
    "atelectasis",
    "cardiomegaly",
    "catheters, indwelling",
    "hernia, hiatal",
    "nodule",
    "opacity",
    "pleural effusion",
    "pneumothorax",
    "tube, inserted",
)
_QUALIFIERS = (
    ("lung", "heart", "pleura", "lung", "thoracic vertebrae"),
    ("base", "apex", "upper lobe", "costophrenic angle", "hilum"),
    ("left", "right", "bilateral"),
    ("mild", "severe", "small", "large"),
    ("round", "chronic", "scattered", "naïve"),
)
_SENTENCES = (
    "The heart is enlarged.",
    "No pleural effusion or pneumothorax.",
    "Small right pleural effusion.",
    "There is no pneumothorax.",
    "Stable opacities in the left base.",
    "Possible pneumonia in the right upper lobe.",
    "Cannot exclude a small left pleural effusion.",
    "Lungs are clear.",
    "There is mild cardiomegaly!",
    "Chest x-ray of T-spine; 3.5 mm nodule, r/o TB.",
    "Status post CABG with sternotomy wires.",
    "Naïve Ménière œdema, Größe 5 µm, 心臓 拡大.",
    "No acute cardiopulmonary disease.",
)
_INDICATIONS = ("Chest pain.", "Dyspnea and cough", "R/O pneumothorax", "Fever, hernia?")


def _annotation(rng: random.Random, origin: Origin) -> dict[str, Any]:
    qualifiers = [rng.choice(words) for words in _QUALIFIERS if rng.random() < 0.45]
    return Annotation.from_words(origin, rng.choice(_DISEASES), qualifiers).to_json()


def _reading(rng: random.Random, most: int) -> dict[str, Any]:
    annotations = [_annotation(rng, "predicted") for _ in range(rng.randint(0, most))]
    return {
        "annotations": annotations,
        "view": rng.choice(("frontal", "lateral")),
        "view_confidence": 0.75,
        "probabilities": {a["disease"]: 0.5 for a in annotations},
    }


def _report(rng: random.Random, uid: str) -> Report:
    sections = {
        "indication": rng.choice(_INDICATIONS),
        "findings": " ".join(rng.sample(_SENTENCES, 4)),
        "impression": rng.choice(_SENTENCES),
        "comparison": "None.",
    }
    kept = {name: text for name, text in sections.items() if rng.random() < 0.8}
    human = [Annotation.from_json(_annotation(rng, "human")) for _ in range(rng.randint(0, 2))]
    return Report(uid, kept, tuple(human))


def generated_documents(count: int = 300, seed: int = 0) -> list[Document]:
    """Documents of every origin, with and without report, with nulls and letters of many scripts.

    Images come in studies of two, as they do in archives: a study shares patient and report.
    """
    rng = random.Random(seed)
    sexes: tuple[Literal["M", "F", "O"] | None, ...] = ("M", "F", "O", None)
    documents = []
    for number in range(count):
        if number % 2 == 0:
            study, patient = f"{rng.getrandbits(48):012x}", f"{number // 4:012x}"
            report = _report(rng, study) if rng.random() < 0.7 else None
            sex, age = rng.choice(sexes), rng.choice((None, 0, 34, 51, 68, 90))
        metadata = Metadata(
            view=rng.choice(("PA", "AP", "LL", None, None)),
            sex=sex,
            age=age,
            year=rng.choice((2009, 2013, None)),
            manufacturer=None,
            rows=256,
            columns=256,
            notes=rng.choice(((), (), ("looks_inverted",), ("lut_ignored", "window_ignored"))),
        )
        # Half of the keys are negative as int64.
        image_id = f"{rng.getrandbits(64):016x}"
        documents.append(
            build_document(image_id, study, patient, metadata, _reading(rng, 3), report)
        )
    return documents


def open_i_documents(folder: Path, seed: int = 0) -> list[Document]:
    """A document for every val picture of Open-i, made of its report; no picture is read.

    What the cascade would say is played by the human annotations of another val report, so that
    the origins disagree, and age and year are drawn, as Open-i has neither.

    Parameters
    ----------
    folder
        Holds ``images.csv`` and ``ecgen-radiology/``.
    """
    rng = random.Random(seed)
    with (folder / "images.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "val"]
    paths = {row["uid"]: folder / "ecgen-radiology" / f"{row['uid']}.xml" for row in rows}
    by_uid = {uid: parse_report(path.read_bytes(), path.name, _KEY) for uid, path in paths.items()}
    reports = list(by_uid.values())
    documents = []
    for row in rows:
        report = by_uid[row["uid"]]
        annotations = [
            Annotation("predicted", a.words).to_json() for a in rng.choice(reports).annotations
        ]
        reading = {
            "annotations": annotations,
            "view": row["projection"],
            "view_confidence": 1.0,
            "probabilities": {a["disease"]: 0.75 for a in annotations},
        }
        metadata = Metadata(
            view=None,
            sex=rng.choice(("M", "F", None)),
            age=rng.choice((None, *range(20, 91))),
            year=rng.choice((None, *range(2005, 2015))),
            manufacturer=None,
            rows=256,
            columns=256,
        )
        study, patient = (pseudonym(_KEY, kind, row["uid"]) for kind in ("study", "patient"))
        image_id = hashlib.sha256(row["image_id"].encode()).hexdigest()[:16]
        documents.append(build_document(image_id, study, patient, metadata, reading, report))
    return documents
