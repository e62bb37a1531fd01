"""The lexicon: what words of chest radiology mean, and the query tree widened by it.

The headings are those of `indexer.words.headings`. Expansion happens once, in the tree, so that
every store finds the same: a word becomes any of its synonyms, its heading and the narrower
headings; the value of a label field its heading and the narrower ones. Words in quotes, and words
given by their beginning, shape or likeness, stay as they are.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, product, zip_longest
from typing import Any, TypeAlias

from indexer.database.text.schema import LABELS, stemmed
from indexer.errors import NotFoundError, QueryError
from indexer.words import headings as chest
from indexer.words.headings import Heading
from search.language.spelling import nearest
from search.language.tree import (
    And,
    Boost,
    Finding,
    Node,
    Not,
    Or,
    Phrase,
    Term,
    Value,
    any_of,
    conjunction,
    flattened,
    leaves,
    written,
)

__all__ = [
    "MAX_ALTERNATIVES",
    "MAX_LEAVES",
    "Expansion",
    "Heading",
    "Lexicon",
    "unsayable",
]

# At most this many synonyms of one term are searched for, and this many leaves in an expanded
# query.
MAX_ALTERNATIVES = 60
MAX_LEAVES = 5_000


_Stems: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Expansion:
    """What a term becomes.

    Parameters
    ----------
    term
        As it was asked for.
    headings
        What it may mean.
    expanded
        The tree of a query by the term.
    """

    term: str
    headings: tuple[Heading, ...]
    expanded: Node

    def to_json(self) -> dict[str, Any]:
        """``{"term", "headings", "query"}``."""
        return {
            "term": self.term,
            "headings": [heading.to_json() for heading in self.headings],
            "query": written(self.expanded),
        }


class Lexicon:
    """Headings, found by any of their forms.

    Parameters
    ----------
    headings
        Each name once; `Heading.narrower` is filled in here.
    loose
        Ways to ask for headings that are no ways to look for them.

    Attributes
    ----------
    headings
        Every heading by its name.
    loose
        As given.

    Raises
    ------
    ValueError
        A heading that is named is missing, broader ones go in a circle, two headings share a form,
        or more than `MAX_ALTERNATIVES` stand below one.
    """

    def __init__(
        self, headings: Iterable[Heading], loose: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        given = list(headings)
        below: dict[str, list[str]] = {heading.name: [] for heading in given}
        if len(below) < len(given):
            raise ValueError("a heading stands twice in the lexicon")
        self.loose: Mapping[str, tuple[str, ...]] = {f: tuple(n) for f, n in (loose or {}).items()}
        for names in (*(heading.broader for heading in given), *self.loose.values()):
            if missing := [name for name in names if name not in below]:
                raise ValueError(f'the lexicon has no heading "{missing[0]}", but names it')
        for heading in given:
            for name in heading.broader:
                below[name].append(heading.name)
        self.headings: Mapping[str, Heading] = {
            h.name: replace(h, narrower=tuple(below[h.name])) for h in given
        }
        self._exact = {heading.name for heading in given if heading.exact}
        self._within = {name: self._descend(name) for name in self.headings}
        self._senses: dict[_Stems, tuple[Heading, ...]] = {}
        for heading in self.headings.values():
            for form in (heading.name, *heading.forms):
                known = self._senses.setdefault(stemmed(form), (heading,))
                if known != (heading,):
                    raise ValueError(f'"{form}" is a form of {known[0].name} and {heading.name}')
        for form, names in self.loose.items():
            asked = tuple(self.headings[name] for name in names)
            if (known := self._senses.setdefault(stemmed(form), asked)) != asked:
                raise ValueError(f'"{form}" is a form of {known[0].name}, and loose')
        self._longest = max(map(len, self._senses), default=0)

    @classmethod
    @functools.cache
    def load(cls) -> Lexicon:
        """The lexicon that ships with cxrdex."""
        return cls(chest.headings(), chest.loose_forms())

    @property
    def forms(self) -> list[str]:
        """Everything that can be asked for, sorted: headings, their forms, and loose forms."""
        names = chain.from_iterable((h.name, *h.forms) for h in self.headings.values())
        return sorted({*names, *self.loose})

    def to_json(self) -> dict[str, Any]:
        """``{"headings", "loose", "forms"}``."""
        headings = [heading.to_json() for heading in self.headings.values()]
        return {"headings": headings, "loose": self.loose, "forms": len(self.forms)}

    def senses(self, text: str, kind: str | None = None) -> tuple[Heading, ...]:
        """The headings that `text` may mean; with `kind` those it may be a value of.

        A heading stands by its forms for its usual kind, by its name for all: ``disease:pleural``
        is nothing, though ``disease:pleura`` is.
        """
        stems = stemmed(text)
        found = self._senses.get(stems, ())
        if kind is None:
            return found
        return tuple(
            h for h in found if kind == h.kinds[0] or (kind in h.kinds and stems == stemmed(h.name))
        )

    def within(self, name: str) -> tuple[str, ...]:
        """A heading and all that stand below it, nearest first."""
        return self._within[name]

    def describe(self, term: str) -> Expansion:
        """What a term becomes.

        Raises
        ------
        NotFoundError
            No heading is called so; the text names the nearest spelling.
        """
        headings = self.senses(term)
        if not headings:
            guess = nearest(" ".join(term.split()), self.forms)
            hint = f'; did you mean "{guess}"?' if guess else ""
            shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in term)
            raise NotFoundError(f'the lexicon does not know "{shown[:60]}"{hint}')
        words = (Term(word) for word in term.split() if stemmed(word))
        return Expansion(term, headings, self.expand(conjunction(*words)))

    # ---- trees ----------------------------------------------------------------------------------

    def expand(self, tree: Node) -> Node:
        """`tree` with its words and label values widened; expanding it again changes nothing.

        Words that stand side by side are taken together where they are a form (`collapsed lung`),
        as many as possible. What is known becomes phrases, which no second expansion touches.

        Raises
        ------
        QueryError
            The expanded query has more than `MAX_LEAVES` leaves.
        """
        expanded = self._expand(flattened(tree))
        if sum(1 for _ in leaves(expanded)) > MAX_LEAVES:
            raise QueryError(
                f"with their synonyms these are more than {MAX_LEAVES} words; put words that need "
                "none in quotes"
            )
        return expanded

    def unsayable(self, tree: Node, sayable: Collection[str]) -> list[str]:
        """The diseases in a query that a bundle never says, nor anything narrower.

        Parameters
        ----------
        tree
            As it was parsed, before `expand`. What stands under NOT does not count.
        sayable
            The bundle's findings and words.
        """
        known, named = set(sayable), dict[str, None]()
        for node, headings in self._terms(flattened(tree)):
            for heading in headings:
                is_disease = heading.kinds[0] == "disease"
                if is_disease and not known.intersection(self.within(heading.name)):
                    named[heading.name] = None
            if not headings and isinstance(node, Value) and node.field == "disease":
                named.update({} if node.value in known else {node.value: None})
        return list(named)

    def narrower(self, tree: Node) -> Iterator[tuple[Value, tuple[str, ...]]]:
        """The label values asked for that find others too, with those; none under NOT.

        Parameters
        ----------
        tree
            As it was parsed, before `expand`.
        """
        asked = (leaf for leaf in leaves(tree, positive=True) if isinstance(leaf, Value))
        for value in dict.fromkeys(asked):
            found = (leaf for leaf in leaves(self.expand(value)) if isinstance(leaf, Value))
            others = tuple(v.value for v in found if v.field == value.field and v != value)
            if others:
                yield value, others

    # ---- parts ----------------------------------------------------------------------------------

    def _descend(self, name: str, above: tuple[str, ...] = ()) -> tuple[str, ...]:
        """`name` and all that stand below it, nearest first."""
        if name in above:
            raise ValueError(f"broader headings go in a circle: {' < '.join((*above, name))}")
        below = [self._descend(n, (*above, name)) for n in self.headings[name].narrower]
        ranks = chain.from_iterable(zip_longest(*below))
        found = tuple(dict.fromkeys([name, *(n for n in ranks if n is not None)]))
        if len(found) > MAX_ALTERNATIVES:
            raise ValueError(
                f"{name} stands for {len(found)} headings, and no value may for so many"
            )
        return found

    def _terms(self, node: Node) -> Iterator[tuple[Node, tuple[Heading, ...]]]:
        """What stands in a tree, terms of several words as one, with what it may mean."""
        match node:
            case And(nodes):
                for run in self._runs(nodes):
                    if len(run) > 1 or isinstance(run[0], Term):
                        yield And(run), self._meaning(run)
                    else:
                        yield from self._terms(run[0])
            case Or(nodes):
                for child in nodes:
                    yield from self._terms(child)
            case Boost(child) | Finding(child):
                yield from self._terms(child)
            case Term(text) | Phrase(text):
                yield node, self.senses(text)
            case Value(field, value):
                yield node, self.senses(value, field)

    def _runs(self, nodes: Sequence[Node]) -> Iterator[tuple[Node, ...]]:
        """The nodes of an And in order, words that are a form together in one run."""
        start = 0
        while start < len(nodes):
            first, end = nodes[start], start + 1
            if isinstance(first, Term):
                same = replace(first, text="")
                longest = min(len(nodes), start + self._longest)
                while end < longest and _is_like(nodes[end], same):
                    end += 1
                while end > start + 1 and not self._meaning(nodes[start:end]):
                    end -= 1
            yield tuple(nodes[start:end])
            start = end

    def _meaning(self, words: Sequence[Node]) -> tuple[Heading, ...]:
        return self.senses(" ".join(word.text for word in words if isinstance(word, Term)))

    def _expand(self, node: Node) -> Node:
        match node:
            case Term():
                return self._phrase((node,))
            case Value(field, value) if field in LABELS:
                return self._valued(node, self.senses(value, field))
            case And(nodes):
                return conjunction(
                    *(
                        self._phrase(run) if isinstance(run[0], Term) else self._expand(run[0])
                        for run in self._runs(nodes)
                    )
                )
            case Or(nodes):
                return any_of(self._expand(child) for child in nodes)
            case Not(child) | Boost(child) | Finding(child):
                return replace(node, node=self._expand(child))
        return node

    def _phrase(self, words: Sequence[Node]) -> Node:
        """A run of words, or any other way to say the same."""
        first = words[0]
        assert isinstance(first, Term)
        headings = self._meaning(words)
        if not headings:
            return first
        as_written = [Phrase(w.text, w.field, w.origin) for w in words if isinstance(w, Term)]
        alone = stemmed(first.text) if len(words) == 1 else None
        texts = self._ways(headings, alone)
        ways = (
            Value("disease", text, first.origin)
            if first.field in (None, "annotation") and text in self._exact
            else Phrase(text, first.field, first.origin)
            for text in texts
        )
        return any_of([conjunction(*as_written), *ways])

    @functools.lru_cache(maxsize=4096)  # noqa: B019 (there is one lexicon)
    def _ways(self, headings: tuple[Heading, ...], alone: _Stems | None) -> tuple[str, ...]:
        """Texts to look for, those left out that hold a shorter one, which finds them already."""
        below = [self.headings[n] for h in headings for n in self.within(h.name)[1:]]
        pool = chain(
            chain.from_iterable((h.name, *self._together(h), *h.forms) for h in headings),
            (h.name for h in below),
            (form for form in chain.from_iterable(zip_longest(*(h.forms for h in below))) if form),
        )
        kept: dict[_Stems, str] = {alone: ""} if alone else {}
        for text in pool:
            stems = stemmed(text)
            if any(_holds(stems, shorter) for shorter in kept):
                continue
            for longer in [known for known in kept if _holds(known, stems) and known != alone]:
                del kept[longer]
            kept[stems] = text
        return tuple(text for text in kept.values() if text)[: MAX_ALTERNATIVES - 1]

    def _together(self, heading: Heading) -> list[str]:
        """What a name says of one finding, as annotations have it: the words side by side."""
        ways = product(*(self.within(word) for _, word in heading.means)) if heading.means else ()
        return [" ".join(words) for words in ways]

    def _valued(self, value: Value, headings: Sequence[Heading]) -> Node:
        """A label's value, or any heading that it means or contains."""
        ways: list[Node] = []
        for heading in headings:
            if heading.means:
                parts = (Value(kind, word, value.origin) for kind, word in heading.means)
                ways.append(
                    conjunction(*(self._valued(v, self.senses(v.value, v.field)) for v in parts))
                )
            else:
                ways += (
                    replace(value, value=name)
                    for name in self.within(heading.name)
                    if value.field in self.headings[name].kinds
                )
        if any(heading.means for heading in headings):
            return any_of(ways)
        return any_of([value, *ways])


def unsayable(tree: Node, sayable: Collection[str]) -> list[str]:
    """`Lexicon.unsayable` of the lexicon that ships with cxrdex."""
    return Lexicon.load().unsayable(tree, sayable)


def _holds(stems: _Stems, shorter: _Stems) -> bool:
    width = len(shorter)
    return any(stems[i : i + width] == shorter for i in range(len(stems) - width + 1))


def _is_like(node: Node, word: Term) -> bool:
    return isinstance(node, Term) and replace(node, text="") == word
