"""Cells of tables for spreadsheets, of texts that others wrote: no formula, and no control."""

from __future__ import annotations

import re
from functools import cache

__all__ = ["UNSAFE", "begins_a_formula", "csv_cell", "written_out"]

#: Controls of C0 (but for tab and line feed) and C1, what turns or hides text without being seen,
#: line ends other than line feed, and halves of surrogate pairs, which no terminal can be sent.
UNSAFE = (
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u070f\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
# A spreadsheet takes a cell for a formula that begins so, in East Asian full width too; some leave
# out blanks, quotes and what is not seen before it.
_FORMULA = rf"(?:[\s\"]|{UNSAFE})*[=+\-@＝＋－＠]|[\t\r]"


@cache
def _formula() -> re.Pattern[str]:
    return re.compile(_FORMULA)


@cache
def _unsafe() -> re.Pattern[str]:
    return re.compile(UNSAFE)


def begins_a_formula(text: str) -> bool:
    """Whether a spreadsheet might compute a cell of this text."""
    return _formula().match(text) is not None


def csv_cell(text: str) -> str:
    """The text with its controls written out, and an apostrophe before what is like a formula."""
    plain = _unsafe().sub(written_out, text)
    return "'" + plain if begins_a_formula(text) else plain


def written_out(match: re.Match[str]) -> str:
    """A control as Python writes it: ``\\x1b``, ``\\u202e``."""
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
