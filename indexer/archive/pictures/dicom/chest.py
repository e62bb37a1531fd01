"""Whether a DICOM object, by its header, is a chest radiograph meant for viewing."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Literal, TypeAlias

from indexer.archive.pictures.dicom.elements import quiet, text, texts
from indexer.errors import FailedImage, SkippedImage

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["RADIOGRAPHS", "BodyRegion", "body_region", "is_capture", "require_chest"]

#: The body region that a name means; None if the name means nothing known.
BodyRegion: TypeAlias = Literal["chest", "elsewhere"] | None

_STORAGE = "1.2.840.10008.5.1.4.1.1."
#: SOP classes of computed and digital radiographs.
RADIOGRAPHS = frozenset(_STORAGE + end for end in ("1", "1.1", "1.1.1"))
_RAW_DX = _STORAGE + "1.1.1"
_CAPTURES = frozenset(_STORAGE + end for end in ("7", "7.1", "7.2", "7.3", "7.4"))

# Defined terms of Modality, C.7.3.1.1.1: nothing else that stands there is quoted.
_MODALITY = re.compile(
    r"AR|AU|BI|BMD|CFM|CR|CT|DG|DMS|DX|ECG|EEG|EMG|EOG|EPS|ES|FID|GM|HC|HD|IO|IOL|IVOCT|IVUS|KER|KO"
    r"|LEN|LS|M3D|MG|MR|NM|OAM|OCT|OP|OPM|OPT|OPTBSV|OPTENF|OPV|OSS|OT|PA|PLAN|POS|PR|PT|PX|REG"
    r"|RESP|RF|RG|RT(?:DOSE|IMAGE|INTENT|PLAN|RAD|RECORD|SEGANN|STRUCT)|RWV|SEG|SM|SMR|SR|SRF|STAIN"
    r"|TEXTUREMAP|TG|US|VA|XA|XAPROTOCOL|XC"
)
# Other spellings that stand for CR and DX.
_RADIOGRAPHY_SYNONYMS = frozenset({"DR", "RG", "XR", "XRAY", "X-RAY", "CR/DX", "CXR"})
# SNOMED codes of Anatomic Region (CID 4031): thorax, lung, chest wall and their old SRT codes.
_CHEST_CODES = frozenset(
    {"51185008", "39607008", "816094009", "78904004", "113197003", "302551006", "43799004"}
    | {"T-D3000", "T-28000", "T-D3050", "T-11300", "R-FAB57"}
)
# Alone, or with nothing but a side or view, it is a hand in French; elsewhere it may be English.
_MAIN = re.compile(r"mains?(?: (?:d|dte|droite|g|gche|gauche|bilat\w*|face|profil))*")
# How a patient was held says nothing of what is shown: "AP supine, arms up".
_POSITION = re.compile(
    r"\b(?:arms?|hands?|head|legs?|feet|foot)(?: (?:at|by|on|of|over|behind))?"
    r" (?:up|down|raised|overhead|above|first|elevated|abducted|sides?|hips|bed|head)\b"
    r"|\bhand ?held\b"
)
_SERIES = (
    "SeriesDescription",
    "ProtocolName",
    "AcquisitionDeviceProcessingDescription",
    "PerformedProcedureStepDescription",
    "AcquisitionProtocolDescription",
)
_STUDY = ("StudyDescription", "RequestedProcedureDescription")
# Code Strings are ASCII; what is written there all the same arrives as bytes read as Latin-1.
_CODINGS = ("utf-8", "shift_jis", "gb18030", "euc_kr", "cp1251", "cp1253", "cp1250")


def require_chest(header: Dataset) -> tuple[str, ...]:
    """Let pass what, by its header, is a chest radiograph meant for viewing.

    Computed and digital radiographs and secondary captures (modality SC or OT with a Secondary
    Capture class) pass, the modality being taken from the SOP class where it is missing. The body
    part is Body Part Examined, else Anatomic Region, else what a description of the series, else of
    the study names. A word that is not known decides nothing: an image of which no word does
    passes. Where the descriptions contradict Body Part Examined, which consoles fill in by
    themselves, both descriptions together weigh more; one of them is noted.

    Returns
    -------
    tuple
        Notes (`indexer.archive.notes`) on what was found.

    Raises
    ------
    SkippedImage
        ``no_pixels``, ``other_modality``, ``raw_for_processing`` or ``other_body_part``.
    FailedImage
        ``truncated``: a radiograph that ends before its size.
    """
    if "Rows" not in header and "Columns" not in header:
        if text(header, "SOPClassUID") in RADIOGRAPHS:
            raise FailedImage("truncated", "the header of a radiograph that ends before its size")
        raise SkippedImage("no_pixels", "a DICOM object without an image")
    with quiet():
        return (*_require_radiograph(header), *_require_place(header))


def is_capture(header: Dataset) -> bool:
    """Whether an image is a secondary capture: a scan, a screenshot, or a picture of one."""
    captured = text(header, "ConversionType").upper() not in ("", "DI")
    return (
        text(header, "SOPClassUID") in _CAPTURES
        or text(header, "Modality").upper() in ("OT", "SC")
        or captured
    )


def _require_radiograph(header: Dataset) -> tuple[str, ...]:
    modality, sop_class = text(header, "Modality").upper(), text(header, "SOPClassUID")
    capture = sop_class in _CAPTURES and modality in ("", "OT", "SC")
    known = _MODALITY.fullmatch(modality)
    # A word that DICOM does not define decides nothing where the class says what it is.
    loosely = (
        modality in _RADIOGRAPHY_SYNONYMS
        and (sop_class in RADIOGRAPHS | _CAPTURES or not sop_class)
    ) or (modality != "" and not known and sop_class in RADIOGRAPHS)
    unstated = not modality and (sop_class in RADIOGRAPHS or not sop_class)
    if not (capture or loosely or unstated or modality in ("CR", "DX", "SC")):
        description = f"modality {modality}" if known else "a modality that DICOM does not define"
        description = description if modality else "an object of another class than radiographs"
        raise SkippedImage(
            "other_modality", f"{description}; CR, DX and secondary captures are indexed"
        )
    if sop_class == _RAW_DX or text(header, "PresentationIntentType").upper() == "FOR PROCESSING":
        raise SkippedImage(
            "raw_for_processing", "raw detector data; its FOR PRESENTATION image is indexed"
        )
    return ("modality_loosely_named",) if loosely else ()


def _require_place(header: Dataset) -> tuple[str, ...]:
    examined = text(header, "BodyPartExamined")
    stated = "elsewhere" if _MAIN.fullmatch(_plain(examined)) else body_region(_readings(examined))
    stated = stated or _region(header)
    series, study = (_described(header, keywords) for keywords in (_SERIES, _STUDY))
    if stated == "chest":
        if series == study == "elsewhere":
            raise _other_part("its descriptions name another part than Body Part Examined")
        return ("tags_disagree",) if "elsewhere" in (series, study) else ()
    if stated == "elsewhere":
        if series != "chest":
            raise _other_part("Body Part Examined or the anatomic region names another part")
        return ("tags_disagree",)
    if (series or study) == "elsewhere":
        raise _other_part("its description names another part")
    return ()


def _other_part(why: str) -> SkippedImage:
    return SkippedImage("other_body_part", f"{why}; only chest radiographs are indexed")


def _region(header: Dataset) -> BodyRegion:
    for keyword in ("AnatomicRegionSequence", "PrimaryAnatomicStructureSequence"):
        for item in header.get(keyword) or ():
            if text(item, "CodeValue") in _CHEST_CODES:
                return "chest"
            place = body_region(_readings(text(item, "CodeMeaning")))
            if place:
                return place
    return None


def _described(header: Dataset, keywords: Iterable[str]) -> BodyRegion:
    """What the first description says that names a part."""
    found = (body_region(texts(header, keyword)) for keyword in keywords)
    return next((place for place in found if place), None)


def _readings(name: str) -> list[str]:
    """A code string as it is, and what its bytes are in the codings that people use there."""
    readings = [name]
    if not name.isascii():
        for coding in _CODINGS:
            try:
                readings.append(name.encode("latin-1").decode(coding))
            except UnicodeError:
                continue
    return readings


def body_region(names: Iterable[str]) -> BodyRegion:
    """Where the first of some names that says so was taken; the chest, if it names that at all."""
    patterns = _patterns()
    for name in names:
        plain = _POSITION.sub(" ", _plain(name))
        if patterns["spine"].search(plain):
            return "elsewhere"
        if patterns["chest"].search(plain):
            return "chest"
        if patterns["elsewhere"].search(plain):
            return "elsewhere"
    return None


def _plain(name: str) -> str:
    letters = unicodedata.normalize("NFKD", name.casefold())
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    # Hangul is taken apart by NFKD, and is written whole in the lists.
    return " ".join(re.sub(r"[\W_]+", " ", unicodedata.normalize("NFC", bare)).split())


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    data = resources.files("indexer.archive.pictures.dicom") / "body_parts.toml"
    lists = tomllib.loads(data.read_text("utf-8"))
    return {place: _pattern(**words) for place, words in lists.items()}


def _pattern(stems: list[str], words: list[str], signs: list[str]) -> re.Pattern[str]:
    def either(names: list[str]) -> str:
        return "|".join(re.escape(_plain(name)).replace(r"\ ", " ") for name in names)

    # Digits and side letters may be written on without a blank: "CHEST2", "LTHORAX".
    return re.compile(rf"(?<![^\W\d_])(?:{either(stems)})|\b(?:{either(words)})\b|{either(signs)}")
