"""DICOM files and pictures made for tests: a synthetic film in any encoding."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

    from indexer.archive.decoding import DecodedImage, DecodeSettings
    from indexer.archive.sources.members import Member

__all__ = ["decode_member", "film", "gdcm_encoded", "make_dicom", "make_picture", "to_bytes"]

Array = npt.NDArray[Any]


def decode_member(member: Member, settings: DecodeSettings) -> DecodedImage:
    """Read and decode one file of an archive."""
    from indexer.archive.decoding import decode
    from indexer.archive.sources.members import read_member

    return decode(read_member(member, settings.limits.file_bytes), member.name, settings)


def film(rows: int = 120, columns: int = 100, bits: int = 12, seed: int = 0) -> Array:
    """A smooth, asymmetric grey image with a little noise that fills `bits`; uint8 or uint16."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:rows, 0:columns] / max(rows, columns)
    level = 0.5 + 0.25 * np.sin(5 * x + 2 * y) + 0.2 * np.cos(7 * y) * x
    level += rng.normal(0, 0.004, level.shape)
    top = 2**bits - 1
    dtype = np.uint8 if bits <= 8 else np.uint16
    pixels: Array = np.rint(np.clip(level, 0, 1) * top).astype(dtype)
    return pixels


def make_dicom(pixels: Array, bits: int = 12, **attributes: Any) -> Dataset:
    """A chest CR of `pixels`, explicit little endian; `attributes` override, None deletes."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    values: dict[str, Any] = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1",
        "SOPInstanceUID": "1.2.3.4.5",
        "StudyInstanceUID": "1.2.3.4",
        "SeriesInstanceUID": "1.2.3.4.1",
        "PatientName": "Secret^Person",
        "PatientID": "SECRET-17",
        "AccessionNumber": "ACC9",
        "StudyDate": "20190704",
        "Modality": "CR",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "SamplesPerPixel": 1 if pixels.ndim == 2 else 3,
        "PhotometricInterpretation": "MONOCHROME2" if pixels.ndim == 2 else "RGB",
        "BitsAllocated": 8 * pixels.dtype.itemsize,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(np.issubdtype(pixels.dtype, np.signedinteger)),
    }
    if pixels.ndim == 3:
        values["PlanarConfiguration"] = 0
    with warnings.catch_warnings():
        # Some tests write what the standard forbids, as the field does.
        warnings.simplefilter("ignore")
        for keyword, value in {**values, **attributes}.items():
            if value is not None:
                setattr(dataset, keyword, value)
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    dataset["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    return dataset


def to_bytes(dataset: Dataset, transfer_syntax: str | None = None) -> bytes:
    """The DICOM file of a dataset, rewritten in a native transfer syntax or compressed."""
    from pydicom.uid import UID, ExplicitVRBigEndian

    if transfer_syntax is not None:
        uid = UID(transfer_syntax)
        if uid.is_compressed and not uid.is_deflated:
            dataset.compress(uid, generate_instance_uid=False)
        dataset.file_meta.TransferSyntaxUID = uid
        if uid == ExplicitVRBigEndian and dataset.BitsAllocated == 16:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").byteswap().tobytes()
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def gdcm_encoded(dataset: Dataset, name: str, folder: Path) -> bytes:
    """The DICOM file of a dataset, compressed by gdcm to one of its transfer syntaxes."""
    import gdcm

    source, target = folder / "native.dcm", folder / f"{name}.dcm"
    source.write_bytes(to_bytes(dataset))
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, name)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return target.read_bytes()


def make_picture(pixels: Array, kind: str, **options: Any) -> bytes:
    """A picture file of (rows, columns[, channels]) `pixels`."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()
