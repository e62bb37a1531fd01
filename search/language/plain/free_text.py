"""Free text as a query: "COPD in women over 60, no effusion" to what the query language says of it.

The reading applies to text without any of the language's own signs (`is_free`). It is made of
rules: spellings and conditions are replaced first (`shorthand`, `conditions`), then the words
are cut into terms of the lexicon, cues and fillers (`tokens`), and put together from left to right
(`assembly`).
"""

from __future__ import annotations

import re

from search.language.fields import FIELDS
from search.language.lexicon import Lexicon
from search.language.plain.assembly import Assembly
from search.language.plain.conditions import extract
from search.language.plain.shorthand import spelt_out, unbracketed
from search.language.plain.tokens import is_known, tokens
from search.language.plain.understood import Clause, QueryPart, Understood

__all__ = ["is_free", "understand"]

# Signs of the query language: quotes, groups, ranges, shapes, boosts, fields, operators in
# capitals, and a sign right before a word.
_EXPLICIT = re.compile(
    r"""["()\[\]{}\\^*]|(?<=\w)~|~(?!\s?\d)|\w\?|(?<=[^\s])\?\w|(?:^|\s)(?:AND|OR|NOT)(?=\s|$)|(?:^|\s)[A-Za-z]+:(?=\S)"""
    r"""|(?:^|\s)[+-](?=\w)|^\s*-\s+(?=[^\W\d])"""
    rf"|(?:^|\s)(?:{'|'.join(FIELDS)}):"
)
_QUESTION = re.compile(
    r"^\s*(?:is|are|was|does|do|did|has|have|who|which|what|where|any|can)\b[^\"()*:]*\w\s*\?\s*$",
    re.IGNORECASE,
)
# "RLL pneumonia?" asks, as "?pneumonia" does: what stands before, as far as the thought goes.
_ASKED = re.compile(r"\?+(?=[\s,;.]|$)")
_THOUGHT = re.compile(r"[,;]|\s[-–—]\s|\b(?:and|or|but|with|without|no|not|vs|w/o?)\s", re.I)
_ANYTHING = QueryPart(0, "other", "*", "")
# What stands in brackets beside a finding; a denial or doubt there holds no further.
_REMARK = re.compile(
    r"[(\[]\s*((?:no|not|without|w/o|neg\w*|absent|possibl[ey]|r/o)\b)?([^()\[\]]*)[)\]]", re.I
)
_JOINS = re.compile(r"\b(?:and|or)\b|[&|/]", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


def is_free(text: str) -> bool:
    """Whether a query has none of the query language's signs, and so is read as plain English."""
    text = _unbracketed(text)
    return _QUESTION.match(text) is not None or _EXPLICIT.search(_asked_before(text)) is None


def _unbracketed(text: str) -> str:
    """The text without brackets, where nothing else in it is of the query language."""
    text = unbracketed(text)
    inside = any(_JOINS.search(remark[0]) for remark in _REMARK.finditer(text))
    if inside and _JOINS.search(_REMARK.sub("", text)):
        # What belongs together is said by the brackets alone.
        return text
    plain = _REMARK.sub(lambda m: f" , {m[1]}{m[2]} , " if m[1] else f" {m[2]} ", text)
    return text if _EXPLICIT.search(_asked_before(plain)) else plain


def _asked_before(text: str) -> str:
    """The text with a question mark behind a known word at the front of its thought.

    Behind any other word it is a sign of the query language, which stands for a letter.
    """
    done, rest = "", text
    while mark := _ASKED.search(rest):
        before = rest[: mark.start()].rstrip(" ,;:-")
        words = before.split()
        if words and before[-1].isalnum() and is_known(words[-1].lower(), Lexicon.load()):
            thoughts = [m.end() for m in _THOUGHT.finditer(before)]
            start = thoughts[-1] if thoughts else 0
            done += f"{before[:start]} ? {before[start:]}"
        else:
            done += rest[: mark.end()]
        rest = rest[mark.end() :]
    return done + rest


def understand(text: str, lexicon: Lexicon | None = None) -> Understood | None:
    """How a free text is read; None where there is nothing in it to search for.

    Parameters
    ----------
    text
        Without signs of the query language (`is_free`).
    lexicon
        The one that ships with cxrdex where None.
    """
    asked = _unbracketed(text)
    asked = asked if _QUESTION.match(asked) else _asked_before(asked)
    conditions = extract(spelt_out(_CONTROL.sub(" ", asked)))
    assembly = Assembly()
    for token in tokens(conditions, lexicon or Lexicon.load()):
        assembly.take(token)
    clauses = assembly.finish()
    left_out = [(f.wording, f.query) for f in conditions.found if f.kind == "left out"]
    left_out += assembly.left_out
    if not clauses and not left_out:
        return None
    # Where nothing that is asked for can be judged, every image may be it.
    return Understood(text, clauses or (Clause((_ANYTHING,)),), tuple(left_out))
