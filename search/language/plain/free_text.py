"""Free text as a query: "COPD in women over 60, no effusion" to what the query language says of it.

The reading applies to text without any of the language's own signs (`is_free`). It is made of
rules: spellings and conditions are replaced first (`cues.SHORTHAND`, `conditions`), then the words
are cut into terms of the lexicon, cues and fillers (`tokens`), and put together from left to right
(`assembly`).
"""

from __future__ import annotations

import re

from search.language.lexicon import Lexicon
from search.language.plain.assembly import Assembly
from search.language.plain.conditions import extract
from search.language.plain.cues import SHORTHAND
from search.language.plain.tokens import tokens
from search.language.plain.understood import Understood

__all__ = ["is_free", "understand"]

# Signs of the query language: quotes, groups, ranges, shapes, boosts, fields, operators in
# capitals, and a sign right before a word.
_EXPLICIT = re.compile(
    r"""["()\[\]{}\\^*~]|\w\?|(?<=[^\s])\?\w|(?:^|\s)(?:AND|OR|NOT)(?=\s|$)|(?:^|\s)[A-Za-z]+:"""
    r"""|(?:^|\s)[+-](?=\w)|(?:^|\s)-\s+(?=[^\W\d])"""
)
_QUESTION = re.compile(
    r"^\s*(?:is|are|was|does|do|did|has|have|who|which|what|where|any|can)\b[^\"()*:]*\w\s*\?\s*$",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


def is_free(text: str) -> bool:
    """Whether a query has none of the query language's signs, and so is read as plain English."""
    return _QUESTION.match(text) is not None or _EXPLICIT.search(text) is None


def understand(text: str, lexicon: Lexicon | None = None) -> Understood | None:
    """How a free text is read; None where there is nothing in it to search for.

    Parameters
    ----------
    text
        Without signs of the query language (`is_free`).
    lexicon
        The one that ships with cxrdex where None.
    """
    clean = _CONTROL.sub(" ", text)
    for pattern, plain in SHORTHAND:
        clean = pattern.sub(plain, clean)
    conditions = extract(clean)
    assembly = Assembly()
    for token in tokens(conditions, lexicon or Lexicon.load()):
        assembly.take(token)
    clauses = assembly.finish()
    if not clauses:
        return None
    left_out = [(f.wording, f.query) for f in conditions.found if f.kind == "left out"]
    return Understood(text, clauses, (*left_out, *assembly.left_out))
