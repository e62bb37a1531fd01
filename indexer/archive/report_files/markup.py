"""Plain text out of what formats text: RTF and HTML; what else a document may be, in words."""

from __future__ import annotations

import html
import re

from indexer.archive.report_files.codings import NotAText, decoded

__all__ = ["of_document", "of_html", "of_rtf", "plain"]

# How a file begins that holds a text, but not as one.
_DOCUMENTS = (
    (b"%PDF", "a PDF: export the report as text"),
    (b"PK\3\4", "an Office document: export the report as text"),
    (b"\xd0\xcf\x11\xe0", "an Office document: export the report as text"),
)
_RTF = "{\\rtf"
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
_JSON = re.compile(r"\s*[{\[]\s*[\"{\[]")


def of_document(data: bytes) -> str:
    """The text, still formatted, in the bytes of a document.

    Raises
    ------
    NotAText
        It is a document of a kind that is not read, or binary.
    """
    for beginning, reason in _DOCUMENTS:
        if data.startswith(beginning):
            raise NotAText(reason)
    return decoded(data)


def plain(text: str) -> str:
    """A text without its formatting.

    Raises
    ------
    NotAText
        It is damaged RTF, or of a format for machines.
    """
    if text.lstrip().startswith(_RTF):
        return of_rtf(text)
    if _XML.match(text):
        raise NotAText("an XML file: export the report as text")
    if _JSON.match(text) and text.rstrip().endswith(("}", "]")):
        raise NotAText("a JSON file: export the report as text")
    return of_html(text)


def of_html(text: str) -> str:
    """A text without the tags and entities of HTML; one without tags keeps its lines."""
    if not _HTML.search(text):
        return html.unescape(text) if _ENTITY.search(text) else text
    shown = _CELLS.sub(": ", _BREAK.sub("\n", _INLINE.sub("", _NO_TEXT.sub(" ", text))))
    return html.unescape(_TAG.sub(" ", shown))


def of_rtf(text: str) -> str:
    """A text without the control words of RTF.

    Raises
    ------
    NotAText
        It is damaged.
    """
    from striprtf.striprtf import rtf_to_text

    try:
        return str(rtf_to_text(text, errors="replace"))  # type: ignore[no-untyped-call]
    except Exception as error:
        raise NotAText("a damaged RTF file") from error
