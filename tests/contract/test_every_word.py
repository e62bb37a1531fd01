"""Every word of the lexicon, in each store: what only denies it is not found, what has it is."""

from __future__ import annotations

import re
from collections.abc import Iterator

from indexer.annotation import NORMAL
from indexer.database.text.schema import analyzer
from indexer.database.vectors.shards import vector_keys
from search.language.lexicon import Lexicon
from search.language.query import parse
from search.language.tree import Word, conjunction
from tests.contract.conftest import Filled
from tests.search.corpus import image_document

_DENIALS = (
    "No {0}.",
    "There is no evidence of {0} or {1}.",
    "The patient is seen without {1}, {0} or {2}.",
    "{0} is not seen.",
    "Neither {1} nor {0} is present.",
    "Negative for {0}.",
    "The previously seen {0} has resolved.",
    "Absence of {0}.",
    "{0}: none.",
    "Free of {1} or {0}.",
    "Interval resolution of {0}.",
    "{0} is no longer identified.",
    "{0} absent.",
    "Lungs clear w/o {0}, neg for {1}.",
    "No {1}; no {0}.",
    "There is no {1}, {2}, {0} or effusion.",
    "{0} has not developed.",
)


def _forms() -> list[str]:
    """What people say in a sentence, but for what denies or says that all is well by itself."""
    lexicon = Lexicon.load()
    # "No growth" is no change, and "No heart is enlarged" no sentence.
    denying = re.compile(
        r"\b(?:no|nothing|not|absent|missing|free|clear|negative|without|is|growth)\b|,"
    )
    return [
        form
        for form in lexicon.forms
        if not denying.search(form)
        and all(heading.name != NORMAL for heading in lexicon.senses(form))
        and analyzer().analyze(form)
    ]


def _denials(forms: list[str]) -> Iterator[str]:
    for number, form in enumerate(forms):
        others = forms[(number * 7 + 1) % len(forms)], forms[(number * 13 + 5) % len(forms)]
        # Each way to deny meets each form of a heading sooner or later; all would be 30,000.
        for way in (number, number + 5):
            yield _DENIALS[way % len(_DENIALS)].format(form, *others)


def test_no_word_finds_what_denies_it(empty: Filled) -> None:
    forms = _forms()
    assert len(forms) > 2_000
    denials = list(_denials(forms))
    reports = [*denials, *(f"There is {form}." for form in forms)]
    empty.write(
        [
            image_document(f"{n:016x}", report={"findings": text})
            for n, text in enumerate(reports, 1)
        ]
    )
    lexicon = Lexicon.load()
    found_denied: dict[str, list[str]] = {}
    missed: list[str] = []
    for number, form in enumerate(forms, 1):
        words = [word for word in re.findall(r"[\w'-]+", form) if analyzer().analyze(word)]
        keys = set(empty.backend.keys(lexicon.expand(conjunction(*map(Word, words)))).tolist())
        if denied := sorted(key for key in keys if key <= len(denials)):
            found_denied[form] = [denials[key - 1] for key in denied[:3]]
        if len(denials) + number not in keys:
            missed.append(form)
    assert found_denied == {}
    assert missed == []


def _names() -> list[str]:
    lexicon = Lexicon.load()
    return sorted(
        heading.name
        for name in lexicon.forms
        for heading in lexicon.senses(name, "disease")
        if heading.name == name and name != NORMAL and not re.search("left|right|bilateral", name)
    )


def test_what_is_on_both_sides_is_on_each(empty: Filled) -> None:
    names = _names()
    assert len(names) > 150
    sides = ("right", "bilateral", "left")
    empty.write(
        [
            image_document(f"{3 * n + k + 1:016x}", [("human", f"{name}; {side}")])
            for n, name in enumerate(names)
            for k, side in enumerate(sides)
        ]
    )
    lexicon = Lexicon.load()
    wrong: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        right, both, left = range(3 * number + 1, 3 * number + 4)
        for side, wanted in (
            ("right", {right, both}),
            ("left", {left, both}),
            ("bilateral", {both}),
        ):
            for query in (
                f'finding:(disease:"{name}" AND side:{side})',
                f'finding:(disease:"{name}" AND {side})',
            ):
                keys = set(empty.backend.keys(lexicon.expand(parse(query))).tolist())
                # A broader heading finds its narrower ones, on the same side.
                if keys & {right, both, left} != wanted or any(
                    (key - 1) % 3 == sides.index("left" if side == "right" else "right")
                    for key in keys
                    if side != "bilateral"
                ):
                    wrong[query] = sorted(keys)
    assert wrong == {}
    assert vector_keys([f"{1:016x}"]).tolist() == [1]
