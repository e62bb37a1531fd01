"""The text of a report file, however it is written: encodings, RTF, HTML, HL7 messages."""

from __future__ import annotations

import re
from dataclasses import dataclass

from indexer.archive.report_files.codings import NotAText
from indexer.archive.report_files.hl7 import BEGINNING, read_message
from indexer.archive.report_files.markup import of_document, plain

__all__ = ["NotAText", "ReportText", "read_text"]

# Text beyond this is no report: it would be read for findings sentence by sentence.
_LONGEST = 2**19
_UNSEEN = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")
# A message in the midst of something else names a patient, too.
_HL7_WITHIN = re.compile(r"(?:^|[\r\n\x0b])[ \t]{0,8}(?:MSH|PID)\|")


@dataclass(frozen=True, slots=True)
class ReportText:
    """A report's text, and under which numbers a message files it.

    Parameters
    ----------
    text
        Plain text, one line each.
    names
        Accession and order numbers, and study UIDs, of an HL7 message; none of other files.
    """

    text: str
    names: tuple[str, ...] = ()


def read_text(data: bytes) -> ReportText:
    """The text in a report file.

    Raises
    ------
    NotAText
        It is binary, or longer than any report.
    """
    text = of_document(data)
    names: tuple[str, ...] = ()
    is_message = BEGINNING.match(text)
    if is_message:
        text, names = read_message(text)
    if _HL7_WITHIN.search(text):
        raise NotAText("HL7 segments without their message's first one")
    if not is_message:
        text = plain(text)
    if len(text) > _LONGEST:
        raise NotAText(f"a text of {len(text)} characters; a report has at most {_LONGEST}")
    # Signs that only say where a word may be broken would part it from what it means.
    return ReportText(_UNSEEN.sub("", text), names)
