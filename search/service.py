"""The engine: a database's searches behind one door."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from indexer.annotation import kind_of
from indexer.cascade.compute import Compute
from indexer.database.reader import Database
from indexer.database.text.documents import Document
from indexer.errors import (
    ArchiveError,
    BundleError,
    DatabaseMismatch,
    ImageError,
    NotFoundError,
    QueryError,
)
from search.facets import check_facets, facet_counts
from search.language.filters import parse_choices, parse_filters
from search.language.lexicon import Lexicon, unsayable
from search.language.plain.reading import read
from search.language.tree import (
    MatchAll,
    Node,
    Prefix,
    Word,
    conjunction,
    leaves,
    narrow,
    origin_of,
)
from search.language.vocabulary import FIELDS, Vocabulary
from search.paging import Cursor, Sort, signature
from search.pictures.likeness import GROUPS, alike
from search.results import Hit, Results, Shown

if TYPE_CHECKING:
    from indexer.archive.decoding import DecodedImage
    from indexer.cascade.bundle import Bundle
    from indexer.cascade.reading import Runtime
    from indexer.cascade.text_space import TextSpace
    from search.combined import Mode
    from search.semantic import Semantic
    from search.stores.backend import Backend

__all__ = ["Engine"]


_ID = re.compile(r"[0-9a-f]{6,16}")
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class _Query:
    """A picture to find the like of: its vector, and what is known of whom it shows."""

    vector: npt.NDArray[np.float32]
    #: Of an image of the database, which is then left out itself.
    id: str | None
    study: str | None
    patient: str | None


class Engine:
    """Searches one database; a context manager.

    Parts are opened when they are first needed: FAISS for pictures, the text store for words and
    filters, the cascade for pictures that are not in the database.

    Parameters
    ----------
    database
        The database's folder.
    compute
        The bundle that reads query files, and where and in what it computes.

    Raises
    ------
    DatabaseError
        There is no database, it is damaged, or of another version.
    """

    def __init__(
        self,
        database: Path,
        compute: Compute = Compute(),
    ) -> None:
        self.database = Database.open(database)
        self._path = database
        self._compute = compute.with_bundle_of(self.database.manifest.bundle_path)
        self._no_text_space = ""

    def close(self) -> None:
        """Close the database's files."""
        if "_backend" in self.__dict__:
            self._backend.close()
        self.database.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- by words -------------------------------------------------------------------------------

    def search(
        self,
        query: str,
        *,
        filters: Iterable[str] = (),
        facets: Iterable[str] = ("disease",),
        facet_size: int = 20,
        limit: int = 20,
        page: int = 1,
        sort: str = "score",
        after: str | None = None,
        choices: Iterable[str] = (),
        literal: bool = False,
    ) -> Results:
        """Images whose annotations and reports match a query, best first.

        Parameters
        ----------
        query
            Free text (`search.language.plain`), or in the language of `search.language.query`.
        filters
            Further conditions (`search.language.filters`); they do not count in the score.
        facets
            Fields whose values are counted over all images that match.
        facet_size
            Values per facet, the commonest first.
        limit, page
            Hits per page, and which page, from 1.
        sort
            ``"score"``, or ``"age"``, ``"year"``, ``"id"``, each also with ``:desc``.
        after
            Token of the page before (`Results.after`), instead of `page`.
        choices
            ``facet=value``: hits must have one of the values chosen in each facet, but a facet's
            own choice does not shrink its counts.
        literal
            Take free text for a query in the language.

        Raises
        ------
        QueryError
            Query, filter, facet or page is wrong; the text says where and what would be right.
        """
        from search.highlights import Highlighter

        if page < 1 or limit < 0:
            raise QueryError(f"page {page} of {limit} hits: pages count from 1, hits from 0")
        if after is not None and page != 1:
            raise QueryError("name a page or the token of the page before, not both")
        names = check_facets(tuple(facets))
        order = Sort.parse(sort)
        filters = tuple(filters)
        conditions = self._conditions(filters)
        # A choice is what a facet shows, so it is not expanded.
        chosen = parse_choices(choices, self._vocabulary)
        expand = Lexicon.load().expand
        reading = read(query, self._vocabulary, literal=literal).matching(
            lambda tree: (
                self._backend.search(expand(tree), conditions, limit=0, chosen=chosen).total
            ),
            self._vocabulary,
        )
        parsed, tree = reading.tree, expand(reading.tree)
        sign = signature(tree, conditions, sorted(chosen.items()), order)
        found = self._backend.search(
            tree,
            conditions,
            facets=names,
            facet_size=facet_size,
            limit=limit,
            offset=(page - 1) * limit,
            after=Cursor.read(after, sign) if after is not None else None,
            sort=order,
            chosen=chosen,
        )
        asked = origin_of(conjunction(conditions, *chosen.values()))
        highlighter = Highlighter(narrow(tree, asked))
        hits = [Hit(d["id"], score, d, highlighter.mark(d)) for score, d in found.hits]
        return Results(
            found.total,
            hits,
            found.facets,
            found.after.token(sign) if found.after is not None else None,
            self._suggestions(parsed),
            (
                *reading.notes,
                *self._notes(parsed),
                *_widened(conjunction(parsed, parse_filters(filters, self._vocabulary)), names),
            ),
            reading.to_json(),
        )

    def _suggestions(self, tree: Node) -> dict[str, list[str]]:
        """Near words for each plain word that the text store does not know."""
        words = {leaf.text: None for leaf in leaves(tree, positive=True) if isinstance(leaf, Word)}
        near = {word: self._backend.suggest(word) for word in words}
        return {word: found for word, found in near.items() if found}

    # ---- by meaning, and by several things at once -----------------------------------------------

    def combined(
        self,
        query: str,
        mode: Mode = "hybrid",
        *,
        image: str | Path | None = None,
        filters: Iterable[str] = (),
        facets: Iterable[str] = ("disease",),
        facet_size: int = 20,
        limit: int = 20,
        page: int = 1,
        literal: bool = False,
    ) -> Results:
        """Images found by words, by meaning, by picture or by all of them, with the reasons.

        Parameters
        ----------
        query
            With ``"semantic"`` any sentence; else as in `search`.
        mode
            ``"words"``, ``"semantic"`` (by meaning) or ``"hybrid"`` (both).
        image
            An image file, or the id of an image of the database, which is then left out itself:
            images like it are found too.
        filters
            Conditions on the images that may be found, whatever finds them.
        facets
            Fields whose values are counted over the images ranked, at most 1,000.
        facet_size
            Values per facet, the commonest first.
        limit, page
            Hits per page, and which page, from 1; pages end with the images ranked.
        literal
            Take free text for a query in the language; a sentence as it stands.

        Raises
        ------
        QueryError
            Query, filter, facet or page is wrong.
        MissingExtraError
            The sentence model is not installed.
        NotFoundError, ArchiveError, DatabaseMismatch
            As of `similar`, of `image`.
        """
        from search.combined import MODES, WINDOW, Asked, answer, check_page, demands, sentence_of

        if mode not in MODES:
            raise QueryError(f'no mode "{mode}"; there are {", ".join(MODES)}')
        check_page(page, limit)
        names = check_facets(tuple(facets))
        conditions = self._conditions(filters)
        tree = meaning = None
        sentence = query
        notes: list[str] = []
        reading = None
        if mode != "semantic":
            reading = read(query, self._vocabulary, literal=literal)
            tree = Lexicon.load().expand(reading.tree)
            conditions = conjunction(conditions, demands(tree))
            sentence = sentence_of(reading.tree)
            notes += (*reading.notes, *self._notes(reading.tree))
        if mode == "semantic" or (mode == "hybrid" and sentence):
            meaning = self._semantic.ask(sentence)
            if self._text_space is None:
                notes.append("pictures were not compared with the words: " + self._no_text_space)
        elif mode == "hybrid":
            notes.append("the query has no words that could mean something; it is answered as is")
        picture: list[tuple[str, float]] = []
        left_out: set[str] = set()
        if image is not None:
            from indexer.database.vectors.shards import keys_of

            like = self._query(image, False, False)
            left_out = {like.id} if like.id else set()
            restricted = not isinstance(conditions, MatchAll)
            picture = alike(
                self.database,
                like.vector,
                WINDOW,
                same=like.id,
                keys=self._backend.keys(conditions) if restricted else None,
                excluded=keys_of(sorted(left_out)),
            )
        return answer(
            Asked(conditions, tree, meaning, picture, frozenset(left_out)),
            self.database,
            self._backend,
            facets=names,
            facet_size=facet_size,
            limit=limit,
            page=page,
            notes=notes,
            understood=reading.to_json() if reading is not None else None,
        )

    # ---- by picture -----------------------------------------------------------------------------

    def similar(
        self,
        source: str | Path,
        k: int = 10,
        *,
        filters: Iterable[str] = (),
        facets: Iterable[str] = ("disease",),
        facet_size: int = 20,
        exclude_study: bool = False,
        exclude_patient: bool = False,
        group: str | None = None,
        pool_studies: bool = True,
    ) -> Results:
        """The `k` images most like one picture (see `search.pictures.likeness.alike`).

        Parameters
        ----------
        source
            An image file, or the id of an image of the database, which is then left out itself.
        filters
            Conditions on the images that may be found.
        facets
            Fields whose values are counted over the hits.
        exclude_study, exclude_patient
            Leave out the images of the query's own study or patient.
        group
            One of `GROUPS`: of each study (or patient) give the best image only, and still `k`.
        pool_studies
            Compare the mean vectors of whole studies, not those of single images.

        Raises
        ------
        QueryError
            A filter is wrong, or the file does not say which study or patient it is of.
        NotFoundError
            `source` is neither a file nor the id of one image.
        ArchiveError
            The file is no chest radiograph that can be read.
        DatabaseMismatch
            The bundle is not the one the database was made with.
        """
        from indexer.database.vectors.shards import keys_of

        if k < 1:
            raise QueryError(f"{k} neighbours: ask for at least 1")
        if group is not None and group not in GROUPS:
            raise QueryError(f'no grouping by "{group}"; there are {" and ".join(GROUPS)}')
        names = check_facets(tuple(facets))
        conditions = self._conditions(filters)
        query = self._query(source, exclude_study, exclude_patient)
        left_out = {query.id} if query.id else set()
        if exclude_study and query.study:
            left_out |= set(self.database.image_ids(study=query.study))
        if exclude_patient and query.patient:
            left_out |= set(self.database.image_ids(patient=query.patient))
        excluded = keys_of(sorted(left_out))
        keys = None if isinstance(conditions, MatchAll) else self._backend.keys(conditions)
        found = alike(
            self.database,
            query.vector,
            k,
            same=query.id,
            keys=keys,
            excluded=excluded,
            group=group,
            pool_studies=pool_studies,
        )
        scores = dict(found)
        hits = [Hit(d["id"], scores[d["id"]], d) for d in self.database.documents(scores)]
        candidates = self.database.vectors().keys if keys is None else keys
        total = len(candidates) - int(np.isin(excluded, candidates).sum())
        counts = facet_counts((hit.document for hit in hits), names, facet_size)
        return Results(total, hits, counts)

    def show(self, source: str) -> Shown:
        """Everything about one image; its files are for the person at the terminal only.

        Parameters
        ----------
        source
            Its id, or the first 6 digits or more of it.

        Raises
        ------
        NotFoundError
            No image, or more than one, has this id.
        """
        image_id = self.resolve(source)
        if image_id is None:
            raise NotFoundError(
                f'"{source}" is no image id: ids are {_DIGITS} hexadecimal digits, '
                "of which the first 6 may do"
            )
        return Shown(self.database.image(image_id), self.database.manifest.bundle_name)

    def resolve(self, text: str) -> str | None:
        """The id that `text` is, or begins; None where it does not look like one.

        Raises
        ------
        NotFoundError
            No image, or more than one, has this id.
        """
        prefix = text.strip().lower()
        if not _ID.fullmatch(prefix):
            return None
        if len(prefix) == _DIGITS:
            if prefix not in self.database:
                raise NotFoundError(f"no image of {self._path} has the id {prefix}")
            return prefix
        from indexer.database.vectors.shards import id_of

        keys = self._backend.keys(Prefix(prefix, "id"))
        if len(keys) != 1:
            many = f"{len(keys)} images" if len(keys) else "no image"
            raise NotFoundError(f"{many} of {self._path} have an id that begins with {prefix}")
        return id_of(int(keys[0]))

    # ---- the query picture ----------------------------------------------------------------------

    def _query(self, source: str | Path, exclude_study: bool, exclude_patient: bool) -> _Query:
        path = Path(source)
        # Unlike Path.exists, this is False for a name no file can have.
        if os.path.exists(path):
            return self._query_file(path, exclude_study, exclude_patient)
        image_id = self.resolve(str(source))
        if image_id is None:
            raise NotFoundError(
                f'"{source}" is neither a file nor an image id; ids are {_DIGITS} hexadecimal '
                "digits, of which the first 6 may do"
            )
        from indexer.database.vectors.shards import keys_of

        (document,) = self.database.documents([image_id])
        vector = self.database.vectors().vectors_of(keys_of([image_id]))[0]
        return _Query(vector, image_id, document["study"], document["patient"])

    def _query_file(self, path: Path, exclude_study: bool, exclude_patient: bool) -> _Query:
        key = self._key(path) if exclude_study or exclude_patient else b""
        decoded = self._decode(path, key)
        reading = self._runtime.read(decoded.canvas[None])[0]
        study = patient = None
        if key:
            study, patient = self._whose(path, decoded, key)
        return _Query(reading.embedding, None, study, patient)

    def _key(self, path: Path) -> bytes:
        """The secret behind the database's ids, without which a file's study is unknown."""
        from indexer.archive.deidentify import fingerprint
        from indexer.archive.id_key import load_key

        key = load_key()
        if fingerprint(key) != self.database.manifest.key:
            raise QueryError(
                f"{path}: its study and patient cannot be compared with those of {self._path}, "
                f"whose id key is {self.database.manifest.key} and not {fingerprint(key)}; name "
                "that key's file in CXRDEX_KEY_FILE, or query by id"
            )
        return key

    def _decode(self, path: Path, key: bytes) -> DecodedImage:
        from indexer.archive.decoding import DecodeSettings, decode

        manifest = self.database.manifest
        settings = DecodeSettings(size=manifest.size, squash=manifest.squash, key=key)
        if path.is_dir():
            raise ArchiveError(f"{path} is a folder; name one image file")
        try:
            return decode(path.read_bytes(), path.name, settings)
        except ImageError as error:
            raise ArchiveError(f"{path}: {error.detail} ({error.reason})") from error
        except OSError as error:
            raise ArchiveError(f"{path} cannot be read: {error.strerror}") from error

    def _whose(self, path: Path, decoded: DecodedImage, key: bytes) -> tuple[str, str]:
        """Study and patient of a query file: those of the same image in the database, or its own.

        A file that names no study has one made of its own image id.
        """
        from indexer.archive.deidentify import pseudonym

        known: Document | None = next(self.database.documents([decoded.image_id]), None)
        if known is not None:
            return known["study"], known["patient"]
        if decoded.study == pseudonym(key, "study", f"image:{decoded.image_id}"):
            raise QueryError(
                f"{path} does not say which study or patient it is of, so neither can be left out"
            )
        return decoded.study, decoded.patient

    # ---- parts ----------------------------------------------------------------------------------

    def _conditions(self, filters: Iterable[str]) -> Node:
        """The tree of all filters, expanded."""
        given = tuple(filters)
        if not given:
            return MatchAll()
        return Lexicon.load().expand(parse_filters(given, self._vocabulary))

    def _notes(self, query: Node) -> tuple[str, ...]:
        """What the labels of the database's bundle cannot answer of a query."""
        words = {word for words in self._said.values() for word in words}
        if not words or not (missing := unsayable(query, words)):
            return ()
        names = ", ".join(f'"{name}"' for name in missing)
        return (f"no image is predicted to have {names}: only people and reports can say so",)

    @cached_property
    def _backend(self) -> Backend:
        from search.stores.opening import open_backend

        manifest, folder = self.database.manifest, self.database.layout.text
        return open_backend(manifest.text, folder, index=manifest.text_index, url=manifest.text_url)

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        closed = [field for field, kind in FIELDS.items() if kind == "closed"]
        values = {field: self._backend.values(field) for field in closed}
        return Vocabulary(values, self._sayable)

    def _sayable(self) -> dict[str, list[str]]:
        """What the database's bundle and the reader of reports can say, by field."""
        from indexer.words.labeller_rules import FINDINGS

        read = [rule.disease for rule in FINDINGS]
        return {**self._said, "disease": [*self._said.get("disease", ()), *read]}

    @cached_property
    def _said(self) -> dict[str, list[str]]:
        """What the database's bundle can say, by field; empty where that is not known."""
        try:
            bundle = self._compute.load_bundle()
        except BundleError:
            # Words can be searched without any bundle; then it is not known what it could say.
            return {}
        if bundle.hash != self.database.manifest.bundle:
            return {}
        values: dict[str, list[str]] = {"disease": list(bundle.findings)}
        for word in bundle.labels.vocabulary:
            if (kind := kind_of(word)) != "other":
                values.setdefault(kind, []).append(word)
        return values

    @cached_property
    def _bundle(self) -> Bundle:
        bundle = self._compute.load_bundle()
        self.database.layout.check(self.database.manifest, bundle)
        return bundle

    @cached_property
    def _text_space(self) -> TextSpace | None:
        """Where the database's bundle places pictures among sentences; None where it does not."""
        from indexer.cascade.text_space import TextSpace

        try:
            return TextSpace.of(self._bundle)
        except (BundleError, DatabaseMismatch) as error:
            # Annotations can be compared without any bundle.
            self._no_text_space = str(error)
            return None

    @cached_property
    def _semantic(self) -> Semantic:
        from search.semantic import Semantic

        return Semantic(self.database, self._backend, self._text_space)

    @cached_property
    def _runtime(self) -> Runtime:
        from indexer.cascade.reading import Runtime

        return Runtime(self._bundle, self._compute, batch_size=1)


def _widened(tree: Node, facets: Collection[str]) -> Iterator[str]:
    """Which values asked for have hits that their facet counts by a narrower name."""
    for value, narrower in Lexicon.load().narrower(tree):
        if value.field in facets:
            more = f" and {len(narrower) - 3} more" if len(narrower) > 3 else ""
            yield (
                f'{value.field}:"{value.value}" also finds {", ".join(narrower[:3])}{more}; the '
                "facet counts each by its own name"
            )
