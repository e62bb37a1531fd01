"""The text of a report file, however it is written: encodings, RTF, HTML, HL7 messages."""

from __future__ import annotations

import codecs
import html
import re
from dataclasses import dataclass, field

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
# So many bytes tell how a text is coded.
_TOLD_BY = 2**14
_LETTERS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
# Codings beside the Western one, and what is common in texts of them: small Cyrillic and Greek
# letters, Hangul, Japanese with its syllables, and the signs that a Chinese report needs.
_JAPANESE = re.compile(
    r"[\u3041-\u3096\u30a1-\u30fc\u3001\u3002]+[\u4e00-\u9fff]*|[\u4e00-\u9fff]+(?=[\u3041-\u30fc])"
)
_COMMON = {
    "shift_jis": _JAPANESE,
    "euc_jp": _JAPANESE,
    "euc_kr": re.compile(r"[\uac00-\ud7a3]+"),
    "gb18030": re.compile(
        "[未见心肺双侧左右影增大胸腔积液气纹理清晰正常无及纵隔膈肌光整骨质异结节炎症片密度高于的与示查所印象诊断]+"
    ),
    "cp1251": re.compile("[а-яё]+"),
    "koi8-r": re.compile("[а-яё]+"),
    "cp1253": re.compile("[ά-ώ]+"),
}
_HTML = re.compile(r"<(?:!doctype|html|body|p|br|div|span|table|pre)\b[^<>]*>", re.IGNORECASE)
_XML = re.compile(r"\s*<\?xml\b(?!.{0,400}?<(?:!doctype html|html)\b)", re.IGNORECASE | re.DOTALL)
_ENTITY = re.compile(r"&(?:nbsp|amp|lt|gt|quot|apos|#\d{1,6}|#x[0-9a-f]{1,5});", re.IGNORECASE)
_BREAK = re.compile(r"<(?:/p|br|/div|/tr|/li|/h\d|/pre)\b[^<>]*>", re.IGNORECASE)
# An element that is never closed goes on to the end, as in a browser.
_NO_TEXT = re.compile(
    r"<(style|script|title)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", re.IGNORECASE | re.DOTALL
)
# Tags that stand inside a word or sentence, and are no blank.
_INLINE = re.compile(
    r"</?(?:a|abbr|b|em|font|i|mark|s|small|span|strong|sub|sup|u|wbr)\b[^<>]*>", re.IGNORECASE
)
# Between two cells of a row.
_CELLS = re.compile(r"</t[dh]>\s*<t[dh]\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z!][^<>]*>", re.IGNORECASE)
_HL7 = re.compile(r"[\s\x0b]*(?:MSH|[FB]HS)(?P<field>[^\w\s])")
# A message in the midst of something else names a patient, too.
_HL7_WITHIN = re.compile(r"(?:^|[\r\n\x0b])[ \t]{0,8}(?:MSH|PID)\|")
_JSON = re.compile(r"\s*[{\[]\s*[\"{\[]")
# Observation results that are deleted, wrong, or not there yet.
_HL7_VOID = frozenset({"D", "W", "X", "N", "O", "I"})
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
        text, names = _of_hl7(text, match["field"])
    elif _HL7_WITHIN.search(text):
        raise NotAText("HL7 segments without their message's first one")
    elif _XML.match(text):
        raise NotAText("an XML file: export the report as text")
    elif _JSON.match(text) and text.rstrip().endswith(("}", "]")):
        raise NotAText("a JSON file: export the report as text")
    elif _HTML.search(text):
        text = _of_html(text)
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
        return data.decode(_coding(data), "replace")


def _coding(data: bytes) -> str:
    """The coding that gives the letters which are common in the languages that use it."""
    data = data[:_TOLD_BY]
    beyond = sum(byte > 0x7F for byte in data)
    letters = sum(byte in _LETTERS for byte in data)
    # Western texts have but some letters beyond ASCII.
    if beyond < 0.3 * (beyond + letters):
        return "cp1252"
    shares = {coding: _share(data, coding, common) for coding, common in _COMMON.items()}
    best = max(shares, key=lambda coding: shares[coding])
    return best if shares[best] > 0.6 else "cp1252"


def _share(data: bytes, coding: str, common: re.Pattern[str]) -> float:
    """How much of what is not ASCII is common."""
    try:
        text = codecs.getincrementaldecoder(coding)().decode(data)
    except UnicodeDecodeError:
        return 0.0
    other = "".join(letter for letter in text if not letter.isascii())
    return sum(map(len, common.findall(other))) / max(len(other), 1)


def _of_html(text: str) -> str:
    shown = _CELLS.sub(": ", _BREAK.sub("\n", _INLINE.sub("", _NO_TEXT.sub(" ", text))))
    return html.unescape(_TAG.sub(" ", shown))


def _of_rtf(text: str) -> str:
    from striprtf.striprtf import rtf_to_text

    try:
        return str(rtf_to_text(text, errors="replace"))  # type: ignore[no-untyped-call]
    except Exception as error:
        raise NotAText("a damaged RTF file") from error


def _of_hl7(message: str, bar: str) -> tuple[str, tuple[str, ...]]:
    """What the observations of an HL7 2.x message say; never what it says of the patient.

    One file is one report: of several messages, and of one on several orders that each have a
    text, none is taken.
    """
    orders = [_Order()]
    messages = 0
    for segment in re.split(r"[\r\n\x0b\x1c]+", message):
        fields = segment.split(bar)
        if fields[0] == "MSH":
            messages += 1
        elif fields[0] == "OBX" and len(fields) > 5:
            orders[-1].observe(fields)
        elif fields[0] in ("OBR", "ORC"):
            numbers = (2, 3, 18, 19, 20) if fields[0] == "OBR" else (2, 3)
            if fields[0] == "OBR" and orders[-1].lines:
                orders.append(_Order())
            orders[-1].names += [fields[n].split("^")[0] for n in numbers if n < len(fields)]
        elif fields[0] == "ZDS" and len(fields) > 1:
            orders[0].names.append(fields[1].split("^")[0])
    if messages > 1:
        raise NotAText("several HL7 messages: write each to a file of its own")
    written = [order for order in orders if order.lines]
    if not written:
        raise NotAText("an HL7 message without a text")
    named = [{n.strip() for n in order.names if n.strip()} for order in written]
    if any(named[0].isdisjoint(other) for other in named[1:]):
        raise NotAText("an HL7 message on several orders: write each to a file of its own")
    names = (n.strip() for order in orders for n in order.names if n.strip())
    return "\n".join(line for o in written for line in o.lines), tuple(dict.fromkeys(names))


@dataclass(slots=True)
class _Order:
    """What a message says of one order."""

    lines: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    _heading: str = ""

    def observe(self, fields: list[str]) -> None:
        """Take the fields of an OBX segment."""
        void = len(fields) > 11 and fields[11].strip() in _HL7_VOID
        if void or fields[2].strip() not in _HL7_TEXTS:
            return
        parts = [part.strip() for part in fields[3].split("^")[:2]]
        name = parts[-1] or parts[0]
        if name != self._heading and not name.startswith("&"):
            self._heading = name
            self.lines.append(f"{name}:")
        whole = fields[5]
        if whole.lstrip().startswith(("{\\rtf", "\\E\\rtf", "{\\E\\rtf")):
            self.lines.append(_of_rtf(whole.replace("\\E\\", "\\")))
            return
        texts = [_hl7_text(part) for part in whole.split("~")]
        self.lines += [_of_html(text) if _HTML.search(text) else text for text in texts]


def _hl7_text(text: str) -> str:
    def replacement(match: re.Match[str]) -> str:
        sequence = match[1]
        if sequence in _HL7_PLAIN:
            return _HL7_PLAIN[sequence]
        if sequence[0] in "Xx" and re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", sequence[1:]):
            return bytes.fromhex(sequence[1:]).decode("cp1252", "replace")
        return "\n" if sequence.startswith((".br", ".sp")) else " "

    return _HL7_ESCAPE.sub(replacement, text)
