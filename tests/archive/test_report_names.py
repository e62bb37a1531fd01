"""Reports as they are sent: names, folders, encodings and messages; what matches nothing counts."""

from __future__ import annotations

import base64
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
    "coding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "cp1252"],
)
def test_encodings(coding: str) -> None:
    assert parse_report(TEXT.encode(coding), "a.txt", KEY).sections == SAID
    # A line's end that something added in one byte.
    assert parse_report(TEXT.encode(coding) + b"\n", "a.txt", KEY).sections == SAID


def test_signs_that_are_not_seen_part_no_word() -> None:
    text = "FINDINGS: Left effu\u00adsion & no <x>. Grö\u200bße.\r\nIMPRESSION: Nor\u2060mal.\r\n"
    assert parse_report(text.encode(), "a.txt", KEY).sections == SAID


@pytest.mark.parametrize(
    ("text", "codings"),
    [
        (
            "Лёгочные поля прозрачны. Пневмоторакса нет. PA.",
            ("cp1251", "koi8-r", "utf-16", "utf-16-le"),
        ),
        ("気胸なし。胸水あり。心拡大を認めます。CTR 55.", ("shift_jis", "euc_jp")),
        ("双肺纹理清晰，未见明显异常。左侧胸腔积液。", ("gb18030",)),
        ("기흉 없음. 흉수 있음.", ("euc_kr",)),
        ("Δεν παρατηρείται πνευμοθώρακας. Rx.", ("cp1253",)),
        ("Épanchement à droite. Pas de pneumothorax.", ("cp1252",)),
    ],
)
def test_encodings_of_other_scripts(text: str, codings: tuple[str, ...]) -> None:
    for coding in codings:
        assert parse_report(text.encode(coding), "a.txt", KEY).sections == {"findings": text}
    # A long text is told by its beginning, wherever that cuts a letter.
    long = (text.replace(".", "") + " ") * 900
    assert parse_report(f"x{long}".encode(codings[0]), "a.txt", KEY).sections == {
        "findings": f"x{long}".strip()
    }


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


def _message(*observations: str, accession: str = "ACC-77") -> str:
    head = ["MSH|^~\\&|RIS|H", "PID|1||SECRET-17||Secret^Person", f"OBR|1||{accession}"]
    return "\r".join([*head, *observations]) + "\r"


_SEEN = "OBX|1|TX|GDT^FINDINGS||Left effusion.||||||F"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (_message(_SEEN) + _message(_SEEN, accession="ACC-78"), "several HL7 messages"),
        ("FHS|^~\\&|RIS\rBHS|^~\\&|RIS\r" + _message(_SEEN) * 2 + "BTS|2\r", "several HL7"),
        (_message(_SEEN, "OBR|2||ACC-79", _SEEN), "several orders"),
        (_message("OBX|1|TX|GDT^FINDINGS||Left effusion.||||||D"), "without a text"),
        (_message("OBX|1|ED|PDF^REPORT||AAAA||||||F"), "whose report is not a text"),
        ("Report\rPID|1||SECRET-17||Secret^Person\r", "HL7 segments"),
        ('{"resourceType": "DiagnosticReport"}', "a JSON file"),
        ("<?xml version='1.0'?><ORU_R01><PID.5>Secret</PID.5></ORU_R01>", "an XML file"),
    ],
)
def test_what_may_hold_other_patients_is_refused(data: str, reason: str) -> None:
    with pytest.raises(ArchiveError, match=reason) as caught:
        parse_report(data.encode(), "a.txt", KEY)
    assert "SECRET" not in str(caught.value).upper()


@pytest.mark.parametrize(
    "text",
    [
        "{\\rtf1 Left effusion.\\par}",
        "{\\E\\rtf1 Left effusion.\\E\\par}",
        "<p>Left <b>eff</b>usion.</p>",
    ],
)
def test_texts_inside_a_message_are_read_as_what_they_are(text: str) -> None:
    message = _message(f"OBX|1|FT|GDT^FINDINGS||{text}||||||F")
    assert parse_report(message.encode(), "a.txt", KEY).sections == {"findings": "Left effusion."}


def test_one_batch_of_one_message() -> None:
    message = "FHS|^~\\&|RIS\r" + _message(_SEEN) + "FTS|1\r"
    assert parse_report(message.encode(), "a.txt", KEY).sections == {"findings": "Left effusion."}


def _coded(data: bytes, kind: str = "^TEXT^^Base64") -> str:
    return f"OBX|1|ED|GDT^FINDINGS||{kind}^{base64.b64encode(data).decode()}||||||F"


@pytest.mark.parametrize(
    "observations",
    [
        ["OBX|1|CWE|GDT^FINDINGS||J90^Left effusion.^I10||||||F"],
        ["OBX|1|CE|GDT^FINDINGS||^^^X^Left effusion.^L||||||F"],
        ["OBX|1|CWE|GDT^FINDINGS||J90^Fluid^I10^^^^^^Left effusion.||||||F"],
        ["OBX|1|NM|HR^RATE||72||||||F", "NTE|1|L|Left effusion."],
        ["NTE|1||FINDINGS:~Left effusion."],
        ["OBX|1|TX|GDT^FINDINGS||||||||F", "NTE|1|L|Left", "NTE|2|L|effusion."],
        [_coded(b"Left effusion.")],
        [_coded("Left effusion.".encode("utf-16"))],
        [_coded(b"{\\rtf1 Left effusion.\\par}", "RIS^application^rtf^Base64")],
        [_coded(b"<p>Left&nbsp;effusion.</p>", "^TEXT^HTML^Base64")],
        [_coded(b"Left effusion.")[:45] + "\r\n" + _coded(b"Left effusion.")[45:]],
        ["OBX|1|ED|GDT^FINDINGS||^TEXT^^Hex^" + b"Left effusion.".hex() + "||||||F"],
        ["OBX|1|ED|GDT^FINDINGS||^TEXT^^A^Left effusion.||||||F"],
        ["OBX|1|TX|GDT^FINDINGS||Left\neffusion.||||||F"],
    ],
)
def test_every_form_of_an_observation_is_read(observations: list[str]) -> None:
    report = parse_report(_message(*observations).encode(), "a.txt", KEY)
    assert report.sections == {"findings": "Left effusion."}


@pytest.mark.parametrize(("own", "other"), [("71020&GDT", "71020&IMP"), ("F&GDT", "I&IMP")])
def test_the_part_of_an_identifier_is_a_heading(own: str, other: str) -> None:
    message = _message(
        f"OBX|1|TX|{own}||Left effusion.||||||F", f"OBX|2|FT|{other}||Normal.||||||F"
    )
    assert parse_report(message.encode(), "a.txt", KEY).sections == {
        "findings": "Left effusion.",
        "impression": "Normal.",
    }


def test_comments_on_the_patient_deleted_ones_and_instructions_are_left_out() -> None:
    message = "\r".join(
        [
            "MSH|^~\\&|RIS|H",
            "PID|1||SECRET-17||Secret^Person",
            "NTE|1||The patient had a pneumothorax.",
            "OBR|1||ACC-77",
            "NTE|1|P|Exclude pneumonia.",
            "NTE|2|L|Two films.",
            "OBX|1|TX|GDT^FINDINGS||Left effusion.||||||F",
            "NTE|1||Do not eat.|PI",
            "OBX|2|TX|GDT^FINDINGS||Right effusion.||||||D",
            "NTE|1||Of the right side.",
        ]
    )
    assert parse_report(message.encode(), "a.txt", KEY).sections == {
        "indication": "Exclude pneumonia.",
        "findings": "Two films. Left effusion.",
    }


def test_the_signs_of_a_message_are_those_it_says() -> None:
    message = "MSH#*!?%#RIS\rOBR#1##ACC-77*RIS\rOBX#1#CWE#GDT*FINDINGS##J90*Left?H?x?F?y\r"
    report = parse_report(message.encode(), "a.txt", KEY)
    assert report.sections == {"findings": "Left x#y"}


@pytest.mark.parametrize(
    ("observation", "reason"),
    [
        (_coded(b"%PDF-1.4 a", "^application^pdf^Base64"), "whose report is a PDF: have it sent"),
        ("OBX|1|TX|A^REPORT||JVBERi0xLjQ||||||F", "whose report is a PDF"),
        (_coded(b"PK\3\4aa"), "an Office document"),
        (_coded(b"GIF89a", "^IM^GIF^Base64"), "an image, a sound"),
        (_coded(b"<?xml version='1.0'?><ClinicalDocument/>"), "an XML file"),
        (_coded(b"\0\1\2"), "not a text"),
        ("OBX|1|ED|A^REPORT||^TEXT^^Base64^!?||||||F", "is damaged"),
        ("OBX|1|RP|A^REPORT||\\\\host\\a.pdf||||||F", "a link to a file elsewhere"),
        ("OBX|1|CWE|A^REPORT||J90||||||F", "without a text"),
        (_coded(_message(_SEEN).encode()), "HL7 segments"),
    ],
)
def test_why_a_message_has_no_text_is_said(observation: str, reason: str) -> None:
    with pytest.raises(ArchiveError, match=reason):
        parse_report(_message(observation).encode(), "a.txt", KEY)


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


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        ("- No pneumothorax\n- Left effusion", "- No pneumothorax. - Left effusion"),
        ("1. No edema\n2. Mass", "1. No edema. 2. Mass"),
        ("No pneumothorax\n\nLeft effusion", "No pneumothorax. Left effusion"),
        ("No pneumothorax\nLeft effusion", "No pneumothorax. Left effusion"),
        ("Pneumothorax: No\neffusion: Yes", "Pneumothorax: No. effusion: Yes"),
        ("[ ] Mass\n[x] Edema", "[ ] Mass. [x] Edema"),
        ("<tr><td>Mass</td><td>No</td></tr><tr><td>Edema</td><td>Yes</td></tr>", ""),
        # What is only wrapped stays one sentence.
        ("No pneumothorax or\nEffusion", "No pneumothorax or Effusion"),
        ("There is no\npneumothorax.\nNormal", "There is no pneumothorax. Normal"),
        (
            "There is no sign of a pneumothorax on the left, and none of the\nCHF of before.",
            "There is no sign of a pneumothorax on the left, and none of the CHF of before.",
        ),
    ],
)
def test_a_line_ends_a_statement_where_it_is_not_wrapped(text: str, findings: str) -> None:
    text = f"<table>{text}</table>" if "<" in text else text
    expected = findings or "Mass: No. Edema: Yes"
    assert parse_report(text.encode(), "a.txt", KEY).sections == {"findings": expected}
