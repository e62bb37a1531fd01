"""The report in an HL7 2.x message (ORU): its observations and comments, and its numbers."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from indexer.archive.report_files.codings import NotAText
from indexer.archive.report_files.markup import of_document, of_html, of_rtf, plain

__all__ = ["BEGINNING", "read_message"]

#: How a message, or a batch of them, begins.
BEGINNING = re.compile(r"[\s\x0b]*(?:MSH|[FB]HS)(?P<bar>[^\w\s])(?P<others>[^\w\s]{0,4})")
_SEGMENT = "(?:[A-Z][A-Z0-9]{2}{bar}|[FB]TS$)"
# Observation results that are deleted, wrong, or not there yet.
_VOID = frozenset({"D", "W", "X", "N", "O", "I"})
_TEXTS = frozenset({"TX", "FT", "ST", ""})
_CODED = frozenset({"CWE", "CE", "CNE", "CF"})
# Types of enclosed data (table 0191) that are no text.
_NO_TEXTS = frozenset({"im", "image", "ns", "sd", "si", "au", "audio", "video"})
# What follows the sign in an identifier names a part of the report (chapter 7.1.3).
_PARTS = {"GDT": "FINDINGS", "MDT": "FINDINGS", "IMP": "IMPRESSION"}
# Comments that tell somebody what to do (table 0364): to the patient, to helpers, in general.
_INSTRUCTIONS = frozenset({"PI", "AI", "GI"})
# Base64 of what begins with %PDF.
_CODED_PDF = "JVBERi0"
_DOCUMENT_AS_TEXT = "an HL7 message whose report is {}: have it sent as text (OBX-2 TX or FT)"


def read_message(message: str) -> tuple[str, tuple[str, ...]]:
    """What a message says of a study, never what it says of the patient; and the study's numbers.

    One file is one report: of several messages, and of one on several orders that each have a
    text, none is taken.

    Raises
    ------
    NotAText
        It has no text, or may be of several studies.
    """
    signs = _Signs.of(message)
    orders = [_Order(signs)]
    messages = 0
    about = ""
    for fields in _segments(message, signs.bar):
        name = fields[0]
        if name == "MSH":
            messages += 1
        elif name == "OBX":
            orders[-1].observe(fields)
        elif name == "NTE" and about in ("OBR", "OBX"):
            orders[-1].comment(fields, about)
        elif name in ("OBR", "ORC"):
            numbers = (2, 3, 18, 19, 20) if name == "OBR" else (2, 3)
            if name == "OBR" and orders[-1].has_text:
                orders.append(_Order(signs))
            orders[-1].names += [signs.first(fields[n]) for n in numbers if n < len(fields)]
        elif name == "ZDS" and len(fields) > 1:
            orders[0].names.append(signs.first(fields[1]))
        about = about if name == "NTE" else name
    if messages > 1:
        raise NotAText("several HL7 messages: write each to a file of its own")
    written = [order for order in orders if order.has_text]
    if not written:
        raise NotAText(
            next((o.unread for o in orders if o.unread), "an HL7 message without a text")
        )
    named = [{n.strip() for n in order.names if n.strip()} for order in written]
    if any(named[0].isdisjoint(other) for other in named[1:]):
        raise NotAText("an HL7 message on several orders: write each to a file of its own")
    names = (n.strip() for order in orders for n in order.names if n.strip())
    return "\n".join(line for o in written for line in o.lines), tuple(dict.fromkeys(names))


def _segments(message: str, bar: str) -> Iterator[list[str]]:
    """The fields of each segment; a line that begins none goes on with the one before."""
    begins = re.compile(_SEGMENT.replace("{bar}", re.escape(bar))).match
    segment: list[str] = []
    for line in re.split(r"[\r\n\x0b\x1c]+", message):
        if begins(line.lstrip()) and segment:
            yield "\n".join(segment).strip().split(bar)
            segment = []
        segment.append(line)
    yield "\n".join(segment).strip().split(bar)


@dataclass(frozen=True, slots=True)
class _Signs:
    """What separates and escapes in a message: MSH-1 and MSH-2."""

    bar: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    part: str = "&"

    @classmethod
    def of(cls, message: str) -> _Signs:
        """Those that a message says of itself."""
        match = BEGINNING.match(message)
        if match is None:
            return cls()
        return cls(match["bar"], *match["others"].partition(match["bar"])[0])

    def first(self, value: str) -> str:
        """The first component of a field."""
        return value.split(self.component)[0]

    def plain(self, text: str) -> str:
        """A text without escape sequences: chapter 2.7, with highlighting left out."""
        signs = {
            "F": self.bar,
            "S": self.component,
            "T": self.part,
            "R": self.repetition,
            "E": self.escape,
        }

        def replacement(match: re.Match[str]) -> str:
            sequence = match[1]
            if sequence in signs:
                return signs[sequence]
            if sequence[0] in "Xx" and re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", sequence[1:]):
                return bytes.fromhex(sequence[1:]).decode("cp1252", "replace")
            return "\n" if sequence.startswith((".br", ".sp")) else " "

        escape = re.escape(self.escape)
        return re.sub(f"{escape}([A-Za-z.][^{escape}]{{0,20}}){escape}", replacement, text)


@dataclass(slots=True)
class _Order:
    """What a message says of one order.

    Attributes
    ----------
    has_text
        Whether anything is said of it.
    unread
        Why an observation is no text, in words.
    """

    signs: _Signs
    lines: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    has_text: bool = False
    unread: str = ""
    _heading: str = ""
    _is_void: bool = False

    def observe(self, fields: list[str]) -> None:
        """Take the fields of an OBX segment."""
        self._is_void = len(fields) > 11 and fields[11].strip() in _VOID
        if self._is_void or len(fields) <= 5:
            return
        kind, value = fields[2].strip(), fields[5]
        try:
            texts = self._reader(kind, value)(value)
        except NotAText as error:
            self.unread = self.unread or str(error)
            return
        if any(text.strip() for text in texts):
            parts = [part.strip() for part in fields[3].split(self.signs.component)[:2]]
            self._head(parts[-1] or parts[0])
        self._say(texts)

    def comment(self, fields: list[str], about: str) -> None:
        """Take the fields of an NTE segment, which follows the segment that it is about."""
        source, text, kind = (*(field.strip() for field in fields[2:5]), "", "", "")[:3]
        if (about == "OBX" and self._is_void) or self.signs.first(kind) in _INSTRUCTIONS:
            return
        if about == "OBR" and source == "P" and text:
            # Of the placer of the order: what is asked, not what was found.
            self._head("INDICATION")
        elif about == "OBR" and self._heading == "INDICATION":
            self._head("FINDINGS")
        try:
            self._say(self._formatted(text))
        except NotAText as error:
            self.unread = self.unread or str(error)

    def _say(self, texts: list[str]) -> None:
        self.lines += texts
        self.has_text = self.has_text or any(text.strip() for text in texts)

    def _head(self, heading: str) -> None:
        name, sign, part = heading.partition(self.signs.part)
        if sign:
            heading = _PARTS.get(part.strip().upper(), "" if name.strip().isdigit() else name)
        if heading and heading != self._heading:
            self._heading = heading
            self.lines.append(f"{heading}:")

    def _reader(self, kind: str, value: str) -> Callable[[str], list[str]]:
        if value.lstrip().startswith(_CODED_PDF):
            raise NotAText(_DOCUMENT_AS_TEXT.format("a PDF"))
        if kind == "RP":
            raise NotAText(_DOCUMENT_AS_TEXT.format("a link to a file elsewhere"))
        if kind == "ED":
            return self._enclosed
        if kind in _CODED:
            return self._named
        return self._formatted if kind in _TEXTS else lambda _: []

    def _formatted(self, value: str) -> list[str]:
        whole = value.lstrip()
        escape = f"{self.signs.escape}E{self.signs.escape}"
        if whole.replace(escape, "\\").startswith(("{\\rtf", "\\rtf")):
            return [of_rtf(value.replace(escape, "\\"))]
        return [of_html(self.signs.plain(text)) for text in value.split(self.signs.repetition)]

    def _named(self, value: str) -> list[str]:
        """Coded values: the text that was coded, else the code's name."""
        texts = []
        for code in value.split(self.signs.repetition):
            parts = [*code.split(self.signs.component), *[""] * 9]
            found = (parts[n].strip() for n in (8, 1, 4))
            texts.append(of_html(self.signs.plain(next(filter(None, found), ""))))
        return texts

    def _enclosed(self, value: str) -> list[str]:
        """A document inside the message: source ^ type ^ subtype ^ coding ^ data."""
        parts = value.split(self.signs.component)
        if len(parts) > 4 and parts[1].strip().lower() in _NO_TEXTS:
            raise NotAText(_DOCUMENT_AS_TEXT.format("an image, a sound or a drawing"))
        coding = parts[3].strip().lower() if len(parts) > 4 else "base64"
        if coding in ("a", ""):
            return self._formatted(self.signs.component.join(parts[4:]))
        data = re.sub(r"\s+", "", self.signs.plain(parts[4] if len(parts) > 4 else parts[-1]))
        try:
            if coding == "hex":
                inner = bytes.fromhex(data)
            else:
                inner = base64.b64decode(data + "=" * (-len(data) % 4), validate=True)
            return [plain(of_document(inner))]
        except (NotAText, ValueError, binascii.Error) as error:
            what = str(error).partition(":")[0] if isinstance(error, NotAText) else "damaged"
            raise NotAText(_DOCUMENT_AS_TEXT.format(what)) from None
