"""What a file is that holds no picture: the reason why it is left out, and what to do about it."""

from __future__ import annotations

import re

from indexer import advice
from indexer.archive.sources.names import unpacked_name
from indexer.errors import FailedImage, ImageError, SkippedImage

__all__ = ["refusal"]

_DICOM_NAME = re.compile(r"\.(dcm|dicom|dic|ima)$", re.IGNORECASE)
_PICTURE_NAME = re.compile(r"\.(png|jpe?g|tiff?|webp|bmp|jp2|j2k)$", re.IGNORECASE)
_INNER_ZIP = re.compile(r"!/.*\.zip$", re.IGNORECASE)
# First bytes of other kinds of files, what the file is, and what to do.
_KINDS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file: fetch it with `git lfs pull`"),
    (b"%PDF", "a PDF: export its pictures"),
    (b"PK\3\4", "a zip file: unpack it, or give it a name that ends with .zip"),
    (b"\x1f\x8b", "packed by gzip, more than once or damaged: unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z file: unpack it"),
    (b"Rar!", "a RAR file: unpack it"),
    (b"\xd0\xcf\x11\xe0", "an Office document"),
    (b"GIF8", "a GIF: films are sent as DICOM, PNG, JPEG or TIFF"),
    (b"\x28\xb5\x2f\xfd", "packed by Zstandard: unpack it"),
    (b"\x04\x22\x4d\x18", "packed by LZ4: unpack it"),
    (b"\x1f\x9d", "packed by compress: unpack it"),
    (b"MSCF", "a cabinet file: unpack it"),
    (b"PK\x07\x08", "a part of a zip file in several parts: put them together and unpack them"),
    (b"-----BEGIN PGP", "encrypted: decrypt it"),
    (b"8BPS", "a Photoshop file: save it as PNG or TIFF"),
    (b"\xff\x0a", "a JPEG XL picture: save it as JPEG or PNG"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture: save it as JPEG or PNG"),
    (b"<svg", "a drawing (SVG)"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"NRRD0", "an NRRD volume"),
    (b"\x89HDF", "an HDF5 file"),
    (b"SQLite format 3", "a database"),
    (b"{\\rtf", "a text (RTF)"),
    (b"MSH|", f"an HL7 message: {advice.NAME_REPORTS}"),
    (b"\x5c\x01\x10\0", "a NIfTI volume"),
)
# Brands of the ISO base media format that are pictures; its others are videos.
_PICTURE_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif")
# Where an image of a disc says what it is.
_DISC = 32769
_HTML = re.compile(rb"\s*(?:\xef\xbb\xbf)?<(?:!doctype html|html|head|body)", re.IGNORECASE)
_XML = re.compile(rb"\s*(?:\xef\xbb\xbf)?<\?xml")


def refusal(data: bytes, name: str) -> ImageError:
    """The error for a file whose content is no picture that is known.

    Parameters
    ----------
    data
        Its content.
    name
        Its name: a file that is called an image, but is none, has failed.
    """
    name = unpacked_name(name)
    called = _DICOM_NAME.search(name) or _PICTURE_NAME.search(name)
    if called is None:
        kind = _known_kind(data)
        if kind is not None and _INNER_ZIP.search(name) and data.startswith(b"PK"):
            kind = "a zip file in more others than are opened, or too large there: unpack it"
        message = f"{kind}; neither DICOM" if kind else "neither DICOM"
        return SkippedImage("not_an_image", f"{message} nor a known picture format")
    suffix = called[0].lower()
    if not data:
        return FailedImage("truncated", f"an empty file called {suffix}")
    if not data.strip(b"\0"):
        return FailedImage("truncated", f"called {suffix}, but it holds nothing but zeros")
    kind = _known_kind(data)
    if _DICOM_NAME.search(name):
        return FailedImage("not_dicom", f"called {suffix}, but it is {kind or 'not DICOM'}")
    return FailedImage(
        "not_a_picture", f"called {suffix}, but it is {kind or 'no picture of a known format'}"
    )


def _known_kind(data: bytes) -> str | None:
    if _HTML.match(data[:200]):
        return "a web page, as servers send in place of a file: fetch the file again"
    if _XML.match(data[:200]):
        return "an XML file"
    if data[4:8] == b"ftyp":
        picture = data[8:12] in _PICTURE_BRANDS
        return "a HEIC or AVIF picture: save it as JPEG or PNG" if picture else "a video"
    if data[_DISC:].startswith(b"CD001"):
        return "an image of a disc (ISO 9660): unpack it, or mount it and name its folder"
    return next((kind for start, kind in _KINDS if data.startswith(start)), None)
