"""Search by meaning: a sentence against the annotations of a database, and against its pictures.

Text and pictures meet in the space of `indexer.words.sentences`. Annotations are encoded once
(`indexer.database.text.meanings`), as they stand and in everyday words (`language.glossary`);
pictures are placed there by the map that the database's bundle learned
(`indexer.cascade.text_space`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from indexer.annotation import Origin
from indexer.cascade.text_space import TextSpace
from indexer.database.text.documents import Document
from indexer.database.vectors.shards import id_from_key, vector_keys
from indexer.errors import QueryError
from search.language.glossary import in_plain_words
from search.language.tree import Value
from search.snapshot import Snapshot
from search.stores.backend import Backend
from search.stores.matches import MAX_ANNOTATIONS, Meant
from search.stores.vectors import EVERYTHING, Bounds

__all__ = ["MAX_SENTENCE", "MIN_SIMILARITY", "AnnotationTexts", "Meaning", "Semantic"]

#: Annotations whose cosine to the question is below this do not mean the same.
MIN_SIMILARITY = 0.35
#: Characters of a sentence; the model reads its first 256 word pieces.
MAX_SENTENCE = 2000


class AnnotationTexts:
    """The distinct annotation texts of a database, and what they mean.

    Parameters
    ----------
    text
        Its text store.
    folder
        Where their vectors are kept (`Layout.semantic`).
    known
        Vectors that are known without it.

    Attributes
    ----------
    texts
        n of them.
    own, plain
        Shape (n, 384): their vectors as they stand, and in everyday words.

    Raises
    ------
    MissingExtraError
        The sentence model is not installed.
    """

    def __init__(
        self,
        text: Backend,
        folder: Path,
        known: Mapping[str, npt.NDArray[np.float32]] | None = None,
    ) -> None:
        from indexer.database.text.meanings import meanings
        from indexer.words import sentences

        self.texts = text.values("composite")
        plain = [in_plain_words(name) for name in self.texts]
        vectors = meanings(folder, [*self.texts, *plain], known)

        def table(names: list[str]) -> npt.NDArray[np.float32]:
            shape = (len(names), sentences.DIMENSIONS)
            return np.array([vectors[name] for name in names], np.float32).reshape(shape)

        self.own, self.plain = table(self.texts), table(plain)


class Semantic:
    """One moment of a database, to be asked by sentences.

    Parameters
    ----------
    snapshot
        The moment.
    annotations
        Its annotations.
    space
        Where its bundle places pictures among sentences; None where that is not known.
    """

    def __init__(
        self, snapshot: Snapshot, annotations: AnnotationTexts, space: TextSpace | None
    ) -> None:
        self._snapshot = snapshot
        self._annotations = annotations
        self._space = space

    def ask(self, sentence: str) -> Meaning:
        """What a sentence is similar to.

        Raises
        ------
        QueryError
            It is empty or too long.
        MissingExtraError
            The sentence model is not installed.
        """
        from indexer.words import sentences

        if not sentence.strip():
            raise QueryError("nothing to search for: write some words")
        if len(sentence) > MAX_SENTENCE:
            raise QueryError(
                f"the sentence has {len(sentence)} characters; at most {MAX_SENTENCE} are read"
            )
        vector = sentences.encode([sentence.encode("utf-8", "replace").decode()])[0]
        known = self._annotations
        similarity = np.maximum(known.own @ vector, known.plain @ vector)
        near = np.flatnonzero(similarity >= MIN_SIMILARITY)
        return Meaning(self, vector, {known.texts[i]: float(similarity[i]) for i in near})

    def images(self, text: str, origin: Origin | None = None) -> npt.NDArray[np.int64]:
        """The keys of the images that have an annotation, of one origin or any, ascending."""
        return self._snapshot.text.keys(Value("composite", text, origin))

    def direction(self, vector: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
        """By which images are ranked for a sentence; None where that is not known."""
        return None if self._space is None else self._space.direction(vector)[0]

    def nearest(
        self,
        vector: npt.NDArray[np.float32],
        depth: int,
        among: Bounds | npt.NDArray[np.int64],
    ) -> list[tuple[str, float]]:
        """The images that a sentence fits best, with how well it does, best first.

        Parameters
        ----------
        among
            Which images may be found, or the keys of some.
        """
        if self._space is None:
            return []
        direction, constant = self._space.direction(vector)
        length = float(np.linalg.norm(direction))
        vectors = self._snapshot.vectors()
        if isinstance(among, Bounds):
            scores, found = vectors.search(direction, depth, among)
        else:
            scores, found = vectors.rank(direction, depth, among)
        pairs = zip(found.tolist(), scores.tolist(), strict=True)
        return [(id_from_key(key), score * length + constant) for key, score in pairs]


class Meaning:
    """A sentence in one database; made by `Semantic.ask`.

    Parameters
    ----------
    semantic
        The database.
    vector
        Of the sentence, shape (384,).
    similarities
        The annotations that mean something like it, with their cosines.
    """

    def __init__(
        self,
        semantic: Semantic,
        vector: npt.NDArray[np.float32],
        similarities: dict[str, float],
    ) -> None:
        self._semantic = semantic
        self._vector = vector
        self.similarities = similarities

    @property
    def _texts(self) -> list[str]:
        """The annotations that mean something like it, the most similar first."""
        return sorted(self.similarities, key=lambda text: (-self.similarities[text], text))

    def meant(self, depth: int, origin: Origin | None = None) -> Meant | None:
        """What `pictures` and `annotated` look for; None where nothing places pictures."""
        direction = self._semantic.direction(self._vector)
        if direction is None:
            return None
        return Meant(direction, [Value("composite", t, origin) for t in self._texts], depth)

    def pictures(self, depth: int, bounds: Bounds = EVERYTHING) -> list[tuple[str, float]]:
        """Up to `depth` images whose pictures it fits, with how well it does, best first.

        Parameters
        ----------
        bounds
            Which images may be found.
        """
        return self._semantic.nearest(self._vector, depth, bounds)

    def annotated(
        self, depth: int, bounds: Bounds = EVERYTHING, origin: Origin | None = None
    ) -> list[str]:
        """Up to `depth` images with the most similar annotations.

        Where more images have an annotation than there is room for, those whose pictures mean the
        sentence most are taken.

        Parameters
        ----------
        bounds
            Which images may be found.
        origin
            Look at annotations of this origin only.
        """
        texts, found = self._texts, dict[str, None]()
        if bounds.matches is not None and bounds.matches.annotated is not None:
            # The best of them came along with the request for words or pictures.
            found = dict.fromkeys(bounds.matches.annotated)
            texts = texts[MAX_ANNOTATIONS:]
        for text in texts:
            if len(found) >= depth:
                break
            own = self._semantic.images(text, origin)
            if bounds.choice is not None:
                own = np.intersect1d(own, bounds.choice.keys)
            ids = [image for image in map(id_from_key, own.tolist()) if image not in found]
            room = depth - len(found)
            if len(ids) > room:
                best = self._semantic.nearest(self._vector, room, vector_keys(ids))
                ids = list(dict.fromkeys([*(image for image, _ in best), *ids]))[:room]
            found.update(dict.fromkeys(ids))
        return list(found)

    def closest(self, document: Document, origin: Origin | None = None) -> tuple[float, str] | None:
        """The similarity and the text of the annotation that means it most; None without one."""
        near: Iterable[tuple[float, str]] = (
            (self.similarities[a["text"]], a["text"])
            for a in document["annotations"]
            if a["text"] in self.similarities and origin in (None, a["origin"])
        )
        return max(near, default=None)
