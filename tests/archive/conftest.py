"""What the tests of this folder share."""

from __future__ import annotations

import json
import logging
import pickle
import random
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from indexer.archive.decoding import DecodedImage, DecodeSettings
from indexer.archive.sources.members import Member, open_archive
from indexer.errors import ImageError
from tests.archive.making import film, make_dicom

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

KEY = b"key-that-nobody-may-ever-see-032"


SETTINGS = DecodeSettings(size=32, key=KEY, thumbnail=48)


PIXELS = film(48, 40)


class Secrets:
    """Makes words and numbers that nothing else contains, and remembers them."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self.values: list[str] = []

    def keep(self, value: str) -> str:
        self.values.append(value)
        return value

    def word(self) -> str:
        return self.keep("".join(self._random.choices("BCDFGHJKLMNPQRSTVWXZ", k=12)))

    def number(self, length: int = 14) -> str:
        return self.keep("".join(self._random.choices("123456789", k=length)))

    def uid(self) -> str:
        return f"1.2.826.0.1.{self.number()}"

    def date(self) -> str:
        choose = self._random.randint
        return self.keep(f"{choose(1931, 1969)}{choose(1, 12):02d}{choose(1, 28):02d}")

    def found_in(self, traces: bytes) -> list[str]:
        return [value for value in self.values if value.lower().encode() in traces]


class Watch:
    """Decodes a file and tells how that ends, and everything that comes out meanwhile."""

    def __init__(self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
        self._logs, self._prints = caplog, capfd
        self.image: DecodedImage | None = None

    def __call__(self, act: Callable[[], DecodedImage]) -> tuple[str, bytes]:
        self._logs.clear()
        self.image = None
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                self.image = act()
                ending, parts = "done", of_image(self.image)
            except ImageError as error:
                ending, parts = error.reason, of_error(error)
        parts += [self._logs.text, *(str(w.message) for w in warned), *self._prints.readouterr()]
        traces = b"\n".join(p if isinstance(p, bytes) else p.encode() for p in parts)
        assert KEY not in traces
        assert KEY.hex().encode() not in traces
        return ending, traces.lower()


def of_image(image: DecodedImage) -> list[str | bytes]:
    return [
        pickle.dumps(image),
        repr(image),
        json.dumps(image.metadata.to_json()),
        image.canvas.tobytes(),
        image.thumbnail or b"",
    ]


def of_error(error: ImageError) -> list[str | bytes]:
    return [
        pickle.dumps(error),
        repr(error),
        error.detail,
        *traceback.format_exception(error),
    ]


@pytest.fixture
def watch(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Watch:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="pydicom")
    return Watch(caplog, capfd)


NAMES = (
    *("PatientName", "PatientBirthName", "PatientMotherBirthName", "OtherPatientNames"),
    *("ResponsiblePerson", "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName"),
    *("NameOfPhysiciansReadingStudy", "RequestingPhysician", "PhysiciansOfRecord"),
)


WORDS = (
    *("PatientID", "IssuerOfPatientID", "OtherPatientIDs", "AccessionNumber", "StudyID"),
    *("InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "StationName"),
    *("SeriesDescription", "ProtocolName", "RequestedProcedureDescription", "TextComments"),
    *("PerformedProcedureStepDescription", "AcquisitionDeviceProcessingDescription"),
    *("PatientComments", "ImageComments", "StudyComments", "DerivationDescription"),
    *("AdditionalPatientHistory", "MedicalAlerts", "Allergies", "PatientState", "Occupation"),
    *("PatientAddress", "PatientTelephoneNumbers", "CountryOfResidence", "RegionOfResidence"),
    *("EthnicGroup", "PatientReligiousPreference", "MilitaryRank", "AdmissionID", "PersonAddress"),
    *("CurrentPatientLocation", "RequestingService", "FillerOrderNumberImagingServiceRequest"),
    *("DeviceSerialNumber", "DetectorID", "PlateID", "CassetteID", "SoftwareVersions"),
    *("ManufacturerModelName", "RetrieveAETitle", "PresentationLUTShape", "PatientSex"),
)


UIDS = (
    *("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"),
    *("DeviceUID", "InstanceCreatorUID", "TransactionUID", "IrradiationEventUID"),
)


DATES = (
    *("PatientBirthDate", "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"),
    *("InstanceCreationDate", "AdmittingDate", "LastMenstrualDate"),
)


TIMES = ("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime", "PatientBirthTime")


def laden(secrets: Secrets, **attributes: Any) -> Dataset:
    """A chest radiograph whose header is full of secrets."""
    from pydicom.dataset import Dataset
    from pydicom.uid import UID

    word = secrets.word
    nested, deep, icon = Dataset(), Dataset(), Dataset()
    nested.PatientName = f"{word()}^{word()}"
    nested.ScheduledProcedureStepDescription = word()
    nested.StudyInstanceUID = secrets.uid()
    deep.ModifyingSystem = word()
    deep.ModifiedAttributesSequence = [nested]
    icon.Rows, icon.Columns, icon.BitsAllocated = 3, 4, 8
    icon.PixelData = word().encode()
    values: dict[str, Any] = {
        **{keyword: f"{word()}^{word()}^^{word()}={word()}" for keyword in NAMES},
        **{keyword: word() for keyword in WORDS},
        **{keyword: secrets.uid() for keyword in UIDS},
        **{keyword: secrets.date() for keyword in DATES},
        **{keyword: f"134527.{secrets.number(6)}" for keyword in TIMES},
        "AcquisitionDateTime": f"19570812134527.{secrets.number(6)}",
        "PatientWeight": secrets.number(12),
        "StudyDescription": f"CHEST {word()}",
        "RequestAttributesSequence": [nested],
        "OriginalAttributesSequence": [deep],
        "IconImageSequence": [icon],
    }
    dataset = make_dicom(PIXELS, **{**values, **attributes})
    block = dataset.private_block(0x0009, word(), create=True)
    block.add_new(1, "LO", word())
    block.add_new(2, "UN", word().encode())
    block.add_new(3, "SQ", [nested])
    dataset.add_new(0x00131010, "LO", word())  # private, without a creator
    dataset.add_new(0x00080FFF, "UN", word().encode())  # unknown to the standard
    dataset.add_new(0x50000030, "SH", word())  # of a curve
    dataset.add_new(0x60004000, "LT", word())  # of an overlay
    dataset.add_new(0xFFFCFFFC, "OB", word().encode())
    dataset.preamble = word().encode().ljust(128, b"\0")
    dataset.file_meta.SourceApplicationEntityTitle = word()
    dataset.file_meta.PrivateInformationCreatorUID = UID(secrets.uid())
    dataset.file_meta.PrivateInformation = word().encode()
    add_overlay(dataset, word().encode())
    return dataset


def add_overlay(dataset: Dataset, text: bytes) -> None:
    dataset.add_new(0x60000010, "US", PIXELS.shape[0])
    dataset.add_new(0x60000011, "US", PIXELS.shape[1])
    dataset.add_new(0x60000040, "CS", "G")
    dataset.add_new(0x60000050, "SS", [1, 1])
    dataset.add_new(0x60000100, "US", 1)
    dataset.add_new(0x60000102, "US", 0)
    dataset.add_new(0x60003000, "OW", text * (PIXELS.size // 8 // len(text)))


def write_member(folder: Path, name: str, data: bytes) -> Member:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return next(iter(open_archive(folder).members()))
