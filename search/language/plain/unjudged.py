"""Sizes, durations, what was removed and the like: what people write and no label tells."""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["COUNT", "FIGURE", "ONES", "UNJUDGED"]

#: Numbers from one to nine as words.
ONES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_LENGTH = r"(?:mm|cm|ml|cc|french|fr|millimet(?:er|re)s?|centimet(?:er|re)s?|inch(?:es)?)\b"
#: A number.
FIGURE = r"\d+(?:[.,]\d+)?"
_COMPARED = (
    r"(?:(?:measuring|sized?|diameter|about|approximately|approx\.?|around|up to|at least|at most|"
    r"(?:larger|greater|bigger|more|less|smaller) than|over|above|under|below|[<>≥≤~=])\s*){0,4}"
)
_DEVICE = (
    r"(?:(?:right|left|central|venous|chest|thoracostomy|endotracheal|et|ng|nasogastric|feeding|"
    r"enteric|pigtail|swan[- ]?ganz|pleural|mediastinal|tracheostomy|picc|dialysis|arterial)\s+)"
    r"{0,3}(?:tubes?|lines?|catheters?|drains?|pigtails?|picc|port(?:-?a-?cath)?s?|pacemakers?|"
    r"pacers?|a?icds?|leads?|wires?|hardware|stents?|swan|iabp)"
)
_AFTERWARDS = r"(?:\b(?:status post|after|following|post)\s+(?:the )?)?"
_SPAN = (
    r"\d+(?:\s?(?:-|to)\s?\d+)?\s?(?:d|days?|wks?|weeks?|mos?|months?|hrs?|hours?)\b(?![- ]?olds?)"
)

_SIZE = "sizes are not measured"
#: Why a count is left out.
COUNT = "findings are not counted"
_SHARE = "figures are not measured"
_DAY = "how long ago an operation was is not known"
_DURATION = "how long something has lasted is not known"
_ONE_ALONE = "one without the other is written as a AND NOT b"
_VIEWS = "how many views were taken is not known"
_REMOVED = "what was removed is not in the picture"
_NO_OTHER_FINDING = "whether there is nothing else is not known"

#: As `search.language.plain.conditions.CONDITIONS`; these are looked for first, the longest first,
#: so that none of their numbers is left.
UNJUDGED: tuple[tuple[str, str, Callable[[re.Match[str]], str | None]], ...] = (
    (
        "left out",
        rf"{_COMPARED}(?<![\w.]){FIGURE}(?:[\s-]*{_LENGTH})?"
        rf"(?:\s*(?:x|by|-|–|to)\s*{FIGURE}(?:[\s-]*{_LENGTH})?){{0,3}}(?<=[mshelrc])\b"
        r"(?:\s*(?:in (?:size|diameter)|or (?:more|less|larger|smaller)))?",
        lambda m: _SIZE if re.search(_LENGTH, m[0], re.IGNORECASE) else None,
    ),
    (
        "left out",
        rf"{_COMPARED}\b(?:half[- ](?:an?[- ])?|an?[- ]|(?:{'|'.join(ONES)})[- ]){_LENGTH}",
        lambda m: _SIZE,
    ),
    ("left out", rf"{_COMPARED}(?<![\w.]){FIGURE}\s*(?:%|percent\b)", lambda m: _SHARE),
    ("left out", r"[<>=≥≤~]{1,3}\s*\d+[.,]\d+", lambda m: _SHARE),
    ("left out", r"\bsub-?(?:centi|milli)met(?:er|re)\b", lambda m: _SIZE),
    (
        "view",
        r"\b(lateral|frontal)(?:s| views?| films?)? only\b"
        r"|\bonly (?:the )?(lateral|frontal)s?\b",
        lambda m: f"view:{(m[1] or m[2]).lower()}",
    ),
    (
        "left out",
        r"\b(?:only|isolated|solely|solitary(?= effusion)|alone)\b",
        lambda m: _NO_OTHER_FINDING,
    ),
    (
        "left out",
        rf"{_AFTERWARDS}\b{_DEVICE}\s+(?:(?:has |have )?(?:been )?removed|removal|extraction)\b"
        rf"|{_AFTERWARDS}\b(?:removal|extraction) of (?:the |an? )?{_DEVICE}\b",
        lambda m: _REMOVED,
    ),
    ("left out", r"\b(?:but\s+)?not\s+both\b", lambda m: _ONE_ALONE),
    ("left out", r"\bday\s*#?\d{1,3}\b", lambda m: _DAY),
    (
        "left out",
        rf"(?:\bx\s?|\b(?:for|since|over|past|last)\s+(?:the\s+)?(?:past\s+|last\s+)?){_SPAN}"
        rf"|\b{_SPAN}\s+(?:history\s+)?(?=(?:of|after|before|later|ago|post)\b)",
        lambda m: _DURATION,
    ),
    # "Normal but for a granuloma" asks for a granuloma.
    (
        "left out",
        r"(?<!not )(?:\b(?:everything|all|otherwise|entirely|completely)\s+(?:else\s+)?(?:is\s+)?)?"
        r"\b(?:normal|unremarkable|clear)\s+(?:(?:chest|lungs?|cxr|x-?ray|film|study)\s+)?"
        r"(?:except|apart\s+from|aside\s+from|save\s+for|but\s+for|other\s+than)\b(?:\s+for\b)?",
        lambda m: _NO_OTHER_FINDING,
    ),
    ("left out", rf"\b(?:\d|{'|'.join(ONES)}|single)[- ]?views?\b", lambda m: _VIEWS),
    ("left out", r"\b(?:stage|grade|class)\s+(?:\d|i{1,3}v?|iv)\b", lambda m: _SHARE),
    ("view", r"^\W*(pa|ap)\W*$", lambda m: f"projection:{m[1].upper()}"),
)
