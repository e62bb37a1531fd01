"""Queries that nobody means well: random ones, mutated ones, huge and deep ones."""

from __future__ import annotations

import random
from collections.abc import Iterator

__all__ = ["hostile_queries"]

_PIECES = (
    *'()[]{}"*?~^:-+!&|/\\<>.,;',
    " ",
    " AND ",
    " OR ",
    " NOT ",
    " TO ",
    "finding:(",
    "disease:",
    "report:",
    "absent:",
    "age:[",
    "id:",
    "origin:human",
    "effusion",
    "pleu*",
    "*e*u*s*",
    "?a?e?",
    "efusion~2",
    "left^0.5",
    "心臓",
    "œdema",
    "e\u0301",
    "\u202e",
    "\0",
    "\ud800",
    "\U0001f4a9",
    "ａ",
    "999999999",
    "-1",
    "1e309",
    "NaN",
)
_RIGHT = (
    'disease:"pleural effusion" AND (side:left OR side:right)',
    "finding:(effusion AND NOT left) AND age:[40 TO 60]",
    "cardiom*ly OR opacitty~1 -report:*",
    '"pleural effusion"^3 (heart AND enlarged)^0.2 origin:report',
    "absent:pneumothorax AND NOT uncertain:* AND sex:f",
    "composite:*mild* AND id:0a*",
)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _mutated(rng: random.Random) -> str:
    text = list(rng.choice(_RIGHT))
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(text) + 1)
        match rng.randrange(4):
            case 0:
                text.insert(place, rng.choice(_PIECES))
            case 1:
                del text[place : place + rng.randint(1, 4)]
            case 2:
                text[place:place] = text[: rng.randrange(12)]
            case _:
                rest = text[place:]
                rng.shuffle(rest)
                text[place:] = rest
    return "".join(text)


def _huge(rng: random.Random) -> str:
    """One of the ways to be large that a parser or an index may stumble over."""
    many = rng.choice((20, 39, 200, 499, 2_000, 9_000))
    word = "".join(rng.choice(_LETTERS) for _ in range(rng.randint(3, 8)))
    shapes = " OR ".join(f"*{rng.choice(_LETTERS)}*{rng.choice(_LETTERS)}*" for _ in range(20))
    return rng.choice(
        (
            "(" * many + word + ")" * many,
            "NOT " * many + word,
            "-" * many + word,
            "(a AND (b OR " * (many // 2) + word + "))" * (many // 2),
            "finding:(" + "(NOT " * (many // 4) + word + ")" * (many // 4) + ")",
            " OR ".join(word + str(n) for n in range(many)),
            " ".join(f"{word[:2]}{n % 10}*" for n in range(many)),
            f"{word}*" * many,
            "?" * many + word,
            "*" * many + word,
            shapes,
            " OR ".join(f"{word}{rng.choice(_LETTERS)}~2" for _ in range(20)),
            word * many + "~2",
            word * many + "*",
            word * many,
            '"' + " ".join([word] * many) + '"',
            f"/({word}+)+$/ OR /(.*)*/",
            f"{word}^" + "9" * many,
            "(" * 30 + word + ")^100" * 30,
            f"age:[0 TO {'9' * many}]",
            'disease:"' + "é" * many + '"',
            "report:" * many,
            "\\" * many,
        )
    )


def hostile_queries(count: int, seed: int = 0) -> Iterator[str]:
    """So many strings, the same for the same seed."""
    rng = random.Random(seed)
    for _ in range(count):
        kind = rng.random()
        if kind < 0.35:
            yield "".join(rng.choice(_PIECES) for _ in range(rng.randint(1, 25)))
        elif kind < 0.8:
            yield _mutated(rng)
        else:
            yield _huge(rng)
