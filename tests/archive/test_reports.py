from __future__ import annotations

import contextlib
import csv
import resource
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.archive.deidentify import picture_identity, pseudonym
from indexer.archive.report_files.sections import SECTIONS
from indexer.archive.reports import Report, ReportIndex, parse_report
from indexer.archive.sources.names import stem
from indexer.errors import ArchiveError
from indexer.words.labeller import label, statements

KEY = b"k" * 32

XML = """<?xml version="1.0" encoding="utf-8"?>
<eCitation>
  <uId id="CXR7"/>
  <MedlineCitation><Article><Abstract>
    <AbstractText Label="COMPARISON"/>
    <AbstractText Label="INDICATION">Made up for XXXX test</AbstractText>
    <AbstractText Label="FINDINGS">Haze at the  left
      base &amp; nothing else.</AbstractText>
    <AbstractText Label="IMPRESSION">Left <i>basal</i> haze.</AbstractText>
  </Abstract></Article></MedlineCitation>
  <MeSH>
    <major>Opacity/lung/base/left </major>
    <major>Lung/hypoinflation/mild</major>
    <major>Opacity/lung/base/left</major>
    <major>No Indexing</major>
    <automatic>haze</automatic>
  </MeSH>
  <parentImage id="CXR7_IM-0001-1001"/>
  <parentImage id="CXR7_1_IM-0001-2001"/>
</eCitation>"""


def keys(*names: str) -> tuple[str, ...]:
    return tuple(pseudonym(KEY, "report", name) for name in names)


def test_open_i_xml() -> None:
    report = parse_report(XML.encode(), "7.xml", KEY)
    assert report.sections == {
        "indication": "Made up for XXXX test",
        "findings": "Haze at the left base & nothing else.",
        "impression": "Left basal haze.",
    }
    assert [a.text for a in report.annotations] == [
        "opacity, lung, base, left",
        "lung hypoinflation, mild",
    ]
    assert {a.origin for a in report.annotations} == {"human"}
    assert report.images == keys("CXR7", "CXR7_IM-0001-1001", "CXR7_1_IM-0001-2001")


def test_a_report_and_its_pictures_have_one_study() -> None:
    report = parse_report(XML.encode(), "7.xml", KEY)
    for name in ("images/CXR7_IM-0001-1001.png", "CXR7_1_IM-0001-2001.jpg"):
        identity = picture_identity(KEY, name, "0" * 16)
        assert identity.study == report.uid
        assert set(identity.report_keys) & set(report.images)


def test_no_original_name_is_in_a_report() -> None:
    xml = parse_report(XML.encode(), "7.xml", KEY)
    text = parse_report(b"Clear lungs.", "sub/ACC123.txt", KEY)
    assert "CXR7" not in repr(xml.to_json())
    assert "ACC123" not in repr(text.to_json())


def test_json_round_trip() -> None:
    report = parse_report(XML.encode(), "7.xml", KEY)
    assert Report.from_json(report.to_json()) == report


@pytest.mark.parametrize(
    ("text", "sections"),
    [
        ("Clear lungs.\nNo effusion.", {"findings": "Clear lungs. No effusion."}),
        (
            "Hospital of Nowhere\nPatient: A. Person\n\nREASON FOR EXAM: cough\nTECHNIQUE: PA.\n"
            "FINDINGS:\n  Clear\n lungs.\nImpression : normal.\n\nElectronically signed by: Dr. X",
            {"indication": "cough", "findings": "Clear lungs.", "impression": "normal."},
        ),
        (
            "FINDINGS: clear. IMPRESSION: normal.",
            {"findings": "clear.", "impression": "normal."},
        ),
        ("FINDINGS\nclear\n\nCONCLUSION\nnormal", {"findings": "clear", "impression": "normal"}),
        (
            "Findings: in comparison: smaller. A history of smoking.\nView limited.",
            {"findings": "in comparison: smaller. A history of smoking. View limited."},
        ),
        ("FINDINGS: a\nFINDINGS: b", {"findings": "a. b"}),
        ("\ufeffIndication: caf\u00e9", {"indication": "caf\u00e9"}),
        # As other hospitals head their reports.
        ("**FINDINGS:** a\n**IMPRESSION:** b", {"findings": "a", "impression": "b"}),
        ("## Findings\n\na\n\n## Impression\nb", {"findings": "a", "impression": "b"}),
        ("[FINDINGS] a\n[IMPRESSION] b", {"findings": "a", "impression": "b"}),
        ("FINDINGS\n=====\na\nIMPRESSION\n-----\nb", {"findings": "a", "impression": "b"}),
        ("1. FINDINGS: a\n2) IMPRESSION: b", {"findings": "a", "impression": "b"}),
        ("Findings - a\nImpression - b", {"findings": "a", "impression": "b"}),
        ("HISTORY: a\nFINDINGS/IMPRESSION:\nb", {"indication": "a", "findings": "b"}),
        ("FINDINGS AND IMPRESSION: a", {"findings": "a"}),
        (
            "Indication: a. Comparison: none. Findings: b. Impression: c.",
            {"indication": "a.", "comparison": "none.", "findings": "b.", "impression": "c."},
        ),
        ("NO EFFUSION FINDINGS: A IMPRESSION: B", {"findings": "A", "impression": "B"}),
        (
            "CLINICAL INFORMATION: a\nREPORT: b\nCONCLUSION: c",
            {"indication": "a", "findings": "b", "impression": "c"},
        ),
        # A title is no section, nor is a letterhead below it.
        ("RADIOLOGY REPORT\nA. Person\nFINDINGS: a", {"findings": "a"}),
        ("REPORT: A. Person\nFINDINGS: a", {"findings": "a"}),
        ("Klinik\nDr. Person\nBefund: a", {"findings": "a"}),
        ("LUNGS: a\nHEART: b", {"findings": "LUNGS: a HEART: b"}),
        ("CONCLUSIONES: a\nINFORME: b", {"findings": "b", "impression": "a"}),
        ("", {}),
    ],
)
def test_plain_text(text: str, sections: dict[str, str]) -> None:
    report = parse_report(text.encode(), "a/1.2.3.txt", KEY)
    assert report.sections == sections
    assert list(report.sections) == [s for s in SECTIONS if s in sections]
    assert report.images == (report.uid,) == keys("1.2.3")


def test_text_in_an_older_encoding() -> None:
    assert parse_report("Ödem".encode("cp1252"), "a.txt", KEY).sections == {"findings": "Ödem"}


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_any_text_is_a_report(text: str) -> None:
    report = parse_report(text.encode(), "x.txt", KEY)
    assert set(report.sections) <= set(SECTIONS)
    assert all(value == " ".join(value.split()) != "" for value in report.sections.values())


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.xml", b"<eCitation><uId id='CXR1'></eCitation>"),
        ("a.xml", b""),
        ("a.xml", b"<note>not a report</note>"),
        ("a.xml", b"<eCitation><uId id=' '/></eCitation>"),
        (
            "a.xml",
            b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><eCitation>&e;</eCitation>",
        ),
        ("a.xml", b"<?xml version='1.0' encoding='no-such'?><eCitation/>"),
        ("a.txt", b"\x00\x01binary"),
    ],
)
def test_unreadable_reports_are_named(name: str, data: bytes) -> None:
    with pytest.raises(ArchiveError, match=r"^report a\.(xml|txt): [^\n]+$"):
        parse_report(data, name, KEY)


def test_index_finds_reports_and_counts_problems(tmp_path: Path) -> None:
    (tmp_path / "p10").mkdir()
    (tmp_path / "7.xml").write_text(XML, encoding="utf-8")
    (tmp_path / "8.xml").write_text("<eCitation>", encoding="utf-8")
    (tmp_path / "p10" / "1.2.840.5.txt").write_text("By study.", encoding="utf-8")
    (tmp_path / "ACC9.TXT").write_text("By accession.", encoding="utf-8")
    (tmp_path / "bad.txt").write_bytes(b"\0")
    (tmp_path / "picture.dcm").write_bytes(b"")
    with ReportIndex.open(tmp_path, KEY) as index:
        assert len(index) == 4
        assert [p.split(":")[0] for p in index.problems] == ["report 8.xml"]
        found = index.find(keys("CXR7_1_IM-0001-2001"))
        assert found == parse_report(XML.encode(), "7.xml", KEY)
        # The keys are tried in their order.
        by_study = index.find(keys("unknown", "1.2.840.5", "ACC9"))
        assert by_study is not None
        assert by_study.sections == {"findings": "By study."}
        assert index.find(keys("ACC9")) is not None
        assert index.find(keys("8")) is None
        assert index.find(()) is None
        assert index.find(keys("bad")) is None
        assert index.find(keys("bad")) is None
        assert len(index.problems) == 2


def test_index_of_an_open_i_download_and_of_a_zip(tmp_path: Path) -> None:
    reports = tmp_path / "ecgen-radiology"
    reports.mkdir()
    (reports / "7.xml").write_text(XML, encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "r.zip", "w") as archive:
        archive.write(reports / "7.xml", "deep/7.xml")
    for path in (tmp_path, reports, tmp_path / "r.zip"):
        with ReportIndex.open(path, KEY) as index:
            assert index.find(keys("CXR7_IM-0001-1001")) is not None


def test_the_first_of_two_reports_counts(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.txt").write_text("first", encoding="utf-8")
    (tmp_path / "x.txt").write_text("second", encoding="utf-8")
    with ReportIndex.open(tmp_path, KEY) as index:
        found = index.find(keys("x"))
    assert found is not None
    assert found.sections == {"findings": "first"}


def test_another_key_finds_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("text", encoding="utf-8")
    with ReportIndex.open(tmp_path, b"o" * 32) as index:
        assert index.find(keys("x")) is None


def test_a_report_gone_since_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("text", encoding="utf-8")
    with ReportIndex.open(tmp_path, KEY) as index:
        (tmp_path / "x.txt").unlink()
        assert index.find(keys("x")) is None
        assert len(index.problems) == 1


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_a_folder_without_reports_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArchiveError, match=str(tmp_path)):
        ReportIndex.open(tmp_path / name, KEY)


def test_memory_does_not_grow_with_the_reports(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "r.zip", "w") as archive:
        for number in range(3000):
            archive.writestr(f"{number}.xml", XML.replace("CXR7", f"CXR{number}") + " " * 20_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with ReportIndex.open(tmp_path / "r.zip", KEY) as index:
        assert len(index) == 3000
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert index.find(keys("CXR2999_IM-0001-1001")) is not None
    # 66 MB of text went through.
    assert after - before < 25_000


def test_all_of_open_i(shared: Path) -> None:
    with (shared / "openi" / "images.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    annotations = studies = 0
    with ReportIndex.open(shared / "openi" / "ecgen-radiology", KEY) as index:
        assert len(index) == 3262
        assert index.problems == []
        seen = set()
        for row in rows:
            identity = picture_identity(KEY, f"{row['image_id']}.jpg", "0" * 16)
            report = index.find(identity.report_keys)
            assert report is not None, row["image_id"]
            assert report.uid == identity.study == pseudonym(KEY, "study", f"CXR{row['uid']}")
            assert report.sections
            if report.uid not in seen:
                seen.add(report.uid)
                annotations += len(report.annotations)
                studies += any(a.disease != "normal" for a in report.annotations)
    assert len(rows) == 6332
    assert len(seen) == 3262
    assert stem(f"{rows[0]['image_id']}.jpg") == rows[0]["image_id"]
    # Distinct major terms that label something; studies with one that is not "normal".
    assert (annotations, studies) == (6810, 2082)


def test_remarks_inside_a_text_leave_it_whole() -> None:
    data = b"""<eCitation><uId id="7"/><AbstractText Label="FINDINGS">No <!-- x -->effu<?pi y?>sion
    and <b>no</b> mass.</AbstractText></eCitation>"""
    assert parse_report(data, "7.xml", b"key").sections == {"findings": "No effusion and no mass."}


@pytest.mark.parametrize("entity", ["x 'text'", "x SYSTEM 'file:///etc/passwd'", "% x 'text'"])
def test_entities_are_refused(entity: str) -> None:
    data = f"""<!DOCTYPE eCitation [<!ENTITY {entity}>]><eCitation><uId id="7"/></eCitation>"""
    with pytest.raises(ArchiveError, match="without entities"):
        parse_report(data.encode(), "7.xml", b"key")


@pytest.mark.parametrize(
    "part",
    [
        "word ",
        "a",
        "\n",
        " \n",
        "FINDINGS:\n",
        "FINDINGS" + " " * 50,
        "(",
        "<",
        "<p><style>",
        "<p><!--",
        "<p><title ",
        "&amp;",
        "!?",
        "{\\rtf1 {",
        "MSH|^~\\&|\rOBX|1|TX|a||~",
        "no effusion or ",
    ],
)
@pytest.mark.parametrize("size", [2**19, 2**22])
def test_long_reports_are_read_or_refused_in_no_time(part: str, size: int) -> None:
    data = (part * (size // len(part)))[: size - 1].encode()
    started = time.process_time()
    with contextlib.suppress(ArchiveError):
        sections = parse_report(data, "a.txt", KEY).sections
        label(sections)
        statements(sections)
    # A quadratic one takes minutes.
    assert time.process_time() - started < 15


def test_what_html_never_closes_hides_the_rest() -> None:
    data = b"<p>FINDINGS: a<br><!-- b --> c</p><style>d</style><p>e</p><script>f"
    assert parse_report(data, "a.txt", KEY).sections == {"findings": "a c e"}


def test_a_text_that_is_no_report_for_its_length_is_named() -> None:
    assert parse_report(b"word " * 100_000, "a.txt", KEY).sections
    with pytest.raises(ArchiveError, match="a text of 600000 characters; a report has at most"):
        parse_report(b"word " * 120_000, "a.txt", KEY)
