"""Are queries understood as radiologists mean them, and are the first ten hits right?

    python -m benchmarks.plain_queries ../shared/openi [--database DB]

The queries, their meanings and how a person's labels judge a hit stand in `plain_queries.toml`.
Without a database the collection is indexed into a temporary one first. One half of the queries, by
the hash of their text, was kept apart while the rules were written; both are printed.
"""

from __future__ import annotations

import csv
import hashlib
import re
import tempfile
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click

from benchmarks.record import write_result
from cli.main import cxrdex
from search.language.lexicon import Lexicon
from search.language.plain.free_text import is_free, understand
from search.language.query import parse
from search.language.tree import And, Finding, Node, Not, Or, Phrase, Term, Value
from search.request import ImageId, SearchRequest
from search.service import SearchService

_FILE = Path(__file__).with_name("plain_queries.toml")
_FIRST = 10
_DENIAL = re.compile(
    r"\b(no|not|without|negative|free of|absen\w+|resol\w+|clear of|denies|ruled? out)\b", re.I
)


@dataclass(frozen=True, slots=True)
class Case:
    """One query of the set."""

    text: str
    meaning: str
    right: str
    left_out: tuple[str, ...]

    @property
    def is_kept_apart(self) -> bool:
        """Whether it was not looked at while the rules were written."""
        return bool(int(hashlib.sha256(self.text.encode()).hexdigest(), 16) % 2)


def cases() -> list[Case]:
    """All of them."""
    rows = tomllib.loads(_FILE.read_text())["queries"]
    return [Case(text, meaning, right, tuple(*more)) for text, meaning, right, *more in rows]


def is_understood(case: Case) -> bool:
    """Whether it is read as meant: the same tree of the same headings, in any order."""
    found = understand(case.text) if is_free(case.text) else None
    if found is None:
        return _canonical(parse(case.text)) == _canonical(parse(case.meaning))
    left_out = {wording for wording, _ in found.left_out}
    return _canonical(parse(found.query)) == _canonical(parse(case.meaning)) and left_out == set(
        case.left_out
    )


def _canonical(node: Node) -> object:
    """A tree without order, whose words are the headings they mean, whatever label they are of."""
    match node:
        case And(nodes) | Or(nodes):
            kind = "and" if isinstance(node, And) else "or"
            inner = [_canonical(n) for n in nodes]
            return kind, frozenset(inner)
        case Not(Or(nodes)):
            return "and", frozenset(("not", _canonical(n)) for n in nodes)
        case Not(child):
            return "not", _canonical(child)
        case Finding(child):
            return "finding", _canonical(child)
        case Term(text, field) | Phrase(text, field) | Value(field, text):
            headings = Lexicon.load().senses(text)
            shown = frozenset(h.name for h in headings) or frozenset({_plain(text)})
            labels = (None, "disease", "organ", "location", "side", "severity", "annotation")
            return (None if field in labels else field), shown
    return node


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


@dataclass(frozen=True, slots=True)
class Labels:
    """What people say of one image."""

    mesh: tuple[str, ...]
    sentences: tuple[str, ...]
    indication: str
    view: str

    def fit(self, rule: str) -> bool:
        """Whether a rule of `plain_queries.toml` holds."""
        return any(all(map(self._fits, way.split("&"))) for way in _ways(rule))

    def _fits(self, test: str) -> bool:
        kind, _, pattern = test.removeprefix("!").partition(":")
        return self._holds(kind, re.compile(pattern, re.I)) != test.startswith("!")

    def _holds(self, kind: str, pattern: re.Pattern[str]) -> bool:
        if kind == "m":
            return any(map(pattern.search, self.mesh))
        if kind == "t":
            found = ((pattern.search(s), s) for s in self.sentences)
            return any(m is not None and not _DENIAL.search(s[: m.start()]) for m, s in found)
        return pattern.search(self.indication if kind == "i" else self.view) is not None


@cache
def _ways(rule: str) -> tuple[str, ...]:
    """The alternatives of a rule; a | inside parentheses belongs to a pattern."""
    return tuple(re.split(r"\|(?=!?[mtiv]:)", rule))


def labels(dataset: Path) -> Iterator[tuple[str, Labels]]:
    """What people say of each image of Open-i, by the stem of its file."""
    with (dataset / "images.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        mesh, texts = _report(dataset / "ecgen-radiology" / f"{row['uid']}.xml")
        found = " ".join((texts.get("FINDINGS", ""), texts.get("IMPRESSION", "")))
        sentences = tuple(re.split(r"(?<=[.;])\s+", found))
        yield (
            row["image_id"],
            Labels(mesh, sentences, texts.get("INDICATION", ""), row["projection"]),
        )


@cache
def _report(path: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    root = ET.parse(path).getroot()
    mesh = tuple((e.text or "").strip().lower() for e in root.iter("major"))
    texts = {e.get("Label", ""): e.text or "" for e in root.iter("AbstractText")}
    return mesh, texts


def _shares(found: list[tuple[Case, bool, list[bool] | None]]) -> dict[str, Any]:
    """Shares over some queries; a query that finds nothing has no hits to judge."""
    judged = [hits for _, _, hits in found if hits is not None]
    some = [hits for hits in judged if hits]
    return {
        "queries": len(found),
        "understood": round(sum(ok for _, ok, _ in found) / len(found), 4),
        "judged_by_hits": len(judged),
        "without_hits": len(judged) - len(some),
        "first_ten_right": round(sum(sum(hits) / len(hits) for hits in some) / len(some), 4),
        "misunderstood": [case.text for case, ok, _ in found if not ok],
        "first_ten_below_half_right": {
            case.text: f"{sum(hits)}/{len(hits)}"
            for case, _, hits in found
            if hits and sum(hits) * 2 < len(hits)
        },
    }


def _judged(service: SearchService, case: Case, known: dict[str, Labels]) -> list[bool] | None:
    """Whether each of the first hits is right; None where labels cannot tell."""
    if not case.right:
        return None
    results = service.search(SearchRequest(words=case.text, limit=_FIRST, facets=()))
    files = (service.show(ImageId(hit.id)).record.files[0] for hit in results.hits)
    return [known[Path(file.name).stem].fit(case.right) for file in files]


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path, exists=True))
@click.option("--database", type=click.Path(path_type=Path), help="The collection, indexed.")
def main(dataset: Path, database: Path | None) -> None:
    """Print and keep what is understood and what is found."""
    known = dict(labels(dataset))
    with tempfile.TemporaryDirectory() as folder:
        if database is None:
            database = Path(folder) / "database"
            cxrdex(["index", str(dataset), "--database", str(database)], standalone_mode=False)
        with SearchService(database) as service:
            found = [(c, is_understood(c), _judged(service, c, known)) for c in cases()]
    write_result(
        "plain-queries",
        {
            "command": "python -m benchmarks.plain_queries ../shared/openi --database DB",
            "images": len(known),
            "while_building": _shares([row for row in found if not row[0].is_kept_apart]),
            "kept_apart": _shares([row for row in found if row[0].is_kept_apart]),
        },
    )


if __name__ == "__main__":
    main()
