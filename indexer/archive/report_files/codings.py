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
