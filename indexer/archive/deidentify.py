"""What may leave an archive: an allow-list of metadata, and keyed hashes in place of every name.

Nothing else of a header is kept, private tags included. Pseudonyms are HMAC-SHA256 under a secret
key that stays with the user, so they cannot be reversed by hashing all possible numbers.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from indexer.archive.sources.names import stem

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = [
    "Identity",
    "Metadata",
    "Sex",
    "burned_in",
    "dicom_identity",
    "dicom_metadata",
    "fingerprint",
    "image_id",
    "open_i_uid",
    "picture_identity",
    "pseudonym",
]

Sex: TypeAlias = Literal["M", "F", "O"]

# Ages above 89 are grouped, as the HIPAA safe harbour (45 CFR 164.514(b)(2)) asks.
_GROUPED_AGE = 90
_FIRST_RADIOGRAPH = 1895
_AGE = re.compile(r"^(\d{1,3})([DWMY]?)$")
_DAYS = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25, "": 365.25}
_OPEN_I = re.compile(r"^(CXR\d+)_(?:\d+_)?IM-")
# View Position, C.8.1.1.1, and what is written there besides; free text may name anyone.
_VIEWS = frozenset(
    {"AP", "PA", "LL", "RL", "RLD", "LLD", "RLO", "LLO", "LAO", "RAO", "LPO", "RPO", "LATERAL"}
)
_VIEW_CODES = {
    "posteroanterior": "PA",
    "anteroposterior": "AP",
    "leftlateral": "LL",
    "rightlateral": "RL",
}


@dataclass(frozen=True, slots=True)
class Metadata:
    """All that is kept of a file's header.

    Parameters
    ----------
    view
        A defined term of View Position (``"PA"``, ``"AP"``, ``"LL"``, ``"RL"`` ...).
    sex
        ``"M"``, ``"F"`` or ``"O"``; None for anything else.
    age
        Years at the time of the study; 90 stands for all older ones.
    year
        Calendar year of the study.
    manufacturer
        Maker of the equipment.
    rows, columns
        Size in pixels of the image as shown, before it is scaled.
    format
        ``"DICOM"``, ``"JPEG"``, ``"PNG"`` ...
    transfer_syntax
        Name of the DICOM transfer syntax; None for plain pictures.
    burned_in
        Whether text is, or may be, burned into the image: no picture of it may be shown.
    mirrored
        Whether the stored pixels had to be flipped to put the patient's right on the left.
    notes
        What was not taken as the file has it (`indexer.archive.notes`).
    """

    view: str | None = None
    sex: Sex | None = None
    age: int | None = None
    year: int | None = None
    manufacturer: str | None = None
    rows: int = 0
    columns: int = 0
    format: str = "DICOM"
    transfer_syntax: str | None = None
    burned_in: bool = False
    mirrored: bool = False
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        return {name: getattr(self, name) for name in _FIELDS} | {"notes": list(self.notes)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Metadata:
        """The metadata that `to_json` turned into `data`."""
        # Databases made before version 0.3 have no notes.
        return cls(**{**data, "notes": tuple(data.get("notes", ()))})


_FIELDS = tuple(field.name for field in fields(Metadata))


@dataclass(frozen=True, slots=True)
class Identity:
    """Who and what an image is of, in pseudonyms.

    Parameters
    ----------
    study, patient
        12 hex digits each.
    report_keys
        Pseudonyms of the names under which a report may be filed, the most specific first.
    """

    study: str
    patient: str
    report_keys: tuple[str, ...]


def pseudonym(key: bytes, kind: str, value: str, length: int = 12) -> str:
    """The first `length` hex digits of HMAC-SHA256(key, ``kind:value``).

    Parameters
    ----------
    key
        The secret of `load_key`.
    kind
        What is named: ``"study"``, ``"patient"``, ``"report"``; equal values of two kinds differ.
    value
        The original name; blanks around it are no part of it.
    """
    message = f"{kind}:{value.strip()}".encode("utf-8", "surrogatepass")
    return hmac.digest(key, message, "sha256").hex()[:length]


def image_id(key: bytes, digest: bytes) -> str:
    """16 hex digits that name an image by the `digest` of its pixels."""
    return hmac.digest(key, b"image:" + digest, "sha256")[:8].hex()


def fingerprint(key: bytes) -> str:
    """8 hex digits by which a database tells whether it was made with this key."""
    return hashlib.sha256(b"cxrdex key:" + key).hexdigest()[:8]


def open_i_uid(name: str) -> str | None:
    """``"CXR<uid>"`` of an Open-i picture's name (``CXR12_1_IM-0100-1001.png``), else None."""
    match = _OPEN_I.match(stem(name))
    return match[1] if match else None


def picture_identity(key: bytes, name: str, image: str) -> Identity:
    """Identity of a plain picture: its Open-i uid, else the image stands for itself.

    Parameters
    ----------
    image
        The image id.
    """
    uid = open_i_uid(name)
    study = pseudonym(key, "study", uid if uid else f"image:{image}")
    return Identity(study, study, _report_keys(key, name, []))


def dicom_identity(key: bytes, header: Dataset, name: str, image: str) -> Identity:
    """Identity of a DICOM image: study by Study Instance UID, patient by issuer and Patient ID.

    Without a Patient ID the study stands for the patient; without both, the image does.
    """
    uid = _text(header, "StudyInstanceUID")
    study = pseudonym(key, "study", uid or f"image:{image}")
    number = _text(header, "PatientID")
    issuer = _text(header, "IssuerOfPatientID")
    owner = f"{issuer}\0{number}" if number else f"study:{study}"
    numbers = [_text(header, k) for k in ("SOPInstanceUID", "StudyInstanceUID", "AccessionNumber")]
    return Identity(study, pseudonym(key, "patient", owner), _report_keys(key, name, numbers))


def original_study_uid(header: Dataset) -> str:
    """The Study Instance UID itself, for viewers that know no pseudonyms; never kept or logged."""
    return _text(header, "StudyInstanceUID")


def _report_keys(key: bytes, name: str, numbers: list[str]) -> tuple[str, ...]:
    # Here: searches need `Metadata` alone, and nothing that opens zip and tar files.
    from indexer.archive.report_files.names import image_names

    names = image_names(name, [number for number in numbers if number])
    return tuple(dict.fromkeys(pseudonym(key, "report", n) for n in names if n))


_SAYS_NOTHING = frozenset({"", "UNKNOWN", "UNK", "U", "?"})


def burned_in(header: Dataset, capture: bool, strict: bool = False) -> bool:
    """Whether text may be burned into an image, by what its header says.

    Parameters
    ----------
    capture
        Whether it is a secondary capture: scans and screenshots show names as often as not.
    strict
        Take every image for one that may have text, unless its header says NO.

    Returns
    -------
    bool
        True where Burned In Annotation says anything but no (``YES``, ``Y``, ``YES\\NO``, ``JA``),
        and where it says nothing, or that it is unknown, of a capture.
    """
    value = _read(lambda: header.get("BurnedInAnnotation"), None)
    parts = [value] if isinstance(value, str) or value is None else list(value)
    words = {str(part or "").strip("\0 \t\r\n").upper() for part in parts}
    words = {word for part in words for word in part.split("\\")}
    # No begins so in most languages; in others, and in habits of makers, yes may be any word.
    if any(word[:1] not in ("N", "F", "0") for word in words - _SAYS_NOTHING):
        return True
    return (capture or strict) and words != {"NO"}


def dicom_metadata(
    header: Dataset, rows: int, columns: int, transfer_syntax: str, mirrored: bool
) -> Metadata:
    """The allow-listed part of a DICOM header; malformed values count as unknown."""
    sex = _text(header, "PatientSex").upper()
    known: dict[str, Sex] = {"M": "M", "F": "F", "O": "O"}
    return Metadata(
        view=_view(header),
        sex=known.get(sex),
        age=_age(header),
        year=_year(header),
        manufacturer=" ".join(_text(header, "Manufacturer").split())[:64] or None,
        rows=rows,
        columns=columns,
        format="DICOM",
        transfer_syntax=transfer_syntax,
        mirrored=mirrored,
    )


def _text(header: Dataset, keyword: str) -> str:
    return str(_read(lambda: str(header.get(keyword) or "").strip("\0 \t\r\n"), ""))


def _read(value: Callable[[], Any], default: Any) -> Any:
    # pydicom converts a value when it is first asked for: a malformed one fails only here.
    try:
        return value()
    except (ValueError, TypeError, NotImplementedError, KeyError, AttributeError, OverflowError):
        return default


def _view(header: Dataset) -> str | None:
    view = _text(header, "ViewPosition").upper()
    view = "LATERAL" if view == "LAT" else view
    if view in _VIEWS:
        return view
    meaning = _read(lambda: str(header.ViewCodeSequence[0].CodeMeaning), "").casefold()
    return _VIEW_CODES.get("".join(c for c in meaning if c.isalpha()))


def _age(header: Dataset) -> int | None:
    match = _AGE.match(_text(header, "PatientAge").upper())
    if match:
        years = int(int(match[1]) * _DAYS[match[2]] / _DAYS["Y"] + 1e-9)
        return min(years, _GROUPED_AGE)
    born, seen = _date(header, "PatientBirthDate"), _date(header, "StudyDate")
    if not born or not seen or seen < born:
        return None
    years = seen[0] - born[0] - (seen[1:] < born[1:])
    return min(years, _GROUPED_AGE) if years <= 130 else None


def _year(header: Dataset) -> int | None:
    for keyword in ("StudyDate", "AcquisitionDate", "ContentDate"):
        date = _date(header, keyword)
        if date:
            return date[0]
    return None


def _date(header: Dataset, keyword: str) -> tuple[int, int, int] | None:
    # YYYYMMDD, or the YYYY.MM.DD of ACR-NEMA that PS3.5 6.2 asks readers to accept.
    digits = _text(header, keyword).replace(".", "").replace("-", "")
    if len(digits) != 8 or not digits.isascii() or not digits.isdigit():
        return None
    date = int(digits[:4]), int(digits[4:6]), int(digits[6:])
    if date[0] < _FIRST_RADIOGRAPH or not 1 <= date[1] <= 12 or not 1 <= date[2] <= 31:
        return None
    return date
