"""The one door to a database's searches: `SearchService.search` answers every `SearchRequest`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from indexer.cascade.compute import Compute
from indexer.database.layout import Layout
from indexer.errors import (
    ArchiveError,
    BundleError,
    DatabaseMismatch,
    ImageError,
    MissingExtraError,
    TextStoreUnavailable,
)
from search.models import Models, Once
from search.request import ImageFile, ImageId, SearchRequest, Upload, facet_name
from search.results import Results, Shown, document_without_report
from search.snapshot import Snapshot, Snapshots

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from indexer.archive.limits import Limits
    from indexer.cascade.bundle import Bundle
    from indexer.cascade.reading import Reading
    from indexer.cascade.text_space import TextSpace
    from indexer.cascade.trained_on import TrainedOn
    from indexer.pipeline.progress import Summary
    from search.hybrid.semantic import AnnotationTexts, Semantic
    from search.understanding import DatabaseTerms

__all__ = ["SearchService", "meanings_survive", "prepare_meanings"]

_log = logging.getLogger(__name__)

T = TypeVar("T")

# Facets of a search by picture count the images found, so as many are looked for as are shown.
_COUNTED = 200


class SearchService:
    """Searches one database; a context manager that threads may share.

    Models, indexes and workers are loaded when they are first needed and live as long as it does.
    Each request sees one moment of the database: what is committed meanwhile is seen by the next.

    Parameters
    ----------
    database
        The database's folder.
    compute
        The bundle that reads query pictures, and where and in what it computes.
    limits
        What one query picture may cost; None for the defaults.
    decoders
        Query pictures that may be decoded at once.

    Raises
    ------
    DatabaseError
        There is no database, or it is damaged.
    DatabaseMismatch
        It has another format version.
    """

    def __init__(
        self,
        database: Path,
        compute: Compute = Compute(),
        *,
        limits: Limits | None = None,
        decoders: int = 1,
    ) -> None:
        self._snapshots = Snapshots(database)
        compute = compute.with_default_bundle(self._snapshots.manifest.bundle_path)
        self._models = Models(compute, limits, decoders)
        self._terms: Once[DatabaseTerms] = Once()
        #: Whether it shows the text of reports, and looks into it.
        self.shows_reports = True
        self._annotations: Once[AnnotationTexts] = Once()

    @property
    def layout(self) -> Layout:
        """Where the parts of the database lie."""
        return self._snapshots.layout

    def close(self) -> None:
        """Close the database's files, and end the workers."""
        self._models.close()
        self._snapshots.close()

    def __enter__(self) -> SearchService:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def without_reports(self) -> SearchService:
        """The same service for someone who may not see the text of reports; it is not closed."""
        service = copy(self)
        service.shows_reports = False
        return service

    def search(self, request: SearchRequest) -> Results:
        """Answer one request.

        Raises
        ------
        QueryError
            Query, filter, facet, page or token is wrong; the text says what would be right.
        NotFoundError
            The picture is no image of the database.
        ArchiveError
            The picture is no chest radiograph that can be read.
        DatabaseMismatch
            The bundle that would read the picture is not the one the database was made with.
        MissingExtraError
            The sentence model, or what computes the CNN, is not installed.
        TextStoreUnavailable
            Elasticsearch does not answer.
        """
        if not self.shows_reports:
            request = replace(request, reports=False)
        return self._snapshots.ask(
            lambda snapshot: self._answer(request, snapshot), text=_asks_text(request)
        )

    def ask(self, question: Callable[[Snapshot], T], *, text: bool = False) -> T:
        """What a question gives of the newest moment; see `search.snapshot.Snapshots.ask`."""
        return self._snapshots.ask(question, text=text)

    def snapshot(self, *, text: bool = False) -> AbstractContextManager[Snapshot]:
        """The newest moment, to be asked for several things in a ``with``."""
        return self._snapshots.open(text=text)

    def prepare(self, known: Mapping[str, npt.NDArray[np.float32]] | None = None) -> None:
        """Encode what annotations say, so that the first search by meaning need not.

        Parameters
        ----------
        known
            Vectors of texts that need not be encoded.

        Raises
        ------
        MissingExtraError
            The sentence model is not installed.
        TextStoreUnavailable
            Elasticsearch does not answer.
        """
        with self.snapshot(text=True) as snapshot:
            self._encoded(snapshot, known)

    def near_words(self, words: Iterable[str]) -> dict[str, list[str]]:
        """For each word that the database does not know, words that are spelt nearly so.

        None for someone who may not see the text of reports: near words may be words of these.
        """
        if not self.shows_reports:
            return {}
        with self.snapshot(text=True) as snapshot:
            near = {word: snapshot.text.suggest(word) for word in words}
        return {word: found for word, found in near.items() if found}

    def terms(self, snapshot: Snapshot) -> DatabaseTerms:
        """How words are understood in a moment that was opened with its text."""
        return self._load_terms(snapshot, self.shows_reports)

    def bundle(self) -> Bundle:
        """The bundle that the database was made with.

        Raises
        ------
        BundleError
            There is none, or it is damaged.
        DatabaseMismatch
            It is not the one the database was made with.
        """
        bundle = self._models.bundle()
        with self.snapshot() as snapshot:
            snapshot.database.layout.check(snapshot.manifest, bundle)
        return bundle

    def read(self, picture: Upload | ImageFile) -> Reading:
        """What the bundle says of a query picture.

        Raises
        ------
        ArchiveError
            It is no chest radiograph that can be read.
        DatabaseMismatch
            The bundle is not the one the database was made with.
        """
        from search.pictures.query import id_key

        self.bundle()
        name = picture.name if isinstance(picture, Upload) else str(picture.path)
        with self.snapshot() as snapshot:
            # The key that a search by the same picture takes, so that it is decoded for both.
            manifest, key = snapshot.manifest, id_key(name, snapshot, needed=False)
        try:
            return self._models.film(picture, manifest, key).read()
        except ImageError as error:
            raise ArchiveError(f"{name}: {error.detail} ({error.reason})") from error

    def show(self, image: ImageId) -> Shown:
        """Everything about one image; its files are for the person at the terminal only.

        Raises
        ------
        NotFoundError
            No image, or more than one, has this id.
        """
        with self._snapshots.open(text=not image.is_whole) as snapshot:
            record = snapshot.database.image(snapshot.resolve(image))
            if not self.shows_reports:
                hidden = document_without_report(record.document)
                record = replace(record, document=hidden, report=None)
            return Shown(record, snapshot.manifest.bundle_name)

    def resolve(self, image: ImageId) -> str:
        """The id that an id, or the beginning of one, stands for.

        Raises
        ------
        NotFoundError
            No image, or more than one, has this id.
        """
        with self._snapshots.open(text=not image.is_whole) as snapshot:
            return snapshot.resolve(image)

    def thumbnail(self, image: ImageId) -> bytes | None:
        """WebP file of an image; None where there is none or it may not be shown.

        Raises
        ------
        NotFoundError
            No image, or more than one, has this id.
        """
        with self._snapshots.open(text=not image.is_whole) as snapshot:
            return snapshot.database.thumbnail(snapshot.resolve(image))

    def trained_on(self, snapshot: Snapshot) -> TrainedOn | None:
        """What the bundle of the database was trained on; None where that is not known."""
        return self._models.trained_on(snapshot.manifest)

    def _answer(self, request: SearchRequest, snapshot: Snapshot) -> Results:
        results = self._ranked(request, snapshot)
        known = self.trained_on(snapshot)
        if known is None:
            return results
        names = snapshot.database.ledger.files.names_by_image([hit.id for hit in results.hits])
        hits = [
            replace(hit, in_sample=any(name in known for name in names.get(hit.id, ())))
            for hit in results.hits
        ]
        return replace(results, hits=hits)

    def _ranked(self, request: SearchRequest, snapshot: Snapshot) -> Results:
        results = self._found(request, snapshot)
        if request.by_words_alone or not request.choices:
            return results
        # A facet's own choice does not shrink its counts, which a text store sees to by itself.
        counts = dict(results.facets)
        first = replace(request, page=1, after=None, limit=min(request.limit, _COUNTED))
        for name in request.facets:
            others = tuple(c for c in request.choices if facet_name(c) != name)
            if len(others) < len(request.choices):
                free = replace(first, choices=others, facets=(name,))
                counts |= self._found(free, snapshot).facets
        return replace(results, facets=counts)

    def _found(self, request: SearchRequest, snapshot: Snapshot) -> Results:
        if request.by_words_alone:
            from search.words import search_words

            return search_words(request, snapshot.text, self._load_terms(snapshot, request.reports))
        picture = None
        if request.picture is not None:
            from search.pictures.query import query_picture

            whose = request.exclude is not None
            picture = query_picture(request.picture, snapshot, self._models, whose=whose)
        if request.by_picture_alone:
            assert picture is not None
            from search.pictures.search import search_picture

            return search_picture(
                request, picture, snapshot, lambda one: self._load_terms(one, request.reports)
            )
        from search.hybrid.combined import search_combined

        terms = self._load_terms(snapshot, request.reports)
        return search_combined(request, snapshot, terms, lambda: self._semantic(snapshot), picture)

    # ---- what is kept ---------------------------------------------------------------------------

    def _load_terms(self, snapshot: Snapshot, reports: bool) -> DatabaseTerms:
        def make() -> DatabaseTerms:
            from search.understanding import DatabaseTerms

            return DatabaseTerms(snapshot.text, self._models.sayable(snapshot.manifest))

        terms = self._terms.get((snapshot.text.version, snapshot.manifest.bundle), make)
        return terms if reports else terms.without_reports()

    def _semantic(self, snapshot: Snapshot) -> tuple[Semantic, str]:
        """What answers sentences, and why it cannot compare them with pictures, if so."""
        from search.hybrid.semantic import Semantic

        space: TextSpace | None = None
        why_not = ""
        try:
            snapshot.database.layout.check(snapshot.manifest, self._models.bundle())
            space = self._models.text_space()
        except (BundleError, DatabaseMismatch) as error:
            # Annotations can be compared without any bundle.
            why_not = str(error)
        return Semantic(snapshot, self._encoded(snapshot), space), why_not

    def _encoded(
        self, snapshot: Snapshot, known: Mapping[str, npt.NDArray[np.float32]] | None = None
    ) -> AnnotationTexts:
        from search.hybrid.semantic import AnnotationTexts

        return self._annotations.get(
            snapshot.text.version,
            lambda: AnnotationTexts(snapshot.text, snapshot.database.layout.semantic, known),
        )


def _asks_text(request: SearchRequest) -> bool:
    """Whether the text store has to be asked, which need not be there for a picture alone."""
    part_of_id = isinstance(request.picture, ImageId) and not request.picture.is_whole
    return not request.by_picture_alone or request.is_bounded or part_of_id


def prepare_meanings(database: Path, summary: Summary) -> None:
    """Encode what the annotations of a database say, where a run has changed them.

    Killed meanwhile, or where the sentence model or the text store cannot be had, nothing is lost:
    the first search by meaning does the rest. Ctrl-C ends it in the same way.
    """
    changed = summary.done or summary.reports_changed or not Layout(database).semantic.exists()
    if summary.interrupted or summary.waiting or not changed:
        return
    _make_ready(database)


@contextmanager
def meanings_survive(database: Path) -> Iterator[None]:
    """What is known of annotations' meanings outlives the emptying of its folder.

    Of the texts that are left nothing is encoded again, and of those that are gone nothing is kept;
    where there were none before, none are made.
    """
    from indexer.database.text.meanings import kept_meanings

    known = kept_meanings(Layout(database).semantic)
    yield
    if known:
        _make_ready(database, known)


def _make_ready(database: Path, known: Mapping[str, npt.NDArray[np.float32]] | None = None) -> None:
    started = time.monotonic()
    try:
        with SearchService(database) as service, suppress(KeyboardInterrupt):
            service.prepare(known)
    except (MissingExtraError, TextStoreUnavailable) as error:
        _log.info("searches by meaning were not made ready: %s", error)
        return
    _log.info("searches by meaning made ready in %.1f s", time.monotonic() - started)
