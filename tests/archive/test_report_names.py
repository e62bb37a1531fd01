"""Reports as they are sent: names, folders, encodings and messages; what matches nothing counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer.archive.deidentify import dicom_identity
from indexer.archive.reports import ReportIndex, parse_report
from indexer.errors import ArchiveError
from tests.archive.making import film, make_dicom

KEY = b"k" * 32
SAID = {"findings": "Left effusion & no <x>. Größe.", "impression": "Normal."}


def expected_keys(path: str, **header: str) -> tuple[str, ...]:
    dataset = make_dicom(film())
    for keyword, value in header.items():
        setattr(dataset, keyword, value)
    return dicom_identity(KEY, dataset, path, "0" * 16).report_keys


def write(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"FINDINGS: report {number}.")


def found(index: ReportIndex, path: str, **header: str) -> str | None:
    report = index.find(expected_keys(path, **header))
    return report.sections["findings"] if report else None


@pytest.mark.parametrize(
    ("report", "path", "header"),
    [
        ("i1.TXT", "a/i1.dcm", {}),
        ("I3.txt", "a/i3.dcm", {}),
        ("i2.dcm.txt", "a/i2.dcm", {}),
        ("IM_01.report.txt", "a/im-01.dcm", {}),
        ("00012345.txt", "a/x", {"AccessionNumber": "12345"}),
        ("67890.txt", "a/x", {"AccessionNumber": "0067890"}),
        ("A1-7.report.txt", "a/x", {"AccessionNumber": "A1-7"}),
        ("A1_8.txt", "a/x", {"AccessionNumber": "A1/8"}),
        ("a1 8.txt", "a/x", {"AccessionNumber": "A1^8"}),
        ("1.2.3.4.77.txt", "a/x", {"StudyInstanceUID": "1.2.3.4.77"}),
        ("1.2.3.4.78.dcm.txt", "a/x", {"SOPInstanceUID": "1.2.3.4.78"}),
        ("p10/p10000001/s50000001.txt", "files/p10/p10000001/s50000001/x.dcm", {}),
        ("s50000001.txt", "files/p10/p10000001/s50000001/x.dcm", {}),
        ("patient1/study2.txt", "patient1/study2/view1.png", {}),
        ("patient1/study2.txt", "train/patient1/study2/series/view1.png", {}),
        ("x/IM1.txt", "x/IM1.dcm", {}),
    ],
)
def test_names_that_meet(tmp_path: Path, report: str, path: str, header: dict[str, str]) -> None:
    write(tmp_path, report)
    with ReportIndex.open(tmp_path, KEY) as index:
        assert found(index, path, **header) == "report 0."
        assert index.unclaimed() == []


@pytest.mark.parametrize(
    ("report", "path", "header"),
    [
        ("1.2.3.45.txt", "a/x", {"StudyInstanceUID": "1.2.34.5"}),
        ("patient1/study2.txt", "patient3/study2/view1.png", {}),
        ("study2.txt", "patient3/study2/view1.png", {}),
        ("12.txt", "a/x", {"AccessionNumber": "123"}),
    ],
)
def test_names_that_do_not(tmp_path: Path, report: str, path: str, header: dict[str, str]) -> None:
    write(tmp_path, report)
    with ReportIndex.open(tmp_path, KEY) as index:
        assert found(index, path, **header) is None
        assert index.unclaimed() == [report]


def test_a_common_name_counts_with_its_folder(tmp_path: Path) -> None:
    write(tmp_path, "a/IM1.txt", "b/IM1.txt")
    with ReportIndex.open(tmp_path, KEY) as index:
        assert found(index, "a/IM1.dcm") == "report 0."
        assert found(index, "root/b/IM1.dcm") == "report 1."
        assert found(index, "c/IM1.dcm") is None, "it may be of either, so it is of none"


def test_what_is_no_report_is_counted_by_reason(tmp_path: Path) -> None:
    write(tmp_path, "good.txt")
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    (tmp_path / "b.docx").write_bytes(b"PK")
    (tmp_path / "c.xml").write_text("no XML")
    with ReportIndex.open(tmp_path, KEY) as index:
        assert index.claim(expected_keys("good.dcm"))
        assert sum(index.reasons.values()) == 3
        assert not any("a.pdf" in reason for reason in index.reasons)
        assert index.unclaimed() == []


# --- texts ---

TEXT = "FINDINGS: Left effusion & no <x>. Größe.\r\nIMPRESSION: Normal.\r\n"


@pytest.mark.parametrize(
    "coding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
def test_encodings(coding: str) -> None:
    assert parse_report(TEXT.encode(coding), "a.txt", KEY).sections == SAID


def test_rtf_and_html() -> None:
    rtf = (
        rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}\f0\fs20\b FINDINGS:\b0  Left effusion & no"
        rb" <x>. Gr\'f6\'dfe.\par IMPRESSION: Normal.\par}"
    )
    html = (
        "<html><head><title>Nobody</title><style>p {}</style></head><body><p>FINDINGS: Left&nbsp;"
        "effusion &amp; no &lt;x&gt;. Gr&ouml;&szlig;e.</p><p>IMPRESSION:<br>Normal.</p></body>"
    )
    assert parse_report(rtf, "a.txt", KEY).sections == SAID
    assert parse_report(html.encode(), "a.txt", KEY).sections == SAID


def test_hl7_messages_keep_nothing_of_the_patient(tmp_path: Path) -> None:
    message = "\r".join(
        [
            "MSH|^~\\&|RIS|H|PACS|H|20190405||ORU^R01|1|P|2.3",
            "PID|1||SECRET-17||Secret^Person||19500101",
            "OBR|1|PLACER9|ACC-77^RIS||CXR^Chest",
            "OBX|1|TX|GDT^FINDINGS||Left effusion \\T\\ no <x>. Größe.||||||F",
            "OBX|2|ED|PDF^REPORT||AAAA||||||F",
            "OBX|3|TX|IMP^IMPRESSION||Normal.||||||F",
        ]
    )
    for data in (message.encode(), b"\x0b" + message.encode() + b"\x1c\r"):
        report = parse_report(data, "a.txt", KEY)
        assert report.sections == SAID
        assert "SECRET" not in repr(report).upper()
    (tmp_path / "message.hl7").write_text(message, "utf-8")
    with ReportIndex.open(tmp_path, KEY) as index:
        assert index.find(expected_keys("x/y.dcm", AccessionNumber="ACC-77")) is not None


@pytest.mark.parametrize(
    "data",
    [bytes(range(256)), b"%PDF-1.4", b"PK\3\4aa", b"x" * (2**19 + 1), b"{\\rtf1" + b"\0" * 9],
)
def test_what_is_no_text(data: bytes) -> None:
    with pytest.raises(ArchiveError):
        parse_report(data, "a.txt", KEY)


def test_headings_in_other_languages() -> None:
    text = "Befund: Pleuraerguss links. Kein Pneumothorax.\nBeurteilung: Kardiomegalie.\n"
    assert parse_report(text.encode(), "a.txt", KEY).sections == {
        "findings": "Pleuraerguss links. Kein Pneumothorax.",
        "impression": "Kardiomegalie.",
    }
