"""The text of a report file, however it is written: encodings, RTF, HTML, HL7 messages."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

__all__ = ["NotAText", "ReportText", "read_text"]

# Text beyond this is no report: it would be read for findings sentence by sentence.
_LONGEST = 2**19
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_HTML = re.compile(r"<(?:!doctype|html|body|p|br|div|span|table|pre)\b[^<>]*>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:nbsp|amp|lt|gt|quot|apos|#\d{1,6}|#x[0-9a-f]{1,5});", re.IGNORECASE)
_BREAK = re.compile(r"<(?:/p|br|/div|/tr|/li|/h\d|/pre)\b[^<>]*>", re.IGNORECASE)
# An element that is never closed goes on to the end, as in a browser.
_NO_TEXT = re.compile(
    r"<(style|script|title)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", re.IGNORECASE | re.DOTALL
)
_TAG = re.compile(r"</?[a-z!][^<>]*>", re.IGNORECASE)
_HL7 = re.compile(r"[\s\x0b]*MSH(?P<field>[^\w\s])")
_HL7_TEXTS = frozenset({"TX", "FT", "ST", ""})
# Escape sequences of HL7 2.x, chapter 2.7: delimiters, line breaks, and highlighting to leave out.
_HL7_ESCAPE = re.compile(r"\\([A-Za-z.][^\\]{0,20}|[FSTRE])\\")
_HL7_PLAIN = {"F": "|", "S": "^", "T": "&", "R": "~", "E": "\\"}


class NotAText(ValueError):  # noqa: N818
    """A file holds no text that a report could be; what it is, in words."""


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
    if data.startswith(b"%PDF"):
        raise NotAText("a PDF: export the report as text")
    if data.startswith((b"PK\3\4", b"\xd0\xcf\x11\xe0")):
        raise NotAText("an Office document: export the report as text")
    text = _decoded(data)
    names: tuple[str, ...] = ()
    if text.lstrip().startswith("{\\rtf"):
        text = _of_rtf(text)
    elif match := _HL7.match(text):
        text, names = _of_hl7(text.strip("\x0b\x1c \r\n"), match["field"])
    elif _HTML.search(text):
        text = html.unescape(_TAG.sub(" ", _BREAK.sub("\n", _NO_TEXT.sub(" ", text))))
    elif _ENTITY.search(text):
        text = html.unescape(text)
    if len(text) > _LONGEST:
        raise NotAText(f"a text of {len(text)} characters; a report has at most {_LONGEST}")
    return ReportText(text, names)


def _decoded(data: bytes) -> str:
    for mark, coding in _BOMS:
        if data.startswith(mark):
            return data.decode(coding, "replace")
    if b"\0" in data:
        # Text in two bytes a letter without a mark: every other byte is zero.
        even, odd = data[::2].count(0), data[1::2].count(0)
        coding = "utf-16-le" if odd > even else "utf-16-be"
        if len(data) % 2 or max(even, odd) < 0.4 * len(data) or min(even, odd) > 0.05 * len(data):
            raise NotAText("not a text")
        return data.decode(coding, "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _of_rtf(text: str) -> str:
    from striprtf.striprtf import rtf_to_text

    try:
        return str(rtf_to_text(text, errors="replace"))  # type: ignore[no-untyped-call]
    except Exception as error:
        raise NotAText("a damaged RTF file") from error


def _of_hl7(message: str, field: str) -> tuple[str, tuple[str, ...]]:
    """What the observations of an HL7 2.x message say; never what it says of the patient."""
    lines, names, heading = [], [], ""
    for segment in re.split(r"[\r\n]+", message):
        fields = segment.split(field)
        if fields[0] == "OBX" and len(fields) > 5 and fields[2].strip() in _HL7_TEXTS:
            parts = [part.strip() for part in fields[3].split("^")[:2]]
            name = parts[-1] or parts[0]
            if name != heading and not name.startswith("&"):
                heading = name
                lines.append(f"{heading}:")
            lines += [_hl7_text(part) for part in fields[5].split("~")]
        elif fields[0] == "OBR":
            names += [fields[n].split("^")[0] for n in (2, 3, 18, 19, 20) if n < len(fields)]
        elif fields[0] == "ORC":
            names += [fields[n].split("^")[0] for n in (2, 3) if n < len(fields)]
        elif fields[0] == "ZDS" and len(fields) > 1:
            names.append(fields[1].split("^")[0])
    return "\n".join(lines), tuple(dict.fromkeys(n.strip() for n in names if n.strip()))


def _hl7_text(text: str) -> str:
    def replacement(match: re.Match[str]) -> str:
        sequence = match[1]
        if sequence in _HL7_PLAIN:
            return _HL7_PLAIN[sequence]
        if sequence[0] in "Xx" and re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", sequence[1:]):
            return bytes.fromhex(sequence[1:]).decode("cp1252", "replace")
        return "\n" if sequence.startswith((".br", ".sp")) else " "

    return _HL7_ESCAPE.sub(replacement, text)
