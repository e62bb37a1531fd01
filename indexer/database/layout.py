"""The database folder: where things lie, what it was made with, and who may write it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from indexer import advice
from indexer.database import locking
from indexer.database.access import unreadable
from indexer.database.checksums.folder import kept_manifest
from indexer.database.checksums.kinds import check_kinds
from indexer.database.durable import write_durably
from indexer.errors import DatabaseError, DatabaseMismatch

if TYPE_CHECKING:
    from indexer.cascade.bundle import Bundle

__all__ = ["FORMAT", "Layout", "Manifest"]

FORMAT = 1
_FROM_COPY = f"{advice.REPAIR}, which restores it from the copy in checksums.json"
_WITHOUT_COPY = f"restore it from a backup, or {advice.AGAIN} into a new folder"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a database was made with; all of it must fit whoever adds to it or asks it.

    Parameters
    ----------
    format
        Version of the folder's layout.
    bundle, bundle_name
        Hash and name of the bundle whose readings it holds.
    size, squash, borders
        Preprocessing: side of the canvas in pixels, whether pictures are squashed to it, and
        whether even borders are cut first.
    dimensions
        Length of its vectors.
    text
        Kind of the text store: ``"tantivy"`` or ``"elasticsearch"``.
    key
        Fingerprint of the secret behind its pseudonymous ids.
    created_with
        Version of cxrdex.
    text_index
        Name of the database's own index in Elasticsearch, an alias.
    text_url
        Address of Elasticsearch, where neither environment nor configuration names one.
    thresholds
        Per finding, the probability from which on a study has it; None where every image is read
        for itself.
    bundle_path
        Folder of the bundle when it was last used; None of the one that ships with cxrdex.
    likely
        Of the bundle: per finding, the probability from which on it is likely; None of one without.
    likeness
        How alike two pictures are (`interpretation.likeness.Likeness`); None for the default.
    polarity
        By beginnings of manufacturers' names, whether small values are white whatever a header
        says; None where headers are believed.
    vectors
        What finds the nearest vectors: ``"faiss"``, or ``"elasticsearch"``, which holds them in the
        documents of the text store.
    """

    format: int
    bundle: str
    bundle_name: str
    size: int
    squash: bool
    dimensions: int
    text: str
    key: str
    created_with: str
    text_index: str | None = None
    text_url: str | None = None
    thresholds: dict[str, float] | None = None
    borders: bool = False
    bundle_path: str | None = None
    likely: dict[str, float] | None = None
    likeness: dict[str, float] | None = None
    polarity: dict[str, bool] | None = None
    vectors: str = "faiss"

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        key: str,
        text: str = "tantivy",
        url: str | None = None,
        *,
        pool_studies: bool = True,
    ) -> Manifest:
        """The manifest of a new database.

        Parameters
        ----------
        bundle, key
            The bundle that fills it, and the fingerprint of its id key.
        text, url
            Kind of its text store, and the address of Elasticsearch.
        pool_studies
            Whether the images of a study share their findings.
        """
        # Whoever searches needs neither this nor `secrets`; both take a while to import.
        from importlib.metadata import version

        made = cls(
            format=FORMAT,
            bundle=bundle.hash,
            bundle_name=bundle.name,
            size=bundle.size,
            squash=bundle.squash,
            borders=bundle.borders,
            dimensions=bundle.dimensions,
            text=text,
            key=key,
            created_with=version("cxrdex"),
            thresholds=dict(bundle.thresholds) if pool_studies else None,
            bundle_path=bundle.place,
            likely=None if bundle.likely is None else dict(bundle.likely),
            likeness=bundle.record.get("likeness"),
        )
        return made.for_text(text, url)

    def for_text(self, kind: str, url: str | None) -> Manifest:
        """The same with a new text store of a kind, and of Elasticsearch its address."""
        import secrets

        server = kind == "elasticsearch"
        return replace(
            self,
            text=kind,
            text_index=f"cxrdex-{secrets.token_hex(4)}" if server else None,
            text_url=url if server else None,
        )


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths inside a database folder.

    Parameters
    ----------
    root
        The folder.
    """

    root: Path

    @property
    def manifest(self) -> Path:
        return self.root / "manifest.json"

    @property
    def ledger(self) -> Path:
        return self.root / "ledger.sqlite"

    @property
    def labels(self) -> Path:
        """What people said of images; written without the writer's lock."""
        return self.root / "labels.sqlite"

    @property
    def embeddings(self) -> Path:
        return self.root / "embeddings"

    @property
    def vectors(self) -> Path:
        return self.root / "vectors"

    @property
    def text(self) -> Path:
        return self.root / "text"

    @property
    def semantic(self) -> Path:
        """Vectors of annotation texts: a cache that readers fill."""
        return self.root / "semantic"

    @property
    def thumbnails(self) -> Path:
        return self.root / "thumbnails.sqlite"

    @property
    def cohorts(self) -> Path:
        """Images that people collected; searches write it."""
        return self.root / "cohorts.sqlite"

    @property
    def scratch(self) -> Path:
        """Working table of a run; worth nothing after it."""
        return self.root / "scratch.sqlite"

    @property
    def is_made(self) -> bool:
        """Whether there is a manifest, which is what makes a folder a database.

        Raises
        ------
        DatabaseError
            This user may not look.
        """
        try:
            return self.manifest.exists()
        except OSError as error:
            raise DatabaseError(
                unreadable(self.manifest) or f"{self.manifest} cannot be read: {error.strerror}"
            ) from error

    def create(self, manifest: Manifest) -> None:
        """Make the folder and write its manifest, which is what makes it a database."""
        self.embeddings.mkdir(exist_ok=True)
        self.vectors.mkdir(exist_ok=True)
        text = json.dumps(asdict(manifest), indent=1) + "\n"
        write_durably(self.manifest, text.encode())

    def read_manifest(self) -> Manifest:
        """What the database was made with.

        Raises
        ------
        DatabaseError
            There is no database here, or its manifest is damaged or lost, or there is a folder
            where one of its files should be.
        DatabaseMismatch
            It has another format version.
        """
        check_kinds(self.root)
        try:
            data = json.loads(self.manifest.read_bytes())
            found = data["format"]
            if found != FORMAT:
                raise DatabaseMismatch(
                    f"the database {self.root} has format {found}; this version of cxrdex reads "
                    f"format {FORMAT}: index the archive again into a new folder"
                )
            return Manifest(**data)
        except (FileNotFoundError, NotADirectoryError) as error:
            if kept_manifest(self.root) is not None:
                raise DatabaseError(f"{self.manifest} is missing: {_FROM_COPY}") from error
            raise DatabaseError(
                f"no database at {self.root}; make one with {advice.index(self.root)}"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            how = _WITHOUT_COPY if kept_manifest(self.root) is None else _FROM_COPY
            raise DatabaseError(f"{self.manifest} is damaged: {how}") from error
        except OSError as error:
            raise DatabaseError(
                unreadable(self.manifest) or f"{self.manifest} cannot be read: {error.strerror}"
            ) from error

    def lost_manifest(self) -> str:
        """What is wrong with a manifest of which there is a copy; nothing where it can be read.

        Raises
        ------
        DatabaseError, DatabaseMismatch
            As `read_manifest`, where no copy would mend it.
        """
        try:
            self.read_manifest()
        except DatabaseMismatch:
            raise
        except DatabaseError:
            if unreadable(self.manifest) or kept_manifest(self.root) is None:
                raise
            return f"manifest.json is {'damaged' if self.is_made else 'missing'}"
        return ""

    def check(self, manifest: Manifest, bundle: Bundle | None, key: str | None = None) -> None:
        """Refuse a bundle or an id key other than those the database was made with.

        Parameters
        ----------
        bundle
            None where none is used.
        key
            Fingerprint of the id key; None where none is used.

        Raises
        ------
        DatabaseMismatch
            Its text says what to do.
        """
        if bundle is not None and bundle.hash != manifest.bundle:
            raise DatabaseMismatch(
                f"the database {self.root} was made with the bundle {manifest.bundle_name} "
                f"({manifest.bundle}), not with {bundle.name} ({bundle.hash}): name that bundle "
                "with `bundle` or in CXRDEX_BUNDLE, or bring the database up to date with "
                f"{advice.reread(self.root)}"
            )
        if key is not None and key != manifest.key:
            raise DatabaseMismatch(
                f"the database {self.root} was made with the id key {manifest.key}, not with "
                f"{key}: name that key's file in CXRDEX_KEY_FILE, "
                "or index the archive into a new folder"
            )

    @contextmanager
    def lock(self, *, existing: bool = False, brief: bool = False) -> Iterator[None]:
        """Hold the right to write; the folder is made where there is none.

        Who holds it for a moment only is waited for.

        Parameters
        ----------
        existing
            Refuse a folder in which there is nothing.
        brief
            It is held for a moment only.

        Raises
        ------
        DatabaseLocked
            Another process writes it.
        DatabaseError
            The folder cannot be made or written.
        """
        if existing and not (self.is_made or self.ledger.exists()):
            self.read_manifest()
        with locking.hold(self.root, brief=brief):
            yield

    @contextmanager
    def still(self) -> Iterator[None]:
        """Compare what is there while nobody writes it, without a right to write where there is
        none.

        Raises
        ------
        DatabaseLocked
            Another process writes it, or did so meanwhile.
        DatabaseError
            There is no database, or it may not be read.
        """
        if not (self.is_made or self.ledger.exists()):
            self.read_manifest()
        keep = locking.hold if locking.may_hold(self.root) else locking.watch
        with keep(self.root):
            yield
