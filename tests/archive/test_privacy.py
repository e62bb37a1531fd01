"""Nothing of a header, a path or a picture's remarks comes out of the decoder, whatever happens.

Every secret is a random word, so that a search through all that comes out finds it wherever it is:
in the result as it is sent to another process, in errors with their causes, in log records of all
levels, in warnings, and in what decoders print.
"""

from __future__ import annotations

import io
import json
import logging
import os
import pickle
import random
import shutil
import traceback
import warnings
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from indexer.archive.decoding import DecodedImage, DecodeSettings, decode, decode_member
from indexer.archive.sources.members import Member, open_archive
from indexer.errors import ImageError
from tests.archive.making import film, make_dicom, to_bytes

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

KEY = b"key-that-nobody-may-ever-see-032"
SETTINGS = DecodeSettings(size=32, key=KEY, thumbnail=48)
PIXELS = film(48, 40)
# What the allow-list keeps as it is, and the modality, which has a test of its own.
KEPT = frozenset({"Manufacturer", "Modality"})

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


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
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                self.image = act()
                ending, parts = "done", of_image(self.image)
            except ImageError as error:
                ending, parts = error.reason, of_error(error)
        parts += [self._logs.text, *(str(w.message) for w in said), *self._prints.readouterr()]
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


def member_of(folder: Path, name: str, data: bytes) -> Member:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return next(iter(open_archive(folder).members()))


# --- files that are read ---


@pytest.mark.parametrize(
    "syntax",
    [
        "1.2.840.10008.1.2",
        "1.2.840.10008.1.2.1",
        "1.2.840.10008.1.2.1.99",
        "1.2.840.10008.1.2.2",
        "1.2.840.10008.1.2.5",
        "1.2.840.10008.1.2.4.80",
        "1.2.840.10008.1.2.4.90",
    ],
)
def test_a_header_full_of_secrets(syntax: str, tmp_path: Path, watch: Watch) -> None:
    secrets = Secrets()
    data = to_bytes(laden(secrets), syntax)
    if syntax != "1.2.840.10008.1.2.1.99":
        assert len(secrets.found_in(data.lower())) == len(secrets.values) > 100
    folder = tmp_path / secrets.word()
    member = member_of(folder, f"{secrets.word()}/{secrets.uid()}/{secrets.word()}.dcm", data)
    ending, traces = watch(partial(decode_member, member, SETTINGS))
    assert ending == "done"
    assert secrets.found_in(traces) == []


def test_secrets_change_nothing_of_the_picture(watch: Watch) -> None:
    # Neither an overlay nor a text may be drawn into what is shown and indexed.
    pictures = []
    for dataset in (laden(Secrets()), make_dicom(PIXELS)):
        assert watch(partial(decode, to_bytes(dataset), "a.dcm", SETTINGS))[0] == "done"
        assert watch.image is not None
        pictures.append(watch.image)
    assert pictures[0].image_id == pictures[1].image_id
    assert pictures[0].thumbnail == pictures[1].thumbnail
    np.testing.assert_array_equal(pictures[0].canvas, pictures[1].canvas)


def test_overlays_in_unused_bits_are_not_drawn(watch: Watch) -> None:
    overlay = np.zeros_like(PIXELS)
    overlay[10:20, 5:35] = 1 << 12
    images = []
    for pixels in (PIXELS, PIXELS | overlay):
        dataset = make_dicom(pixels)
        dataset.add_new(0x60000100, "US", 16)
        dataset.add_new(0x60000102, "US", 12)
        assert watch(partial(decode, to_bytes(dataset), "a.dcm", SETTINGS))[0] == "done"
        assert watch.image is not None
        images.append(watch.image)
    np.testing.assert_array_equal(images[0].canvas, images[1].canvas)
    assert images[0].thumbnail == images[1].thumbnail


def all_tags() -> list[int]:
    from pydicom._dicom_dict import DicomDictionary
    from pydicom.datadict import keyword_for_tag

    return [
        tag
        for tag, (vr, *_) in DicomDictionary.items()
        if vr != "SQ"
        and tag >> 16 not in (0x0000, 0x0002, 0x7FE0, 0xFFFE)
        and tag & 0xFFFF  # group lengths are not written
        and keyword_for_tag(tag) not in KEPT
    ]


@pytest.mark.parametrize("nested", [False, True], ids=["top", "nested"])
def test_every_tag_of_the_standard(nested: bool, watch: Watch) -> None:
    """Words in all tags, also where numbers or dates belong; few at a time, so that none hides."""
    from pydicom.dataset import Dataset

    leaks: list[str] = []
    endings: dict[str, int] = {}

    def check(tags: list[int]) -> None:
        secrets = Secrets(tags[0])
        dataset = make_dicom(PIXELS)
        inner = Dataset()
        for tag in tags:
            (inner if nested else dataset).add_new(tag, "LO", secrets.word())
        if nested:
            dataset.AnatomicRegionSequence = dataset.ViewCodeSequence = [inner]
            del dataset.BodyPartExamined, dataset.ViewPosition
        # Implicit: the reader takes the VRs from the dictionary, and the words for dates.
        data = to_bytes(dataset, "1.2.840.10008.1.2")
        ending, traces = watch(partial(decode, data, "a.dcm", SETTINGS))
        leaks.extend(f"{tags}: {value}" for value in secrets.found_in(traces))
        if ending != "done" and len(tags) > 1:
            for half in (tags[: len(tags) // 2], tags[len(tags) // 2 :]):
                check(half)
        else:
            endings[ending] = endings.get(ending, 0) + len(tags)

    tags = all_tags()
    random.Random(1).shuffle(tags)
    for start in range(0, len(tags), 40):
        check(tags[start : start + 40])
    assert leaks == []
    assert sum(endings.values()) == len(tags) > 3000
    assert endings["done"] > 0.98 * len(tags), endings


# --- files that are left out ---


def changed(**attributes: Any) -> Callable[[Secrets], bytes]:
    return lambda secrets: to_bytes(laden(secrets, **attributes))


def as_colour(secrets: Secrets) -> bytes:
    dataset = laden(secrets, SamplesPerPixel=3, PhotometricInterpretation="RGB", BitsAllocated=8)
    dataset.BitsStored, dataset.HighBit, dataset.PlanarConfiguration = 8, 7, 0
    dataset.PixelData = np.random.default_rng(1).bytes(PIXELS.size * 3)
    return to_bytes(dataset)


def without_pixels(secrets: Secrets) -> bytes:
    dataset = laden(secrets)
    del dataset.PixelData
    return to_bytes(dataset)


def with_syntax(syntax: str) -> Callable[[Secrets], bytes]:
    def make(secrets: Secrets) -> bytes:
        from pydicom.encaps import encapsulate
        from pydicom.uid import UID

        dataset = laden(secrets)
        dataset.PixelData = encapsulate([secrets.word().encode() * 40 + b"\xff\xd9"])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
        return to_bytes(dataset)

    return make


LEFT_OUT: dict[str, tuple[str, Callable[[Secrets], bytes]]] = {
    "CT": ("other_modality", changed(Modality="CT")),
    "hand": ("other_body_part", lambda s: changed(BodyPartExamined=f"HAND {s.word()}")(s)),
    "other part": (
        "other_body_part",
        lambda s: changed(BodyPartExamined=f"KNEE {s.word()[:8]}")(s),
    ),
    "named part": (
        "other_body_part",
        lambda s: changed(BodyPartExamined="", StudyDescription=f"KNEES {s.word()}")(s),
    ),
    "clip": ("multi_frame", changed(NumberOfFrames=7)),
    "raw": ("raw_for_processing", changed(PresentationIntentType="FOR PROCESSING")),
    "colour": ("colour", as_colour),
    "no pixels": ("no_pixels", without_pixels),
    "no size": ("truncated", changed(Rows=None, Columns=None)),
    "blank": ("blank_image", lambda s: to_bytes(blank(laden(s)))),
    "short": ("truncated", lambda s: to_bytes(laden(s))[:-900]),
    "bad wavelets": ("undecodable_pixels", with_syntax("1.2.840.10008.1.2.4.90")),
    "bad JPEG": ("undecodable_pixels", with_syntax("1.2.840.10008.1.2.4.50")),
    "bad lossless JPEG": ("undecodable_pixels", with_syntax("1.2.840.10008.1.2.4.70")),
    "bad JPEG-LS": ("undecodable_pixels", with_syntax("1.2.840.10008.1.2.4.80")),
    "bad RLE": ("undecodable_pixels", with_syntax("1.2.840.10008.1.2.5")),
    "video": ("unsupported_transfer_syntax", with_syntax("1.2.840.10008.1.2.4.100")),
    "no DICOM": ("not_dicom", lambda s: f"Dear {s.word()}, {s.word()}".encode()),
    "odd bits": ("undecodable_pixels", changed(BitsAllocated=13)),
}


def blank(dataset: Dataset) -> Dataset:
    dataset.PixelData = bytes(len(dataset.PixelData))
    return dataset


@pytest.mark.parametrize("case", LEFT_OUT)
def test_reasons_name_nobody(case: str, tmp_path: Path, watch: Watch) -> None:
    secrets = Secrets()
    reason, make = LEFT_OUT[case]
    member = member_of(tmp_path / secrets.word(), f"{secrets.word()}.dcm", make(secrets))
    ending, traces = watch(partial(decode_member, member, SETTINGS))
    assert ending == reason
    assert secrets.found_in(traces) == []


def test_an_unknown_modality_is_not_quoted(watch: Watch) -> None:
    secrets = Secrets()
    data = to_bytes(laden(secrets, Modality=secrets.word()))
    ending, traces = watch(partial(decode, data, "a.dcm", SETTINGS))
    assert ending == "other_modality"
    assert secrets.found_in(traces) == []


def test_a_word_that_begins_like_a_body_part_is_not_quoted(watch: Watch) -> None:
    secrets = Secrets()
    described = f"KNEE{secrets.word()}"
    data = to_bytes(laden(secrets, BodyPartExamined="", StudyDescription=described))
    ending, traces = watch(partial(decode, data, "a.dcm", SETTINGS))
    assert ending == "other_body_part"
    assert secrets.found_in(traces) == []


@pytest.mark.parametrize("name", ["{}.txt", "{}", "{}.jpg"])
def test_other_files_name_nobody(name: str, tmp_path: Path, watch: Watch) -> None:
    secrets = Secrets()
    data = f"A letter about {secrets.word()}".encode()
    member = member_of(tmp_path, name.format(secrets.word()), data)
    ending, traces = watch(partial(decode_member, member, SETTINGS))
    assert ending in ("not_an_image", "not_a_picture")
    assert secrets.found_in(traces) == []


@pytest.mark.parametrize("case", ["missing", "encrypted", "cut zip", "folder gone"])
def test_trouble_with_the_archive_names_nobody(case: str, tmp_path: Path, watch: Watch) -> None:
    secrets = Secrets()
    folder, inside = tmp_path / secrets.word(), f"{secrets.word()}/{secrets.word()}.dcm"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr(inside, to_bytes(laden(secrets)))
    data = bytearray(buffer.getvalue())
    if case == "encrypted":
        for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            data[data.index(signature) + offset] |= 1
    if case == "cut zip":
        del data[len(data) // 2 :]
    member = member_of(folder, f"{secrets.word()}.zip", bytes(data))
    if case == "missing":
        os.unlink(next(folder.iterdir()))
    if case == "folder gone":
        shutil.rmtree(folder)
    ending, traces = watch(partial(decode_member, member, SETTINGS))
    assert ending == ("missing_file" if case in ("missing", "folder gone") else "unreadable_file")
    assert secrets.found_in(traces) == []


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
def test_damaged_headers_name_nobody(syntax: str, watch: Watch) -> None:
    secrets = Secrets()
    data = to_bytes(laden(secrets), syntax)
    # A word that is cut short is searched for by its middle.
    secrets.values += [value[3:9] for value in secrets.values if value.isalpha()]
    rng = random.Random(5)
    header = len(data) - PIXELS.nbytes
    endings = set()
    for _ in range(250):
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(header)] = rng.randrange(256)
        if rng.random() < 0.3:
            del damaged[rng.randrange(len(data)) :]
        ending, traces = watch(partial(decode, bytes(damaged), "a.dcm", SETTINGS))
        assert secrets.found_in(traces) == []
        endings.add(ending)
    assert {"done", "truncated"} < endings


# --- plain pictures ---


def picture(kind: str, secrets: Secrets) -> bytes:
    """A grey picture with remarks in every place that its format has for them."""
    exif = Image.Exif()
    for tag in (0x010E, 0x010F, 0x0110, 0x013B, 0x8298, 0x9C9B, 0x0132):
        exif[tag] = secrets.word()
    exif.get_ifd(0x8769)[0x9286] = secrets.word().encode()
    options: dict[str, Any] = {"exif": exif}
    if kind == "PNG":
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_text("Comment", secrets.word())
        options["pnginfo"].add_text("Author", secrets.word(), zip=True)
        options["pnginfo"].add_itxt("Title", secrets.word(), "en", secrets.word())
    elif kind == "JPEG":
        options |= {"comment": secrets.word(), "xmp": f"<x>{secrets.word()}</x>".encode()}
    elif kind == "WEBP":
        options |= {"xmp": f"<x>{secrets.word()}</x>".encode(), "lossless": True}
    buffer = io.BytesIO()
    Image.fromarray(film(48, 40, bits=8)).save(buffer, kind, **options)
    return buffer.getvalue() + secrets.word().encode()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "cut"])
def test_remarks_in_pictures(kind: str, whole: bool, tmp_path: Path, watch: Watch) -> None:
    secrets = Secrets()
    data = picture(kind, secrets)
    assert len(secrets.found_in(data.lower())) >= 2
    name = f"{secrets.word()}/CXR{secrets.number()}_IM-{secrets.number()}-1001.{kind.lower()}"
    member = member_of(tmp_path / secrets.word(), name, data if whole else data[:-300])
    ending, traces = watch(partial(decode_member, member, SETTINGS))
    assert ending in (("done",) if whole else ("truncated", "undecodable_pixels", "done"))
    assert secrets.found_in(traces) == []


def test_thumbnails_carry_pixels_alone(watch: Watch) -> None:
    watch(partial(decode, to_bytes(laden(Secrets())), "a.dcm", SETTINGS))
    assert watch.image is not None
    assert watch.image.thumbnail is not None
    with Image.open(io.BytesIO(watch.image.thumbnail)) as thumbnail:
        thumbnail.load()
        assert not thumbnail.getexif()
        assert not {"exif", "xmp", "icc_profile", "comment"} & set(thumbnail.info)
