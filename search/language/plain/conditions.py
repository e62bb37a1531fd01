"""Ages, sexes, years and views, as people write them in free text.

Each becomes a condition of the query language. Sizes, counts and shares, which no label tells,
are told apart from ages here, and left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from search.language.plain.people import CHILDREN, GROUPS, SEXES
from search.language.plain.unjudged import COUNT, FIGURE, ONES, UNJUDGED

__all__ = ["CONDITIONS", "FoundCondition", "ReadText", "extract"]

#: After "over" or "at least" a smaller number than this without a unit is no age.
_MIN_BARE_AGE = 18
_MAX_AGE = 120


@dataclass(frozen=True, slots=True)
class FoundCondition:
    """A part of the text that was recognised.

    Parameters
    ----------
    kind
        ``"age"``, ``"sex"``, ``"year"`` or ``"view"``; ``"left out"`` for what cannot be judged.
    query
        The condition; of what is left out, the reason.
    wording
        As it was written.
    """

    kind: str
    query: str
    wording: str


@dataclass(frozen=True, slots=True)
class ReadText:
    """The text with a mark for each part that was recognised: ``\\x01n\\x02`` for the n-th."""

    text: str
    found: tuple[FoundCondition, ...]


_N = r"(\d{1,3})"
_UNIT = r"[- ]?(?:y\.?/?o\.?|yrs?|years?|y)\b(?:[- ]?(?:olds?\b|of age\b))?\.?"
_ABBREVIATED = r"(?:y\.?/?o\.?|yrs?|years?|y)"
_MAYBE = rf"(?:{_UNIT})?"
_NO_SIZE = r"(?![\d.,]*\d)(?!\s*(?:mm|cm|%|x\b|percent))"
_AGED = r"(?:\b(?:aged?|ages|age group)\b[ :=]*)"
_OVER = r"(?:over|above|older than|greater than|more than|beyond|past|>)"
_UNDER = r"(?:under|below|younger than|less than|<)"
_AT_LEAST = r"(?:at least|>=|=>|≥|from|(?:no|not) (?:younger|less) than|not under)"
_AT_MOST = r"(?:at most|up to|<=|=<|≤|(?:no|not) (?:older|more) than|not over)"
_TO = r"\s*(?:-|–|—|to|and|through)\s*"
_FILM = r"(?:views?|films?|projections?|radiographs?|x-?rays?|images?|cxrs?|chest)"

_DECADES = {
    "twenties": 20,
    "thirties": 30,
    "forties": 40,
    "fifties": 50,
    "sixties": 60,
    "seventies": 70,
    "eighties": 80,
    "nineties": 90,
}


def _age(test: str) -> Callable[[re.Match[str]], str]:
    return lambda m: test.format(*m.groups())


def _bare(test: str) -> Callable[[re.Match[str]], str | None]:
    """An age where the number alone may be one, or has a unit."""

    def condition(match: re.Match[str]) -> str | None:
        is_age = _is_age(match[1]) or re.search(rf"\d{_UNIT}", match[0], re.IGNORECASE)
        return test.format(*match.groups()) if is_age else None

    return condition


def _is_age(number: str) -> bool:
    return _MIN_BARE_AGE <= int(number) <= _MAX_AGE


def _span(match: re.Match[str]) -> str | None:
    return _span_of(match.group(1), match.group(2))


def _span_of(one: str, other: str) -> str:
    low, high = sorted((int(one), int(other)))
    return f"age:[{low} TO {high}]"


def _bare_span(match: re.Match[str]) -> str | None:
    return _span(match) if _is_age(match.group(1)) and _is_age(match.group(2)) else None


def _short(age: int, sex: int) -> Callable[[re.Match[str]], str]:
    return lambda m: f"age:{int(m.group(age))} AND sex:{m.group(sex).upper()}"


def _years(match: re.Match[str]) -> str:
    low, high = sorted(match.groups()[:2])
    return f"year:[{low} TO {high}]"


def _decade(whose: str | None, first: int) -> str:
    sex = {"his": "sex:M AND ", "her": "sex:F AND "}.get((whose or "").lower(), "")
    return f"{sex}age:[{first} TO {first + 9}]"


_TENS = {word.replace("ties", "ty"): first for word, first in _DECADES.items()}
_WORDS_OF_AGE = rf"(?P<tens>{'|'.join(_TENS)})(?:[- ](?P<ones>{'|'.join(ONES)}))?"
_IN_WORDS = re.compile(
    rf"(?P<before>(?=[a-z]+(?:[- ][a-z]+)?[- ]{_ABBREVIATED}\b)|{_AGED}"
    rf"|\b(?:{_OVER}|{_UNDER})\s+(?:the age of )?|\b(?:{_AT_LEAST}|{_AT_MOST})\s+)"
    rf"{_WORDS_OF_AGE}\b",
    re.IGNORECASE,
)
_OF_WHOM = r"\b(?:in (?:(his|her|their|the) )?)?(?:(?:early|mid|late)[- ])?"
_YEAR = r"((?:19|20)\d\d)\b"

#: Kind, pattern, and what it means; the first that fits takes its part of the text.
CONDITIONS: tuple[tuple[str, str, Callable[[re.Match[str]], str | None]], ...] = (
    *UNJUDGED,
    # Years
    ("year", rf"\b(?:between|from|in)?\s*{_YEAR}{_TO}{_YEAR}", _years),
    (
        "year",
        rf"\b(?:since|starting(?: in)?)\s+{_YEAR}"
        rf"|\bfrom\s+{_YEAR}\s+(?:on(?:wards?)?|to (?:now|date|today))\b",
        lambda m: f"year:>={m[1] or m[2]}",
    ),
    ("year", rf"(?:\bafter\s+|>\s*){_YEAR}", lambda m: f"year:>{m[1]}"),
    ("year", rf"(?:\b(?:before|until)\s+|<\s*){_YEAR}", lambda m: f"year:<{m[1]}"),
    ("year", rf"\b(?:in|during|of|from|year)?\s*\b{_YEAR}", lambda m: f"year:{m[1]}"),
    # Ages; "65F" in capitals only, but for "65 yo f" and "65 yo wf".
    (
        "age",
        rf"\b{_N}(?:-|–|\s+to\s+){_N}[- ]?{_ABBREVIATED}[- /]?(?:old)?\s*([mf])\b",
        lambda m: f"{_span(m)} AND sex:{m[3].upper()}",
    ),
    ("age", rf"\b([mf])\s?/\s?{_N}\b", _short(2, 1)),
    ("age", rf"\b{_N}\s?/\s?([mf])\b", _short(1, 2)),
    ("age", rf"\b{_N}[- ]?{_ABBREVIATED}[- /]?(?:old)?\s*[wbha]?([mf])\b", _short(1, 2)),
    ("short", rf"\b{_N}(?:{_UNIT})?\s?/?([MF])\b", _short(1, 2)),
    (
        "short",
        rf"\b([MF])[\s,/]*(?:aged? )?{_N}{_TO}{_N}\b(?:{_UNIT})?{_NO_SIZE}",
        lambda m: f"sex:{m[1]} AND {_span_of(m[2], m[3])}",
    ),
    ("short", rf"\b([MF])[\s,/]{{0,2}}{_N}\b{_NO_SIZE}", _short(2, 1)),
    ("short", rf"\b([MF])\s?>\s?{_N}\b", lambda m: f"sex:{m[1].upper()} AND age:>{int(m[2])}"),
    ("short", rf"\b([MF])\s?<\s?{_N}\b", lambda m: f"sex:{m[1].upper()} AND age:<{int(m[2])}"),
    *(
        ("age", rf"\b{_N}\s*,?\s*(?:{words})\b", _bare(f"sex:{sex} AND age:{{0}}"))
        for sex, words in (("F", "woman|female|lady"), ("M", "man|male|gentleman"))
    ),
    ("age", rf"{_AGED}?\bbetween\s+{_N}{_TO}{_N}{_UNIT}", _span),
    ("age", rf"{_AGED}(?:between\s+|from\s+)?{_N}{_TO}{_N}{_MAYBE}", _span),
    ("age", rf"\b{_N}{_TO}{_N}{_UNIT}", _span),
    ("age", rf"\bbetween\s+{_N}{_TO}{_N}\b{_NO_SIZE}", _bare_span),
    ("age", rf"\b{_N}(?:-|–|\s+to\s+){_N}\b{_NO_SIZE}", _bare_span),
    # "Children under 5": the number says more than the word, and needs no unit.
    *(
        (
            "age",
            rf"\b(?:{CHILDREN})\s+(?:aged? )?{cue}\s*(?:the age of )?{_N}{_MAYBE}",
            _age(test),
        )
        for cue, test in (
            (_OVER, "age:[{0} TO 17]"),
            (_UNDER, "age:<{0}"),
            (_AT_LEAST, "age:[{0} TO 17]"),
            (_AT_MOST, "age:<={0}"),
        )
    ),
    # Nobody is older than a size.
    *(
        ("age", rf"\b{cue} than\s+{_N}\b{_NO_SIZE}", _age(test))
        for cue, test in (
            ("(?:no|not) older", "age:<={0}"),
            ("(?:no|not) younger", "age:>={0}"),
            ("older", "age:>{0}"),
            ("younger", "age:<{0}"),
        )
    ),
    *(
        ("age", rf"{_AGED}?{cue}\s*(?:the )?(?:age of |age )?{_N}{_UNIT}", _age(test))
        for cue, test in (
            (_OVER, "age:>{0}"),
            (_UNDER, "age:<{0}"),
            (_AT_LEAST, "age:>={0}"),
            (_AT_MOST, "age:<={0}"),
        )
    ),
    *(
        (
            "age",
            rf"(?:{_AGED}{cue}|{cue}\s*(?:the )?age(?: of)?)\s*{_N}\b{_NO_SIZE}",
            _age(test),
        )
        for cue, test in (
            (_OVER, "age:>{0}"),
            (_UNDER, "age:<{0}"),
            (_AT_LEAST, "age:>={0}"),
            (_AT_MOST, "age:<={0}"),
        )
    ),
    ("age", rf"(?:{_AGED})?\b{_N}{_UNIT}\s*\+", _age("age:>={0}")),
    ("age", rf"(?:{_AGED})?\b{_N}\+{_MAYBE}", _bare("age:>={0}")),
    (
        "age",
        rf"(?:{_AGED})?\b{_N}{_MAYBE}\s*(?:(?:or|and) (?:older|over|above|up|more)|plus)\b",
        _bare("age:>={0}"),
    ),
    (
        "age",
        rf"(?:{_AGED})?\b{_N}{_MAYBE}\s*(?:or|and) (?:younger|under|below|less)\b",
        _bare("age:<={0}"),
    ),
    *(
        ("age", rf"{cue}\s*{_N}\b{_NO_SIZE}", _bare(test))
        for cue, test in (
            (rf"(?<!\w){_OVER}", "age:>{0}"),
            (rf"(?<!\w){_UNDER}", "age:<{0}"),
            (rf"(?<!\w){_AT_LEAST}", "age:>={0}"),
            (rf"(?<!\w){_AT_MOST}", "age:<={0}"),
        )
    ),
    ("age", rf"\bover[- ]{_N}'?s\b", _age("age:>{0}")),
    ("age", rf"\bunder[- ]{_N}'?s\b", _age("age:<{0}")),
    ("age", rf"{_OF_WHOM}([2-9]0)'?s\b", lambda m: _decade(m[1], int(m[2]))),
    (
        "age",
        rf"{_OF_WHOM}({'|'.join(_DECADES)})\b",
        lambda m: _decade(m[1], _DECADES[m[2].lower()]),
    ),
    (
        "age",
        r"\b\d+[- ]?(?:months?|weeks?|days?|m\s?/?\s?o|wks?|d\s?/\s?o)(?:[- ]?olds?\b"
        r"|\b(?=[ -]*(?:infant|bab|boy|girl|female|male|child|[fm]\b)))",
        lambda m: "age:<2",
    ),
    ("short", r"(?<=[Ee]lderly )([MF])\b|(?<=[Yy]oung )([MF])\b", lambda m: f"sex:{m[1] or m[2]}"),
    ("age", rf"{_AGED}?\b{_N}{_UNIT}", _age("age:{0}")),
    ("age", rf"{_AGED}{_N}\b{_NO_SIZE}", _age("age:{0}")),
    *(
        (
            "age",
            rf"\b(?:{words})[, ]+{_N}\b(?=\s*(?:[,;]|$|with\b))",
            _bare(f"sex:{sex} AND age:{{0}}"),
        )
        for sex, words in SEXES.items()
    ),
    # Counts: a comparison with a number that nothing above has read.
    (
        "left out",
        r"(?:\b(?:at least|at most|more than|less than|fewer than|over|under|up to)\b"
        r"|[<>=≥≤~]{1,3})\s*(?:\d+\b|two\b|three\b|four\b|five\b|six\b|one\b)",
        lambda m: COUNT,
    ),
    (
        "left out",
        rf"\b(?:{'|'.join(ONES[1:])})\b(?![- ](?:views?|vessel|lead|chamber))",
        lambda m: COUNT,
    ),
    # People
    *(("age", rf"\b(?:{words})\b", lambda m, q=query: q) for words, query in GROUPS[:5]),
    ("sex", r"\bgirls?\b", lambda m: "sex:F AND age:<18"),
    ("sex", r"\bboys?\b", lambda m: "sex:M AND age:<18"),
    *(("age", rf"\b(?:{words})\b", lambda m, q=query: q) for words, query in GROUPS[6:]),
    *(("sex", rf"\b(?:{words})\b", lambda m, s=sex: f"sex:{s}") for sex, words in SEXES.items()),
    # Views
    ("view", rf"\bpa\s*(?:and|&|/)\s*lat(?:eral)?(?: {_FILM})*\b", lambda m: "*"),
    ("view", rf"\b(?:lateral|lat) {_FILM}\b", lambda m: "view:lateral"),
    (
        "view",
        r"\b(?:on|in) (?:the )?(?:lateral|lat)\b(?! (?:left|right|lung|chest|rib|base))",
        lambda m: "view:lateral",
    ),
    (
        "view",
        r"(?:(?<=\bnormal )|(?<=\bno )|(?<=\bnot )|(?<=\bwithout )|^)"
        r"(lat(?:eral)?|frontal)s?"
        r"(?=\s*(?:[,;]|$))",
        lambda m: "view:frontal" if m[1].lower() == "frontal" else "view:lateral",
    ),
    ("view", r"(?<=\bnot )(pa|ap)(?=\s*(?:[,;]|$))", lambda m: f"projection:{m[1].upper()}"),
    ("view", rf"\bfrontal {_FILM}\b|\bon (?:the )?frontal\b", lambda m: "view:frontal"),
    # Portable films are taken from the front.
    (
        "view",
        rf"\b(?:portable|supine)(?: ap)?(?: {_FILM})*\b|\bap (?:portable|supine)\b",
        lambda m: "projection:AP",
    ),
    ("view", rf"\b(pa|ap) {_FILM}\b(?: {_FILM}\b)?", lambda m: f"projection:{m[1].upper()}"),
)


def _in_figures(text: str) -> str:
    """Ages that are written in words, as figures: "older than sixty five"."""

    def figure(match: re.Match[str]) -> str:
        tens, ones = match["tens"].lower(), (match["ones"] or "").lower()
        return match["before"] + str(_TENS[tens] + (ONES.index(ones) + 1 if ones else 0))

    return _IN_WORDS.sub(figure, text)


@cache
def _compiled(kind: str, pattern: str) -> re.Pattern[str]:
    """Made when a text first needs it: all together take longer than a search."""
    return re.compile(pattern, 0 if kind == "short" else re.IGNORECASE)


def extract(text: str) -> ReadText:
    """The conditions in a text, each replaced by a mark."""
    text = _in_figures(text)
    found: list[FoundCondition] = []

    def replace(
        kind: str, meaning: Callable[[re.Match[str]], str | None]
    ) -> Callable[[re.Match[str]], str]:
        def mark(match: re.Match[str]) -> str:
            query = meaning(match)
            if query is None or "\x01" in match[0]:
                return match[0]
            wording = " ".join(match[0].split())
            found.append(FoundCondition("age" if kind == "short" else kind, query, wording))
            return f" \x01{len(found) - 1}\x02 "

        return mark

    has_figures = any(map(str.isdecimal, text))
    for kind, pattern, meaning in CONDITIONS:
        if has_figures or not any(figure in pattern for figure in (_N, _YEAR, FIGURE)):
            text = _compiled(kind, pattern).sub(replace(kind, meaning), text)
    return ReadText(text, tuple(found))
