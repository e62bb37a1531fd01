from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.annotation import NORMAL, Annotation, kind_of
from indexer.archive.reports import parse_report
from indexer.cascade.bundle import Bundle
from indexer.cascade.labeller import READ_SECTIONS, Mention, affirmed, label
from indexer.cascade.labeller_rules import FINDINGS

SENTENCES = Path(__file__).parent / "negation_sentences.csv"


def _said(text: str) -> dict[str, str]:
    return {m.annotation.disease: m.status for m in label({"findings": text})}


def _texts(text: str) -> list[str]:
    return [a.text for a in affirmed(label({"findings": text}))]


def _gold(held_out: str) -> dict[str, dict[str, str]]:
    gold: dict[str, dict[str, str]] = {}
    with SENTENCES.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["held_out"] == held_out:
                terms = gold.setdefault(row["sentence"], {})
                if row["finding"]:
                    terms[row["finding"]] = row["status"]
    return gold


def _affirmed_pairs(held_out: str) -> Iterator[tuple[set[str], set[str]]]:
    for sentence, terms in _gold(held_out).items():
        want = {name for name, status in terms.items() if status == "affirmed"}
        got = {
            m.annotation.disease for m in label({"findings": sentence}) if m.status == "affirmed"
        }
        yield want, got - {NORMAL}


@pytest.mark.parametrize(("held_out", "least"), [("no", 0.95), ("first", 0.93), ("second", 0.85)])
def test_affirmed_findings_of_written_sentences(held_out: str, least: float) -> None:
    pairs = list(_affirmed_pairs(held_out))
    assert len(pairs) >= 40
    right = sum(len(want & got) for want, got in pairs)
    assert right / sum(len(got) for _, got in pairs) >= least
    assert right / sum(len(want) for want, _ in pairs) >= least


def test_the_sentences_cover_every_status() -> None:
    for held_out in ("no", "first"):
        statuses = [s for terms in _gold(held_out).values() for s in terms.values()]
        assert all(statuses.count(s) >= 10 for s in ("affirmed", "negated", "uncertain"))


@pytest.mark.parametrize(
    ("text", "finding", "status"),
    [
        ("There is no pneumothorax.", "pneumothorax", "negated"),
        ("No pneumothorax, but a small effusion.", "pleural effusion", "affirmed"),
        ("No change in the left effusion.", "pleural effusion", "affirmed"),
        ("Possible nodule.", "nodule", "uncertain"),
        ("A nodule cannot be excluded.", "nodule", "uncertain"),
        ("The nodule is not seen.", "nodule", "negated"),
        ("Opacity which may represent pneumonia.", "opacity", "affirmed"),
        ("Opacity which may represent pneumonia.", "pneumonia", "uncertain"),
        ("NO EFFUSION.", "pleural effusion", "negated"),
        ("No consolidation, small effusion, or pneumothorax.", "pleural effusion", "negated"),
        ("Interval removal of the left PICC.", "catheters, indwelling", "negated"),
    ],
)
def test_status(text: str, finding: str, status: str) -> None:
    assert _said(text)[finding] == status


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Patchy opacity in the left upper lobe.", ["opacity, lung, upper lobe, left, patchy"]),
        (
            "Mild cardiomegaly, small left effusion, and streaky opacity at the right base.",
            [
                "cardiomegaly, mild",
                "pleural effusion, left, small",
                "opacity, lung, base, right, streaky",
            ],
        ),
        ("Bibasilar atelectasis.", ["pulmonary atelectasis, base, bilateral"]),
        ("Nodules in the right and left apices.", ["nodule, lung, apex, bilateral"]),
        ("Healed fracture of a left rib.", ["fractures, bone, ribs, left, healed"]),
        (
            "Calcified granuloma, right lower lobe.",
            ["calcified granuloma, lung, lower lobe, right"],
        ),
    ],
)
def test_qualifiers_go_to_their_finding(text: str, said: list[str]) -> None:
    assert _texts(text) == said


def test_only_findings_and_impression_are_read() -> None:
    sections = {
        "indication": "Pneumonia.",
        "comparison": "Left effusion in May.",
        "findings": "Nodule.",
        "impression": "Cardiomegaly.",
    }
    mentions = label(sections)
    assert [m.section for m in mentions] == list(READ_SECTIONS)
    assert {m.annotation.disease for m in mentions} == {"nodule", "cardiomegaly"}
    assert {m.annotation.origin for m in mentions} == {"report"}


def test_a_mention_knows_its_sentence_and_its_phrase() -> None:
    text = "Lungs are hyperinflated. The nodule is 1.2 cm wide.  No effusion"
    sentences = [text[slice(*m.sentence_span)] for m in label({"findings": text})]
    assert sentences == ["Lungs are hyperinflated.", "The nodule is 1.2 cm wide.", "No effusion"]
    phrases = [text[slice(*m.phrase_span)] for m in label({"findings": text})]
    assert phrases == ["hyperinflated", "nodule", "effusion"]


def test_normal_stands_alone() -> None:
    assert _texts("The lungs are clear. No effusion.") == [NORMAL]
    assert _texts("The lungs are clear. Scoliosis.") == ["scoliosis"]
    assert _texts("Possible nodule.") == []
    assert label({}) == ()
    assert affirmed(()) == ()


def test_a_finding_said_twice_counts_once() -> None:
    sections = {"findings": "Opacity at the left base.", "impression": "Opacity."}
    assert [a.text for a in affirmed(label(sections))] == ["opacity, lung, base, left"]


def test_every_finding_of_the_bundle_has_a_phrase(bundle: Bundle) -> None:
    # An indexer's heading that names an organ alone has no wording of its own.
    without = {"lung bilateral", "pulmonary emphysema", NORMAL}
    assert set(bundle.findings) - {rule.disease for rule in FINDINGS} <= without


def test_rules_speak_the_annotations_vocabulary() -> None:
    for rule in FINDINGS:
        assert rule.disease == rule.disease.lower()
        assert not rule.organ or kind_of(rule.organ) == "organ"


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=120))
def test_any_text_can_be_read(text: str) -> None:
    for mention in label({"findings": text}):
        start, end = mention.sentence_span
        assert 0 <= start < end <= len(text)
        assert start <= mention.phrase_span[0] < mention.phrase_span[1] <= end


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(sorted(_gold("no"))), max_size=6))
def test_sentences_are_read_one_by_one(sentences: list[str]) -> None:
    def bare(mentions: tuple[Mention, ...]) -> list[tuple[Annotation, str]]:
        return [(m.annotation, m.status) for m in mentions]

    alone = [pair for s in sentences for pair in bare(label({"findings": s}))]
    assert bare(label({"findings": " ".join(sentences)})) == alone


def test_open_i_reports_agree_with_their_human_terms(shared: Path) -> None:
    folder = shared / "openi" / "ecgen-radiology"
    if not folder.is_dir():
        pytest.skip(f"no Open-i reports at {folder}")
    hits = said = wanted = 0
    for path in sorted(folder.glob("1*.xml"))[:100]:
        report = parse_report(path.read_bytes(), path.name, b"k" * 32)
        want = {a.disease for a in report.annotations}
        got = {a.disease for a in affirmed(label(report.sections))} if want else set()
        hits, said, wanted = hits + len(want & got), said + len(got), wanted + len(want)
    assert hits / said > 0.85
    assert hits / wanted > 0.85
