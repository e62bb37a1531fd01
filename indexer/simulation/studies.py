"""Simulated studies: their headers, images and reports; a few of them are special by number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from indexer.archive.sources.containers import NESTED
from indexer.simulation.dicom_files import ENCODINGS, dicom_file
from indexer.simulation.film import expose, stamp
from indexer.simulation.findings import study_findings
from indexer.simulation.reports import report_text
from indexer.simulation.truth import SimulatedFile

__all__ = ["DX", "ZIP", "image_header", "make_uid", "study_header", "study_images", "study_report"]

ZIP = "studies/export.zip"
DX = "1.2.840.10008.5.1.4.1.1.1.1"
_CR = "1.2.840.10008.5.1.4.1.1.1"
_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_CREATOR = "cxrdex simulation"
_NOTE = "SIMULATED: made by computer from one public radiograph; no patient has this finding"
_HEIGHTS = (640, 512, 768, 896, 640, 1024)
# Studies, by number, in which something is special.
_MIRRORED_BY_ORIENTATION = 5
_MIRRORED_BY_FLIP = 6
_BURNED_IN = 7
_ORIGINAL, _DUPLICATE = 8, 9
_WITHOUT_META = 10
_CAPTURED = 11


def study_images(number: int, studies: int, seed: int) -> Iterator[tuple[SimulatedFile, bytes]]:
    """The files of study `number` of so many `studies`, the last three of which lie in a zip."""
    content = _ORIGINAL if number == _DUPLICATE else number
    encoding = ENCODINGS[(content - 1) % len(ENCODINGS)]
    if number == _DUPLICATE:
        encoding = replace(encoding, syntax="RLELossless")
    if number == _WITHOUT_META:
        encoding = replace(encoding, syntax="ImplicitVRLittleEndian")
    findings = study_findings(content)
    mirrored = number in (_MIRRORED_BY_ORIENTATION, _MIRRORED_BY_FLIP)
    folder = f"{ZIP}{NESTED}" if studies >= 12 and number > studies - 3 else "studies/"
    header = study_header(number, seed)
    for image in range(1, _images(number) + 1):
        rng = np.random.default_rng((seed, content, image))
        height = _HEIGHTS[int(rng.integers(len(_HEIGHTS)))]
        width = round(height * rng.uniform(0.84, 1.02))
        film = expose(rng, height, width, findings)
        if number == _BURNED_IN:
            film = stamp(film, "SIMULATED")
        if mirrored:
            film = film[:, ::-1]
        suffix = "" if number % 4 == 1 else ".dcm"
        name = f"patient{_patient(number):04d}/study{number:04d}/{_stem(number, image)}{suffix}"
        file = SimulatedFile(
            name=folder + name,
            outcome="duplicate" if number == _DUPLICATE else "done",
            study=number,
            findings=findings,
            transfer_syntax=encoding.syntax,
            mirrored=mirrored,
        )
        tags = header | image_header(header, number, image)
        yield file, dicom_file(film, encoding, tags, meta=number != _WITHOUT_META)


def study_report(number: int, seed: int) -> tuple[str, str]:
    """File name and text of a study's report; named by a file or by a number of the header."""
    header = study_header(number, seed)
    stem = _stem(number, 1)
    if number % 10 == 4:
        stem = str(header["AccessionNumber"])
    elif _images(number) > 1:
        stem = str(header["StudyInstanceUID"])
    findings = study_findings(_ORIGINAL if number == _DUPLICATE else number)
    return f"{stem}.txt", report_text(number, findings, np.random.default_rng((seed, number)))


def study_header(number: int, seed: int) -> dict[str, object]:
    """What all images of a study say, by keyword."""
    rng = np.random.default_rng((seed, _patient(number), 99))
    year, age = 2012 + number % 12, int(rng.integers(19, 96))
    captured = number == _CAPTURED
    digital = number % 3 == 1 and not captured
    orientation = ["R", "F"] if number == _MIRRORED_BY_ORIENTATION else ["L", "F"]
    flipped = number == _MIRRORED_BY_FLIP
    return {
        "SOPClassUID": _CAPTURE if captured else DX if digital else _CR,
        "StudyInstanceUID": make_uid(seed, number),
        "SeriesInstanceUID": make_uid(seed, number, 1),
        "ImageType": ["DERIVED", "SECONDARY"],
        "StudyDate": f"{year}{1 + number % 12:02d}15",
        "StudyTime": "120000",
        "AccessionNumber": f"SIMACC{number:04d}",
        "Modality": "OT" if captured else "DX" if digital else "CR",
        "ConversionType": "SYN" if captured else None,
        "PresentationIntentType": "FOR PRESENTATION" if digital else None,
        "Manufacturer": f"Simulated {('Alpha', 'Beta', 'Gamma')[number % 3]}",
        "InstitutionName": "SIMULATED",
        "StudyDescription": "SIMULATED CHEST",
        "DerivationDescription": _NOTE,
        "PatientName": f"SIMULATED^CHEST {_patient(number):04d}",
        "PatientID": f"SIM{_patient(number):04d}",
        "PatientBirthDate": f"{year - age}0101",
        "PatientSex": "FMO"[int(rng.choice(3, p=(0.49, 0.49, 0.02)))],
        "PatientAge": f"{age:03d}Y",
        "BodyPartExamined": "CHEST",
        "ViewPosition": ("PA", "PA", "AP", "")[number % 4],
        "PatientOrientation": None if flipped else orientation,
        "FieldOfViewHorizontalFlip": "YES" if flipped else "NO",
        "BurnedInAnnotation": "YES" if number == _BURNED_IN else "NO",
        "ImageComments": _NOTE,
    }


def image_header(header: dict[str, object], number: int, image: int) -> dict[str, object]:
    """What one image of a study says beyond its `header`."""
    return {
        "SOPInstanceUID": make_uid(header["StudyInstanceUID"], image),
        "SeriesNumber": 1,
        "InstanceNumber": image,
        # The same greys encoded in several ways: plainly, with slope and intercept, and with a
        # window.
        "RescaleSlope": (1, 2, 0.5)[number % 3],
        "RescaleIntercept": (0, -1024, 100)[number % 3],
    }


def make_uid(*names: object) -> str:
    """The UID of what has these names."""
    from pydicom.uid import generate_uid

    return str(generate_uid(entropy_srcs=[_CREATOR, *map(str, names)]))


def _images(number: int) -> int:
    return 2 if number % 6 == 0 else 1


def _patient(number: int) -> int:
    return number - 1 if number % 10 == 3 else number


def _stem(number: int, image: int) -> str:
    return f"sim{number:04d}-{image}"
