"""Nothing of a header comes out of files that are left out, nor of plain pictures."""

from __future__ import annotations

import io
import os
import random
import shutil
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from indexer.archive.decoding import decode
from tests.archive.conftest import (
    PIXELS,
    SETTINGS,
    Secrets,
    Watch,
    laden,
    write_member,
)
from tests.archive.making import decode_member, film, to_bytes

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def changed(**attributes: Any) -> Callable[[Secrets], bytes]:
    return lambda secrets: to_bytes(laden(secrets, **attributes))


def as_colour(secrets: Secrets) -> bytes:
    dataset = laden(secrets, SamplesPerPixel=3, PhotometricInterpretation="RGB", BitsAllocated=8)
    dataset.BitsStored, dataset.HighBit, dataset.PlanarConfiguration = 8, 7, 0
    dataset.PixelData = np.random.default_rng(1).bytes(PIXELS.size * 3)
    return to_bytes(dataset)


def as_clip(secrets: Secrets) -> bytes:
    dataset = laden(secrets, NumberOfFrames=7)
    dataset.PixelData *= 7
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
    "clip": ("multi_frame", as_clip),
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
    "odd samples": ("contradictory_header", changed(SamplesPerPixel=2, Rows=PIXELS.shape[0] // 2)),
}


def blank(dataset: Dataset) -> Dataset:
    dataset.PixelData = bytes(len(dataset.PixelData))
    return dataset


@pytest.mark.parametrize("case", LEFT_OUT)
def test_reasons_name_nobody(case: str, tmp_path: Path, watch: Watch) -> None:
    secrets = Secrets()
    reason, make = LEFT_OUT[case]
    member = write_member(tmp_path / secrets.word(), f"{secrets.word()}.dcm", make(secrets))
    ending, traces = watch(partial(decode_member, member, SETTINGS))
    assert ending == reason
    assert secrets.found_in(traces) == []


@pytest.mark.parametrize(
    ("sop_class", "expected"),
    [
        pytest.param("1.2.840.10008.5.1.4.1.1.1.1", "done", id="radiograph"),
        pytest.param("1.2.840.10008.5.1.4.1.1.7", "other_modality", id="capture"),
    ],
)
def test_an_unknown_modality_is_not_quoted(watch: Watch, sop_class: str, expected: str) -> None:
    secrets = Secrets()
    data = to_bytes(laden(secrets, Modality=secrets.word(), SOPClassUID=sop_class))
    ending, traces = watch(partial(decode, data, "a.dcm", SETTINGS))
    assert ending == expected
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
    member = write_member(tmp_path, name.format(secrets.word()), data)
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
    member = write_member(folder, f"{secrets.word()}.zip", bytes(data))
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
    member = write_member(tmp_path / secrets.word(), name, data if whole else data[:-300])
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
