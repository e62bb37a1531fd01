"""Which text the bytes of a report file are, however they are coded."""

from __future__ import annotations

import codecs
import re

__all__ = ["NotAText", "decoded"]

_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
# So many bytes tell how a text is coded.
_TOLD_BY = 2**14
# Upper bytes of Latin, Greek and Cyrillic letters in UTF-16, where they stand in four bytes,
# and how many bytes tell it.
_UPPER = frozenset(range(5))
_WIDE_FROM = 8
_WIDE = {
    "utf-16-le": {1, 3},
    "utf-16-be": {0, 2},
    "utf-32-le": {1, 2, 3},
    "utf-32-be": {0, 1, 2},
}
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


class NotAText(ValueError):  # noqa: N818
    """A file holds no text that a report could be; what it is, in words."""


def decoded(data: bytes) -> str:
    """The text in some bytes.

    Raises
    ------
    NotAText
        They are binary.
    """
    for mark, coding in _BOMS:
        if data.startswith(mark):
            text = data.decode(coding, "replace")
            return text if coding == "utf-8-sig" else text.rstrip("\ufffd")
    if b"\0" in data:
        return data.decode(_wide_coding(data), "replace").rstrip("\ufffd\0")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode(_coding(data), "replace")


def _wide_coding(data: bytes) -> str:
    """The coding of text in two or four bytes a letter without a mark, told by its upper bytes.

    A byte too many at the end, such as that of a line's end which was added, cuts no letter.
    """
    shares = [sum(byte in _UPPER for byte in data[n:_TOLD_BY:4]) for n in range(4)]
    parts = [share / max(len(data[n:_TOLD_BY:4]), 1) for n, share in enumerate(shares)]
    upper, lower = ({n for n in range(4) if found(parts[n])} for found in (_is_upper, _is_lower))
    for coding, places in _WIDE.items():
        if len(data) >= _WIDE_FROM and upper == places and upper | lower == {0, 1, 2, 3}:
            return coding
    raise NotAText("not a text")


def _is_upper(share: float) -> bool:
    return share > 0.9


def _is_lower(share: float) -> bool:
    return share < 0.3


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
