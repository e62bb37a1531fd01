"""No word of the lexicon finds a report that only denies it, over all train reports of Open-i."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from indexer.archive.reports import parse_report
from indexer.database.text.schema import analyzer
from indexer.database.text.tantivy.store import EmbeddedTextStore
from search.language.lexicon import Lexicon
from search.language.tree import Phrase, Term, conjunction, leaves
from search.stores.tantivy.backend import EmbeddedBackend
from tests.search.corpus import image_document

_DENIALS = ("no", "without")
# After these a "no" denies a change, or denies no more.
_OTHERWISE = frozenset(
    analyzer().analyze(
        "change increase decrease longer more interval worsening but with is are significant"
        " difference progression improvement doubt enlargement"
    )
)


def _is_denied(before: Sequence[str]) -> bool:
    """Whether the words right before one plainly deny it: told without the labeller's rules."""
    places = [i for i, word in enumerate(before) if word in _DENIALS]
    return bool(places) and not _OTHERWISE.intersection(before[places[-1] :])


def _reports(folder: Path) -> Iterator[dict[str, str]]:
    with (folder / "images.csv").open(newline="") as file:
        studies = sorted({row["uid"] for row in csv.DictReader(file) if row["split"] == "train"})
    for study in studies:
        path = folder / "ecgen-radiology" / f"{study}.xml"
        yield parse_report(path.read_bytes(), path.name, b"k" * 32).sections


def test_no_word_finds_a_report_that_only_denies_it(shared: Path, tmp_path: Path) -> None:
    folder = shared / "openi"
    if not folder.is_dir():
        pytest.skip(f"no Open-i reports at {folder}")
    reports = list(_reports(folder))
    documents = [image_document(f"{n:016x}", report=report) for n, report in enumerate(reports)]
    store = EmbeddedTextStore(tmp_path / "text", create=True)
    store.apply(documents, [])
    backend, lexicon, cut = EmbeddedBackend(store), Lexicon.load(), analyzer()
    spoken = [
        {tuple(cut.analyze(a["text"])) for a in document["annotations"]} for document in documents
    ]
    sentences: list[list[str]] = []
    of_report: list[int] = []
    places: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for number, report in enumerate(reports):
        text = " ".join(report.get(section, "") for section in ("findings", "impression"))
        for sentence in re.split(r"(?<=[.?!])\s+", text):
            for place, stem in enumerate(stems := cut.analyze(sentence)):
                places[stem].append((len(sentences), place))
            sentences.append(stems)
            of_report.append(number)

    def denied(phrase: list[str]) -> dict[int, set[bool]]:
        """Whether the phrase is plainly denied where it stands, by report."""
        found: dict[int, set[bool]] = defaultdict(set)
        for sentence, place in places[phrase[0]]:
            stems = sentences[sentence]
            if stems[place : place + len(phrase)] == phrase:
                found[of_report[sentence]].add(_is_denied(stems[max(0, place - 4) : place]))
        return found

    known: dict[tuple[str, ...], dict[int, set[bool]]] = {}
    wrong: list[tuple[str, int]] = []
    hits = 0
    for form in lexicon.forms:
        words = [word for word in re.findall(r"[\w'-]+", form.lower()) if cut.analyze(word)]
        tree = lexicon.expand(conjunction(*map(Term, words)))
        texts = (leaf.text for leaf in leaves(tree) if isinstance(leaf, Phrase | Term))
        phrases = {tuple(stems) for text in texts if (stems := cut.analyze(text))}
        for phrase in phrases - known.keys():
            known[phrase] = denied(list(phrase))
        how: dict[int, set[bool]] = defaultdict(set)
        for phrase in phrases:
            for key, ways in known[phrase].items():
                how[key] |= ways
        found = set(backend.keys(tree).tolist())
        hits += len(found)
        for key in found & {key for key, ways in how.items() if ways == {True}}:
            is_labelled = any(
                phrase == stems[i : i + len(phrase)]
                for stems in spoken[key]
                for phrase in phrases
                for i in range(len(stems))
            )
            if not is_labelled:
                wrong.append((form, key))
    store.close()
    assert hits > 50_000, hits
    assert dict(wrong) == {}
