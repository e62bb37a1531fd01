"""A word for one thing finds no other one."""

from __future__ import annotations

from indexer.database.text.schema import stemmed
from search.language.lexicon import Lexicon

LEXICON = Lexicon.load()

# Headings that forms of others stand in and rightly find.
_PART_OF = {
    ("blister", "bullous emphysema"),
    ("calcinosis", "calcified granuloma"),
    ("intubation, intratracheal", "intubation, gastrointestinal"),
}


def holds(stems: tuple[str, ...], shorter: tuple[str, ...]) -> bool:
    width = len(shorter)
    return any(stems[i : i + width] == shorter for i in range(len(stems) - width + 1))


def test_no_form_finds_another_disease() -> None:
    diseases = [h for h in LEXICON.headings.values() if h.kinds[0] == "disease"]
    found = set()
    for heading in diseases:
        within = LEXICON.within(heading.name)
        # Diseases of bones are of bones.
        if "bone" in heading.name:
            continue
        for other in diseases:
            stems, names = stemmed(other.name), [stemmed(name) for name in within]
            if other.name in within or any(holds(stems, name) for name in names):
                continue
            if any(holds(stems, stemmed(form)) for form in heading.forms):
                found.add((heading.name, other.name))
    assert found == _PART_OF
