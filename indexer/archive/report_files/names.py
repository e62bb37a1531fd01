"""Under which names a report is filed, and under which an image looks for it: in pseudonyms.

Both sides write names in one way, so that ``A1/8`` meets ``A1_8.txt`` and ``12345`` meets
``00012345.txt``. Names that many files may have, such as ``IM1``, count together with their folder.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from indexer.archive.sources.containers import NESTED
from indexer.archive.sources.names import stem

__all__ = ["image_names", "is_distinctive", "report_names"]

_UID = re.compile(r"\d+(?:\.\d+){2,}")
_SEPARATORS = re.compile(r"[\s_\-/\\^:]+")
# Suffixes that people add to the name of what a report is about.
_REPORT_SUFFIX = re.compile(
    r"[._ -](?:report|rpt|txt|befund|findings?|text|radiology)$", re.IGNORECASE
)
# Numbers of at least this many digits do not match by chance.
_DIGITS = 5
# Up to this many parent folders tell files of the same name apart.
_FOLDERS = 3


def written(name: str) -> str:
    """A name as both sides write it: a UID as it is, else in lower case, without leading zeros."""
    name = unicodedata.normalize("NFC", name.strip()).casefold()
    if _UID.fullmatch(name):
        return name
    plain = _SEPARATORS.sub("_", name).strip("_")
    return plain.lstrip("0") or plain if plain.isdigit() else plain


def is_distinctive(name: str) -> bool:
    """Whether a name says by itself what it is of: a number of some length, or a UID."""
    return sum(letter.isdigit() for letter in name) >= _DIGITS


def report_names(path: str) -> Iterator[tuple[str, bool]]:
    """Names under which a report file is filed, and whether they count in all folders.

    Parameters
    ----------
    path
        POSIX path inside the report folder.
    """
    own = stem(path)
    folders = _folders(path)
    names = dict.fromkeys(
        [own, stem(own), _REPORT_SUFFIX.sub("", own), stem(_REPORT_SUFFIX.sub("", own))]
    )
    for name in names:
        yield name, not folders or is_distinctive(name)
        yield written(name), not folders or is_distinctive(name)
        if folders:
            yield f"{written(folders[-1])}/{written(name)}", True


def image_names(path: str, numbers: list[str]) -> Iterator[str]:
    """Names under which the report of an image may be filed, the most specific first.

    Parameters
    ----------
    path
        POSIX path of its file inside the archive.
    numbers
        SOP Instance UID, Study Instance UID and Accession Number, as far as there are any.
    """
    own, folders = stem(path), _folders(path)
    if folders:
        yield f"{written(folders[-1])}/{written(own)}"
    for number in (own, *numbers):
        yield number
        yield written(number)
    # A report next to its study's folder (MIMIC-CXR), or named like that folder.
    for above, folder in zip(folders[-2::-1], folders[:0:-1], strict=False):
        yield f"{written(above)}/{written(folder)}"
    for folder in folders[::-1]:
        if is_distinctive(folder):
            yield written(folder)
    # Some collections call all their pictures alike (``patient00001/study1/view1_frontal.jpg``).
    for depth in range(1, min(len(folders), _FOLDERS) + 1):
        yield "/".join((*folders[-depth:], own))


def _folders(path: str) -> list[str]:
    return [part for part in path.replace(NESTED, "/").split("/")[:-1] if part.strip(".")]
