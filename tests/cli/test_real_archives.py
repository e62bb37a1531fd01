"""Real radiographs end to end: a part of Open-i with its reports, and DICOM files."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from indexer.annotation import NORMAL
from search.language.lexicon import Lexicon

Ask: TypeAlias = Callable[..., Any]
Run: TypeAlias = Callable[..., Result]

COUNT = 48


@pytest.fixture(scope="module")
def openi(shared: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder in the layout of the Open-i download, and the database made of it."""
    root = tmp_path_factory.mktemp("openi")
    archive, database = root / "archive", root / "database"
    (archive / "images").mkdir(parents=True)
    (archive / "ecgen-radiology").mkdir()
    with (shared / "openi" / "images.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "val"][:COUNT]
    for row in rows:
        shutil.copy(shared / "openi" / "images" / f"{row['image_id']}.jpg", archive / "images")
        report = f"{row['uid']}.xml"
        shutil.copy(shared / "openi" / "ecgen-radiology" / report, archive / "ecgen-radiology")
    result = run("index", archive, "--database", database)
    assert result.exit_code == 0, result.stderr
    return archive, database


def test_every_picture_is_accounted_for(openi: tuple[Path, Path], ask: Ask) -> None:
    _, database = openi
    images = ask("status", "--database", database)["images"]
    assert images["done"] + images["duplicate"] == COUNT
    assert images["skipped"] == images["failed"] == 0
    assert ask("verify", "--database", database)["consistent"]


def test_reports_in_the_layout_are_attached(openi: tuple[Path, Path], ask: Ask) -> None:
    _, database = openi
    everything = ask("search", "*", "--images", "--limit", "100", "--database", database)
    annotated = [
        h for h in everything["hits"] if any(a["origin"] == "human" for a in h["annotations"])
    ]
    assert len(annotated) > 0.9 * everything["total"]
    with_report = ask("search", "report:*", "--database", database)
    assert with_report["total"] == everything["total"]


def test_a_human_label_is_found_and_told_from_predicted_ones(
    openi: tuple[Path, Path], ask: Ask
) -> None:
    _, database = openi
    everything = ask("search", "*", "--images", "--limit", "100", "--database", database)["hits"]
    human = {
        hit["id"]: {a["disease"] for a in hit["annotations"] if a["origin"] == "human"}
        for hit in everything
    }
    for disease in set().union(*human.values()) - {NORMAL}:
        query = f'disease:"{disease}" AND origin:human'
        found = ask("search", query, "--images", "--limit", "100", "--database", database)["hits"]
        wide = set(Lexicon.load().within(disease))
        assert {h["id"] for h in found} == {i for i, labels in human.items() if wide & labels}


def test_a_picture_and_its_dicom_twin_find_it_first(
    openi: tuple[Path, Path], ask: Ask, tmp_path: Path
) -> None:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ComputedRadiographyImageStorage, ImplicitVRLittleEndian, generate_uid

    archive, database = openi
    path = sorted((archive / "images").iterdir())[7]
    first = ask("similar", path, "-k", "2", "--database", database)["hits"][0]
    assert first["score"] > 0.999
    pixels = np.asarray(Image.open(path).convert("L"))
    twin = Dataset()
    twin.file_meta = FileMetaDataset()
    twin.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    twin.SOPClassUID, twin.SOPInstanceUID = ComputedRadiographyImageStorage, generate_uid()
    twin.Modality, twin.PhotometricInterpretation = "CR", "MONOCHROME1"
    twin.Rows, twin.Columns, twin.SamplesPerPixel = *pixels.shape, 1
    twin.BitsAllocated, twin.BitsStored, twin.HighBit, twin.PixelRepresentation = 16, 12, 11, 0
    twin.PixelData = (4095 - pixels.astype("<u2") * 16).tobytes()
    twin.save_as(tmp_path / "twin.dcm", enforce_file_format=True)
    found = ask("similar", tmp_path / "twin.dcm", "-k", "2", "--database", database)["hits"][0]
    assert found["id"] == first["id"]
    assert found["score"] > 0.999


def test_a_second_run_reads_nothing(openi: tuple[Path, Path], ask: Ask) -> None:
    archive, database = openi
    summary = ask("index", archive, "--database", database)
    assert summary["unchanged"] == summary["total"] == COUNT


def test_real_dicom_files(shared: Path, run: Run, ask: Ask, tmp_path: Path) -> None:
    database = tmp_path / "database"
    assert run("index", shared / "dicom", "--database", database).exit_code == 0
    status = ask("status", "--database", database)
    assert status["images"] == {"done": 6, "duplicate": 0, "skipped": 2, "failed": 0}
    reasons = {r["name"]: r["reason"] for r in ask("failures", "--database", database)}
    assert reasons == {"hip_jpeg_lossless.dcm": "other_body_part", "README.md": "not_an_image"}
