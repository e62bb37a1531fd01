"""Radiology reports: Open-i XML and plain text, found by the pseudonyms of what they are about.

Nothing but a temporary table of hashed names is kept, so that memory stays flat however many
reports there are; a report is read when one of its images asks for it.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from indexer.annotation import Annotation, parse_mesh
from indexer.archive.deidentify import pseudonym
from indexer.archive.report_files.names import report_names
from indexer.archive.report_files.sections import SECTIONS, join, split
from indexer.archive.report_files.texts import NotAText, read_text
from indexer.archive.sources.members import REPORT_SUFFIXES, Member, open_archive, read_member
from indexer.archive.sources.names import stem
from indexer.errors import ArchiveError, ImageError

__all__ = ["SECTIONS", "Report", "ReportIndex", "parse_report"]

# A report may hold a letterhead's pictures (RTF); a file beyond this is something else.
_LARGEST = 2**24
_OTHER_TEXTS = (".pdf", ".doc", ".docx", ".odt")


@dataclass(frozen=True, slots=True)
class Report:
    """One report without any original name or number.

    Parameters
    ----------
    uid
        Pseudonym of its study (Open-i); of its file name's stem for plain text.
    sections
        Text by section (`SECTIONS`); a text without headings is all ``"findings"``.
    annotations
        What a person indexed it with; machine-made terms are left out.
    images
        Report keys under which it is filed: its own, and those of the pictures it names.
    """

    uid: str
    sections: dict[str, str] = field(default_factory=dict)
    annotations: tuple[Annotation, ...] = ()
    images: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        return {
            "uid": self.uid,
            "sections": dict(self.sections),
            "annotations": [annotation.to_json() for annotation in self.annotations],
            "images": list(self.images),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Report:
        """The report that `to_json` turned into `data`."""
        annotations = tuple(Annotation.from_json(a) for a in data["annotations"])
        return cls(data["uid"], dict(data["sections"]), annotations, tuple(data["images"]))


def parse_report(data: bytes, name: str, key: bytes) -> Report:
    """One report file.

    Parameters
    ----------
    data
        The file's bytes: Open-i XML if `name` ends with ``.xml``, else text.
    name
        Name of the file; its stem says what a plain text is about.
    key
        The secret of `indexer.archive.id_key.load_key`.

    Raises
    ------
    ArchiveError
        The file is no readable report.
    """
    return (_parse_xml if _is_xml(name) else _parse_text)(data, name, key)


class ReportIndex:
    """Finds the report of an image by the image's report keys.

    A context manager; `len` gives the number of reports.
    """

    def __init__(self, key: bytes) -> None:
        self._problems: dict[str, str] = {}
        self._claimed: set[int] = set()
        self._key = key
        self._archive = ""
        self._reports = 0
        self._latest: tuple[Member, Report | None] | None = None
        # SQLite takes an empty name for a temporary file, which it deletes when it is closed.
        self._table = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._table.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -16384;"
            "CREATE TABLE file (id INTEGER PRIMARY KEY, name TEXT, size INT, mtime INT, place INT);"
            # `file` is NULL where several files of other folders claim a name that says little.
            "CREATE TABLE report (key TEXT PRIMARY KEY, file INT) WITHOUT ROWID;"
        )

    @classmethod
    def open(cls, folder: Path, key: bytes) -> ReportIndex:
        """Look through all reports of a folder, its subfolders, or a zip or tar.

        Parameters
        ----------
        folder
            Holds Open-i ``*.xml``, HL7 messages (``*.hl7``), and texts (``*.txt``, ``*.rtf``,
            ``*.html``) named by an image file's stem or folder, a SOP or Study Instance UID, or an
            accession number; or an Open-i download as a whole.
        key
            The secret of `indexer.archive.id_key.load_key`.

        Raises
        ------
        ArchiveError
            `folder` cannot be read, or holds no file that is called a report.
        """
        archive = open_archive(folder)
        if archive.reports is not None:
            archive = open_archive(archive.reports)
        index = cls(key)
        try:
            index._archive = archive.path
            index._table.execute("BEGIN")
            for member in archive.members():
                if member.name.lower().endswith(REPORT_SUFFIXES):
                    index._add(member)
                elif member.name.lower().endswith(_OTHER_TEXTS):
                    index._refuse(member.name, "a document: export the report as text")
            index._table.execute("COMMIT")
            if not index._reports and not index._problems:
                raise ArchiveError(f"reports {folder}: no {', '.join(REPORT_SUFFIXES)} file in it")
        except BaseException:
            index.close()
            raise
        return index

    def find(self, report_keys: Iterable[str]) -> Report | None:
        """The report filed under the first of `report_keys` that names one, else None."""
        for report_key in report_keys:
            row = self._table.execute(
                "SELECT id, name, size, mtime, place FROM report JOIN file ON file = id "
                "WHERE key = ?",
                (report_key,),
            ).fetchone()
            if row:
                self._claimed.add(row[0])
                member = Member(self._archive, *row[1:])
                # The images of a study mostly follow each other.
                if self._latest is None or self._latest[0] != member:
                    self._latest = member, self._read(member)
                return self._latest[1]
        return None

    def count(self, report_keys: Iterable[str]) -> int:
        """How many of the reports any of `report_keys` names."""
        found: set[int] = set()
        for report_key in report_keys:
            row = self._table.execute(
                "SELECT file FROM report WHERE key = ?", (report_key,)
            ).fetchone()
            found.update(row or ())
        return len(found)

    def claim(self, report_keys: Sequence[str]) -> bool:
        """Note that there is an image of the report that `find` would give, without reading it."""
        for report_key in report_keys:
            row = self._table.execute(
                "SELECT file FROM report WHERE key = ? AND file IS NOT NULL", (report_key,)
            ).fetchone()
            if row:
                self._claimed.add(row[0])
                return True
        return False

    def unclaimed(self) -> list[str]:
        """Names of the reports that `find` and `claim` were not asked for by any image.

        For the person at the terminal, and for no log or index.
        """
        rows = self._table.execute("SELECT id, name FROM file ORDER BY id")
        return [name for number, name in rows if number not in self._claimed]

    @property
    def reasons(self) -> dict[str, int]:
        """Why files are no readable reports, in words, and how many of each."""
        return dict(Counter(self._problems.values()).most_common())

    @property
    def problems(self) -> list[str]:
        """One line for each file found to be no readable report: XML at once, text when asked for.

        They hold file names: for the person at the terminal, and for no log or index.
        """
        return [f"report {name}: {detail}" for name, detail in self._problems.items()]

    def close(self) -> None:
        """Forget everything."""
        self._table.close()

    def __len__(self) -> int:
        return self._reports

    def __enter__(self) -> ReportIndex:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _add(self, member: Member) -> None:
        names = list(report_names(member.name))
        keys: list[tuple[str, bool]] = []
        if _is_xml(member.name) or member.name.lower().endswith(".hl7"):
            report = self._read(member)
            if report is None:
                return
            keys = [(k, True) for k in report.images]
        if not _is_xml(member.name):
            # A text is named by what it is about: it need not be read before it is asked for.
            keys += ((pseudonym(self._key, "report", name), alone) for name, alone in names)
        self._reports += 1
        number = self._table.execute(
            "INSERT INTO file (name, size, mtime, place) VALUES (?, ?, ?, ?)",
            (member.name, member.size, member.mtime_ns, member.offset),
        ).lastrowid
        # Of two reports on one image the first by name counts: the order of a listing is fixed. Of
        # files that share a common name such as IM1 in several folders none does.
        self._table.executemany(
            "INSERT INTO report VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET "
            "file = CASE WHEN ? OR file = excluded.file THEN file END",
            [(k, number, alone) for k, alone in keys],
        )

    def _read(self, member: Member) -> Report | None:
        try:
            return parse_report(read_member(member, _LARGEST), member.name, self._key)
        except ImageError as error:
            self._refuse(member.name, error.detail)
        except ArchiveError as error:
            self._refuse(member.name, str(error).removeprefix(f"report {member.name}: "))
        return None

    def _refuse(self, name: str, detail: str) -> None:
        self._problems[name] = detail


def _is_xml(name: str) -> bool:
    return name.lower().endswith(".xml")


def _parse_xml(data: bytes, name: str, key: bytes) -> Report:
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True
    )
    wrong = f"report {name}: no well-formed XML without entities"
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise ArchiveError(wrong) from error
    declared = root.getroottree().docinfo.internalDTD
    if declared is not None and any(declared.iterentities()):
        raise ArchiveError(wrong)
    uid = root.find("uId")
    number = (uid.get("id") or "").strip() if uid is not None else ""
    if root.tag != "eCitation" or not number:
        raise ArchiveError(f"report {name}: no Open-i report (eCitation with a uId)")
    sections = join(
        (str(e.get("Label", "")).casefold(), "".join(e.itertext()))
        for e in root.iter("AbstractText")
    )
    terms = dict.fromkeys(parse_mesh("".join(e.itertext())) for e in root.iterfind("MeSH/major"))
    names = [number, *((e.get("id") or "").strip() for e in root.iter("parentImage"))]
    return Report(
        uid=pseudonym(key, "study", number),
        sections=sections,
        annotations=tuple(term for term in terms if term is not None),
        images=tuple(dict.fromkeys(pseudonym(key, "report", n) for n in names if n)),
    )


def _parse_text(data: bytes, name: str, key: bytes) -> Report:
    try:
        found = read_text(data)
    except NotAText as error:
        raise ArchiveError(f"report {name}: {error}") from None
    own = pseudonym(key, "report", stem(name))
    numbers = (pseudonym(key, "report", number) for number in found.names)
    return Report(own, join(split(found.text)), (), tuple(dict.fromkeys((own, *numbers))))
