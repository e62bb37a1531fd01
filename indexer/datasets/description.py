"""What a data set is: where its tables and pictures lie, what its labels mean (docs/datasets.md).

A description is TOML. Those of published collections come built in and are recognised by their
tables; any other folder carries its own as ``dataset.toml``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from indexer.annotation import Annotation, parse_mesh
from indexer.errors import TrainingError

__all__ = ["FILE", "ROLES", "Annotations", "Claim", "Description", "LabelMeaning", "LabelMeanings"]

#: The description that a folder carries itself.
FILE = "dataset.toml"
#: Roles that columns of a table may have; `image` is required.
ROLES = ("image", "picture", "patient", "study", "view", "split", "annotations", "labels", "text")

Claim: TypeAlias = Literal["yes", "no", "soft", "unknown"]

_BUILT_IN = Path(__file__).parent / "descriptions"
_CLAIMS: tuple[Claim, ...] = ("yes", "no", "soft", "unknown")
_FIELD = re.compile(r"\{([^{}:!]+)(?::[^{}]*)?\}")
_NOTHING_DENIED = "nothing"


@dataclass(frozen=True, slots=True)
class SourceTable:
    """A table whose rows are images, or are joined to those.

    Parameters
    ----------
    file
        Name inside the folder, ``.csv`` or ``.csv.gz``; ``*`` stands for any characters.
    part
        Part of all its images, where the table tells it.
    on
        Columns by which it is joined; none of a table of images.
    delimiter
        Between two cells.
    """

    file: str
    part: str | None = None
    on: tuple[str, ...] = ()
    delimiter: str = ","


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """A column, or what a pattern's first group (else the whole pattern) finds in it.

    An optional one may be missing, and is empty then.
    """

    name: str
    pattern: re.Pattern[str] | None = None
    optional: bool = False

    def value(self, row: Mapping[str, str]) -> str:
        """The value in a row; empty where the pattern finds none."""
        text = row.get(self.name, "").strip()
        if self.pattern is None:
            return text
        found = self.pattern.search(text)
        return "" if found is None else found[found.re.groups and 1]


@dataclass(frozen=True, slots=True)
class Annotations:
    """What annotations that a person wrote mean.

    Parameters
    ----------
    separator
        Between two of a column `annotations`.
    deny
        How likely a finding is there that they leave out (0: they deny it); None where they deny
        nothing.
    """

    separator: str
    deny: float | None


@dataclass(frozen=True, slots=True)
class LabelMeaning:
    """What a label means.

    Parameters
    ----------
    annotation
        What a person says who gives it.
    findings
        What is there with it, and what is denied with it.
    one_of
        Whether it says only that one of several findings is there, not which.
    """

    annotation: Annotation
    findings: tuple[str, ...]
    one_of: bool = False


@dataclass(frozen=True, slots=True)
class LabelMeanings:
    """What the labels of a table mean.

    Parameters
    ----------
    meanings
        By label.
    cells
        What a cell says, of labels that are columns of their own; None where one column lists the
        labels of an image.
    separator
        Between two labels of a list.
    softness
        How likely a finding is there though its label is not given (0..1).
    """

    meanings: Mapping[str, LabelMeaning]
    cells: Mapping[str, Claim] | None
    separator: str
    softness: float


@dataclass(frozen=True, slots=True)
class Parts:
    """How images are told apart into ``train``, ``val`` and ``test``.

    Parameters
    ----------
    names
        The part by the value of the column `split`; a value that is not here is a part itself.
    lists
        Files that list the images of a part, one a line, by part.
    val
        Share of the training patients (where there are none, studies, then images) that are `val`
        in a set that has no such part.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    val: float = 0.1


@dataclass(frozen=True, slots=True)
class Description:
    """A data set's description.

    Parameters
    ----------
    path
        The file.
    name, source, licence
        For people: what it is, whom to cite, what may be done with it.
    tables, joins
        Tables of images, and those joined to them.
    columns
        By role (`ROLES`).
    pictures
        Where the picture of a row may lie, the first that is there counts: ``images/{image}.png``
        with roles and columns in braces; ``*`` for any folder, and for any suffix.
    reports
        A folder of Open-i ``.xml`` or of ``.txt`` reports named by image, or the path of each
        row's report with braces.
    views
        ``"frontal"`` or ``"lateral"`` by the value of the column `view`, in lower case.
    parts
        See `Parts`.
    annotations, labels
        See `Annotations` and `LabelMeanings`; None where there are none. Without annotations the
        words of reports and captions are read by the rule labeller, and deny nothing.
    """

    path: Path
    name: str
    source: str
    licence: str
    tables: tuple[SourceTable, ...]
    joins: tuple[SourceTable, ...]
    columns: Mapping[str, SourceColumn]
    pictures: tuple[str, ...]
    reports: str
    views: Mapping[str, str]
    parts: Parts
    annotations: Annotations | None
    labels: LabelMeanings | None

    @property
    def needed(self) -> frozenset[str]:
        """The columns that its tables must have, together."""
        names = {column.name for column in self.columns.values() if not column.optional}
        names |= {name for table in self.joins for name in table.on}
        for template in (*self.pictures, self.reports):
            names |= {name for name in _FIELD.findall(template) if name not in self.columns}
        if self.labels is not None and self.labels.cells is not None:
            names |= set(self.labels.meanings)
        return frozenset(names)

    @classmethod
    def read(cls, path: Path) -> Description:
        """Read a description.

        Raises
        ------
        TrainingError
            The file cannot be read, or a key of it is missing, unknown or of a wrong kind; it
            names the file and the key.
        """
        try:
            data = tomllib.loads(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise TrainingError(f"the description {path} cannot be read: {error}") from error
        return _DescriptionParser(path, data).description()

    @classmethod
    def built_in(cls) -> Iterator[Description]:
        """The descriptions that come with cxrdex, in the order in which they are tried."""
        for path in sorted(_BUILT_IN.glob("*.toml")):
            yield cls.read(path)


class _DescriptionParser:
    """Turns parsed TOML into a `Description`; whatever it does not know is refused."""

    def __init__(self, path: Path, data: dict[str, Any]) -> None:
        self._path = path
        self._data = data

    def description(self) -> Description:
        known = {"name", "source", "licence", "table", "join", "columns", "pictures", "reports"}
        known |= {"views", "parts", "annotations", "labels"}
        self._only(self._data, known, "")
        columns = self._columns()
        labels = self._labels(columns)
        return Description(
            path=self._path,
            name=self._text(self._data, "name", "", self._path.stem),
            source=self._text(self._data, "source", "", ""),
            licence=self._text(self._data, "licence", "", ""),
            tables=self._tables("table", {"file", "part", "delimiter"}, needed=True),
            joins=self._tables("join", {"file", "on", "delimiter"}),
            columns=columns,
            pictures=self._texts(self._data, "pictures", ""),
            reports=self._text(self._data, "reports", "", ""),
            views={k.lower(): v for k, v in self._inverse(self._section("views"), "views").items()},
            parts=self._parts(),
            annotations=self._annotations(columns),
            labels=labels,
        )

    def _refuse(self, key: str, why: str) -> TrainingError:
        return TrainingError(f"the description {self._path}, {key}: {why}")

    def _only(self, data: Mapping[str, Any], known: set[str], prefix: str) -> None:
        for key in data:
            if key not in known:
                raise self._refuse(prefix + key, f"unknown; there are {', '.join(sorted(known))}")

    def _section(
        self, key: str, data: Mapping[str, Any] | None = None, prefix: str = ""
    ) -> dict[str, Any]:
        found = (self._data if data is None else data).get(key, {})
        if not isinstance(found, dict):
            raise self._refuse(prefix + key, f"is a section, as in [{prefix}{key}]")
        return found

    def _text(
        self, data: Mapping[str, Any], key: str, prefix: str, default: str | None = None
    ) -> str:
        found = data.get(key, default)
        if not isinstance(found, str):
            raise self._refuse(prefix + key, "missing" if found is None else "is a text in quotes")
        return found

    def _texts(self, data: Mapping[str, Any], key: str, prefix: str) -> tuple[str, ...]:
        found = data.get(key, [])
        found = [found] if isinstance(found, str) else found
        if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
            raise self._refuse(prefix + key, "is a text in quotes, or a list of such")
        return tuple(found)

    def _share(self, data: Mapping[str, Any], key: str, prefix: str, default: float) -> float:
        found = data.get(key, default)
        if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= 1:
            raise self._refuse(prefix + key, "is a number from 0 to 1")
        return float(found)

    def _inverse(self, data: Mapping[str, Any], prefix: str) -> dict[str, str]:
        return {v: key for key in data for v in self._texts(data, key, f"{prefix}.")}

    def _tables(
        self, key: str, known: set[str], *, needed: bool = False
    ) -> tuple[SourceTable, ...]:
        found = self._data.get(key, [])
        if not isinstance(found, list) or not all(isinstance(table, dict) for table in found):
            raise self._refuse(key, f"each stands under [[{key}]]")
        if needed and not found:
            raise self._refuse(key, f"missing: a table of images is named under [[{key}]]")
        tables = []
        for data in found:
            self._only(data, known, f"{key}.")
            on = self._texts(data, "on", f"{key}.")
            if key == "join" and not on:
                raise self._refuse("join.on", "missing: the columns that both tables have")
            part = self._text(data, "part", f"{key}.") if "part" in data else None
            delimiter = self._text(data, "delimiter", f"{key}.", ",")
            tables.append(SourceTable(self._text(data, "file", f"{key}."), part, on, delimiter))
        return tuple(tables)

    def _columns(self) -> dict[str, SourceColumn]:
        section, found = self._section("columns"), {}
        self._only(section, set(ROLES), "columns.")
        if "image" not in section:
            raise self._refuse("columns.image", "missing: the column that names an image")
        for role, value in section.items():
            data = value if isinstance(value, dict) else {"column": value}
            self._only(data, {"column", "pattern", "optional"}, f"columns.{role}.")
            name = self._text(data, "column", f"columns.{role}.")
            try:
                pattern = re.compile(self._text(data, "pattern", f"columns.{role}.", ""))
            except re.error as error:
                raise self._refuse(f"columns.{role}.pattern", str(error)) from error
            optional = data.get("optional", False) is True
            found[role] = SourceColumn(name, pattern if pattern.pattern else None, optional)
        return found

    def _parts(self) -> Parts:
        section = self._section("parts")
        self._only(section, {"names", "lists", "val"}, "parts.")
        names, lists = (self._section(key, section, "parts.") for key in ("names", "lists"))
        return Parts(
            names=self._inverse(names, "parts.names"),
            lists={part: self._texts(lists, part, "parts.lists.") for part in lists},
            val=self._share(section, "val", "parts.", Parts().val),
        )

    def _annotations(self, columns: Mapping[str, SourceColumn]) -> Annotations | None:
        section = self._section("annotations")
        if "annotations" not in columns and "annotations" not in self._data:
            return None
        self._only(section, {"separator", "deny"}, "annotations.")
        nothing = section.get("deny") == _NOTHING_DENIED
        return Annotations(
            separator=self._text(section, "separator", "annotations.", ";"),
            deny=None if nothing else self._share(section, "deny", "annotations.", 0.0),
        )

    def _labels(self, columns: Mapping[str, SourceColumn]) -> LabelMeanings | None:
        section = self._section("labels")
        if not section:
            return None
        self._only(section, {"separator", "softness", "cells", "meanings"}, "labels.")
        meanings = self._section("meanings", section, "labels.")
        if not meanings:
            raise self._refuse("labels.meanings", "missing: what each label means")
        cells: dict[str, Claim] | None = None
        if "labels" not in columns:
            claims = self._section("cells", section, "labels.")
            if not claims:
                raise self._refuse("labels.cells", "missing: what cells of the labels' columns say")
            self._only(claims, set(_CLAIMS), "labels.cells.")
            found = self._inverse(claims, "labels.cells")
            cells = {k.lower(): next(c for c in _CLAIMS if c == v) for k, v in found.items()}
        return LabelMeanings(
            meanings={label: self._meaning(label, value) for label, value in meanings.items()},
            cells=cells,
            separator=self._text(section, "separator", "labels.", "|"),
            softness=self._share(section, "softness", "labels.", 0.1),
        )

    def _meaning(self, label: str, value: Any) -> LabelMeaning:
        key = f"labels.meanings.{label}"
        one_of = isinstance(value, dict)
        if isinstance(value, dict):
            self._only(value, {"one_of"}, f"{key}.")
            value = value.get("one_of")
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise self._refuse(key, "is a finding, a list of findings or {one_of = [...]}")
        found = [parse_mesh(text) for text in texts]
        terms = [term for term in found if term is not None]
        if not terms or len(terms) < len(found):
            raise self._refuse(key, f"{texts!r} names no finding")
        own = Annotation.from_words("human", label.lower().replace("_", " "), ())
        findings = tuple(dict.fromkeys(term.disease for term in terms))
        return LabelMeaning(own if one_of else terms[0], findings, one_of)
