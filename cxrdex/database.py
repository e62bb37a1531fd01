"""A database opened from Python: what `cxrdex.open` gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from indexer.cascade.compute import Compute

if TYPE_CHECKING:
    from cxrdex.embeddings import Embeddings
    from cxrdex.frame import FrameRow
    from search.request import PictureSource
    from search.results import Results, Shown
    from search.service import SearchService

__all__ = ["Database", "open"]

# Hits that `frame` takes at once.
_PAGE = 1000


def open(path: str | Path, *, compute: Compute = Compute()) -> Database:
    """Open a database for searching.

    >>> db = cxrdex.open("database")
    >>> len(db)
    94

    Parameters
    ----------
    path
        The folder that `cxrdex.index` or the command ``cxrdex index`` filled.
    compute
        What reads pictures that are not in the database: the bundle it was made with, the device
        and the runtime.

    Raises
    ------
    DatabaseError
        There is none at `path`, or it is damaged.
    DatabaseMismatch
        It was made by another version of cxrdex.
    """
    from search.service import SearchService

    folder = Path(path)
    return Database(SearchService(folder, compute), folder)


class Database:
    """One database, opened by `cxrdex.open`; a context manager.

    Its length is the number of its images, and the id of an image is ``in`` it.

    >>> with cxrdex.open("database") as db:
    ...     len(db), "0123456789abcdef" in db
    (94, False)
    """

    def __init__(self, service: SearchService, path: Path) -> None:
        self._service = service
        #: The database's folder.
        self.path = path

    def close(self) -> None:
        """Close its files; answers already given stay usable."""
        self._service.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<cxrdex.Database {str(self.path)!r}: {len(self)} images>"

    def __len__(self) -> int:
        return self._service.ask(lambda snapshot: len(snapshot.database))

    def __contains__(self, image_id: object) -> bool:
        return self._service.ask(lambda snapshot: image_id in snapshot.database)

    def search(
        self,
        query: str,
        *,
        mode: Literal["words", "semantic", "hybrid"] = "words",
        image: str | Path | bytes | None = None,
        literal: bool = False,
        filters: Iterable[str] = (),
        facets: Iterable[str] = ("disease",),
        facet_size: int = 20,
        limit: int = 10,
        page: int = 1,
        sort: str = "score",
        after: str | None = None,
        choices: Iterable[str] = (),
    ) -> Results:
        """Images that match words, mean the same, or both, best first.

        >>> found = db.search('"pleural effusion on the left"', facets=["view"], limit=4)
        >>> found.total
        6
        >>> found.facets["view"]
        [FacetCount(value='frontal', count=6)]
        >>> found.hits[0].highlights.report[0].marked("[", "]")
        '[Pleural effusion on the left].'

        The next page begins after the last hit of this one:

        >>> len(db.search('"pleural effusion on the left"', limit=4, after=found.after).hits)
        2

        Parameters
        ----------
        query
            In the query language (docs/queries.md); with ``mode="semantic"`` any sentence.
        mode
            ``"words"``, ``"semantic"`` (by meaning) or ``"hybrid"`` (both).
        image
            As of `similar`: images like it are found, too.
        literal
            Take plain English for a query in the language.
        filters
            ``"field:value"``: conditions that do not count in the score.
        facets, facet_size
            Fields whose values are counted, and how many values of each are given.
        limit, page
            Hits of a page, and which page, from 1.
        sort
            ``"score"``, ``"age"``, ``"year"`` or ``"id"``, each also with ``:desc``.
        after
            `Results.after` of the page before, in place of `page`.
        choices
            ``"facet=value"``: hits have one of the values chosen in a facet, whose own counts stay.

        Raises
        ------
        QueryError
            Query, filter, facet or page is malformed, or what is asked for does not go together.
        NotFoundError, ArchiveError, DatabaseMismatch
            Of `image`, as `similar`.
        TextStoreUnavailable
            Elasticsearch does not answer.
        """
        from search.request import SearchRequest

        request = SearchRequest.of(
            query,
            mode,
            picture=None if image is None else _picture(image),
            literal=literal,
            filters=tuple(filters),
            facets=tuple(facets),
            facet_size=facet_size,
            limit=limit,
            page=page,
            sort=sort,
            after=after,
            choices=tuple(choices),
        )
        return self._service.search(request)

    def similar(
        self,
        image: str | Path | bytes,
        k: int = 10,
        *,
        filters: Iterable[str] = (),
        facets: Iterable[str] = ("disease",),
        exclude_study: bool = False,
        exclude_patient: bool = False,
        group: Literal["study"] | None = None,
        pool_studies: bool = True,
    ) -> Results:
        """The `k` images that are most like one picture.

        >>> found = db.similar(film, k=3)
        >>> found.total, len(found.hits)
        (94, 3)
        >>> print(f"{found.hits[0].score:.3f}")  # the picture itself
        1.000

        Parameters
        ----------
        image
            The id of an image of the database, which is then left out itself; the path of a DICOM
            or picture file; or the bytes of one. A text of 6 to 16 hexadecimal digits is an id, any
            other a path.
        filters
            ``"field:value"``: conditions on the images that may be found.
        facets
            Fields whose values are counted over the hits.
        exclude_study, exclude_patient
            Leave out the images of the query's own study or patient.
        group
            ``"study"``: only the best image of each study, and still `k`.
        pool_studies
            Compare the mean vectors of studies, not those of single images.

        Raises
        ------
        NotFoundError
            There is no such image.
        ArchiveError
            The file is no chest radiograph that can be read.
        QueryError
            A filter is malformed, or the file does not say which study or patient it is of.
        DatabaseMismatch
            The bundle is not the one the database was made with.
        """
        from search.request import SearchRequest

        request = SearchRequest(
            picture=_picture(image),
            limit=k,
            filters=tuple(filters),
            facets=tuple(facets),
            exclude="patient" if exclude_patient else "study" if exclude_study else None,
            group=group,
            pool_studies=pool_studies,
        )
        return self._service.search(request)

    def image(self, image_id: str) -> Shown:
        """All that is known of one image.

        >>> hit = db.search('"pleural effusion on the left"').hits[0]
        >>> image = db.image(hit.id)
        >>> image.record.document["report"]["impression"]
        'Pleural effusion on the left...'
        >>> image.record.metadata["format"]
        'DICOM'

        Parameters
        ----------
        image_id
            Its id, or the first 6 digits or more of it.

        Raises
        ------
        NotFoundError
            No image, or more than one, has this id.
        """
        from search.request import ImageId

        return self._service.show(ImageId(image_id))

    def thumbnail(self, image_id: str) -> bytes | None:
        """A small picture of an image, as a WebP file; None where text is burned into it.

        >>> db.thumbnail(db.search("effusion", limit=1).hits[0].id)[:4]
        b'RIFF'

        Raises
        ------
        NotFoundError
            No image has this id.
        """
        from search.request import ImageId

        return self._service.thumbnail(ImageId(image_id))

    def embeddings(self) -> Embeddings:
        """The embeddings of all images, memory-mapped, with their ids.

        >>> embeddings = db.embeddings()
        >>> embeddings
        <cxrdex.Embeddings: 94 x 256>
        >>> embeddings[embeddings.ids[:2]].shape
        (2, 256)
        """
        from cxrdex.embeddings import Embeddings

        return Embeddings(self.path)

    def frame(
        self,
        query: str | None = None,
        *,
        filters: Iterable[str] = (),
        probabilities: bool = False,
        library: Literal["pandas", "polars"] | None = None,
    ) -> Any:
        """A table of all images that match a query, or of all images: one row each.

        >>> table = db.frame('"pleural effusion on the left"')
        >>> table[["sex", "age", "year", "view"]].sort_values("age", ignore_index=True)
          sex  age  year     view
        0   F   37  2020  frontal
        1   F   40  2014  frontal
        2   M   47  2017  frontal
        3   F   65  2017  frontal
        4   M   70  2020  frontal
        5   F   89  2023  frontal

        All images, without a query:

        >>> len(db.frame())
        94

        Parameters
        ----------
        query
            In the query language (docs/queries.md), rows then come best first; None for all.
        filters
            ``"field:value"``: further conditions.
        probabilities
            With a column for each finding: its probability.
        library
            Of whose frames the table is; None for pandas where it is installed, else polars.

        Returns
        -------
        pandas.DataFrame or polars.DataFrame
            Columns ``id, score, study, patient, view, projection, sex, age, year, manufacturer,
            rows, columns, annotations, absent, uncertain, report``; the last four but one hold
            lists of text.

        Raises
        ------
        QueryError
            Query or filter is malformed.
        MissingExtraError
            Neither library is installed.
        """
        from cxrdex.frame import frame

        return frame(self._rows(query, tuple(filters)), probabilities, library)

    def _rows(self, query: str | None, filters: tuple[str, ...]) -> Iterator[FrameRow]:
        """Every document that matches with its score, page by page."""
        if query is None and not filters:
            with self._service.snapshot() as snapshot:
                yield from ((document, None) for document in snapshot.database.documents())
            return
        after = None
        while True:
            found = self.search(
                "*" if query is None else query,
                filters=filters,
                facets=(),
                limit=_PAGE,
                after=after,
                sort="id" if query is None else "score",
            )
            for hit in found.hits:
                yield hit.document, None if query is None else hit.score
            after = found.after
            if after is None:
                return


def _picture(image: str | Path | bytes) -> PictureSource:
    from search.request import ImageFile, ImageId, Upload, is_id

    if isinstance(image, bytes):
        return Upload(image)
    if isinstance(image, str) and is_id(image):
        return ImageId(image)
    return ImageFile(Path(image))
