"""Random query trees over the words of the generated documents."""

from __future__ import annotations

import random
from collections.abc import Callable

from indexer.annotation import Origin
from search.language.tree import (
    And,
    Boost,
    Finding,
    Fuzzy,
    MatchAll,
    Node,
    Not,
    Or,
    Phrase,
    Prefix,
    Present,
    Range,
    Term,
    Value,
    Wildcard,
)

__all__ = ["random_finding", "random_tree"]

_WORDS = ("heart", "left", "opacities", "clear", "zebra", "pneumothorax", "x-ray", "œdema", "the")
_PHRASES = ("pleural effusion", "left base", "lung, base", "right opacity", "no pneumothorax")
_BEGINNINGS = ("pleu", "cardi", "opacit", "xyz", "l")
_SHAPES = ("*fusion", "card*ly", "?eft", "l?ng*", "*e*u*", "zz*")
_NEAR = (("efusion", 1), ("cardiomegly", 1), ("lnug", 1), ("opactiy", 2), ("hart", 2), ("zebra", 2))
_VALUES = (
    ("disease", "opacity"),
    ("disease", "pleural effusion"),
    ("disease", "tube, inserted"),
    ("organ", "lung"),
    ("location", "upper lobe"),
    ("side", "left"),
    ("side", "bilateral"),
    ("severity", "mild"),
    ("composite", "opacity"),
)
_OF_IMAGES = (
    ("sex", "f"),
    ("view", "lateral"),
    ("projection", "pa"),
    ("origin", "human"),
    ("origin", "report"),
    ("absent", "pneumothorax"),
    ("uncertain", "pneumonia"),
)
_RANGES = ((None, 51), (0, None), (34, 68), (50, 51), (None, 0), (95, None))
_PRESENT = ("report", "findings", "annotation", "severity", "age", "sex", "absent", "study")


def random_tree(rng: random.Random, depth: int, *, shapes: bool = True) -> Node:
    """A tree of at most `depth` levels.

    Parameters
    ----------
    shapes
        Whether wildcards and fuzzy words may stand in it.
    """
    if depth == 0 or rng.random() < 0.2:
        return _leaf(rng, shapes)
    if rng.random() < 0.2:
        origins: tuple[Origin | None, ...] = (None, None, "predicted", "human")
        origin = rng.choice(origins)
        return Finding(_inside(rng, 2, shapes), origin)
    return _joined(rng, lambda: random_tree(rng, depth - 1, shapes=shapes))


def random_finding(rng: random.Random) -> Node:
    """What may stand inside a finding."""
    return _inside(rng, 2, True)


def _joined(rng: random.Random, child: Callable[[], Node]) -> Node:
    kind = rng.random()
    if kind < 0.15:
        return Not(child())
    if kind < 0.25:
        return Boost(child(), rng.choice((0.01, 0.5, 3.0, 100.0)))
    children = tuple(child() for _ in range(rng.randint(2, 3)))
    return And(children) if kind < 0.65 else Or(children)


def _inside(rng: random.Random, depth: int, shapes: bool) -> Node:
    if depth == 0 or rng.random() < 0.3:
        if rng.random() < 0.4:
            return Value(*rng.choice(_VALUES))
        if rng.random() < 0.15:
            return Present(rng.choice(("side", "severity", "organ")))
        return _words(rng, None, shapes)
    return _joined(rng, lambda: _inside(rng, depth - 1, shapes))


def _words(rng: random.Random, field: str | None, shapes: bool) -> Node:
    made: tuple[Callable[[], Node], ...] = (
        lambda: Term(rng.choice(_WORDS), field),
        lambda: Phrase(rng.choice(_PHRASES), field),
        lambda: Prefix(rng.choice(_BEGINNINGS), field),
        lambda: Wildcard(rng.choice(_SHAPES), field),
        lambda: Fuzzy(*(lambda near: (near[0], field, near[1]))(rng.choice(_NEAR))),
    )
    return rng.choice(made if shapes else made[:3])()


def _leaf(rng: random.Random, shapes: bool) -> Node:
    fields = (None, None, "annotation", "report", "findings", "impression", "indication")
    made: tuple[Callable[[], Node], ...] = (
        lambda: _words(rng, rng.choice(fields), shapes),
        lambda: _words(rng, rng.choice(fields), shapes),
        lambda: Value(*rng.choice(_VALUES)),
        lambda: Value(*rng.choice(_OF_IMAGES)),
        lambda: Present(rng.choice(_PRESENT)),
        lambda: Prefix(rng.choice(("pneumo", "c", "xyz")), "disease"),
        lambda: Range("age", *rng.choice(_RANGES)),
        MatchAll,
    )
    return rng.choice(made)()
