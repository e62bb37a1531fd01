"""How well does the rule labeller agree with the human MeSH terms of the val reports?

python -m benchmarks.labeller OPENI [PART]

PART is val, or "build" or "held", the halves of the train reports: rules were written with the
reports of "build" in sight only. A report counts once. The human indexers also read what the text
leaves out, and they index some doubtful findings, so neither number can reach 1.
"""

from __future__ import annotations

import csv
import hashlib
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.record import write_result
from indexer.annotation import Annotation
from indexer.archive.reports import Report, parse_report
from indexer.words.labeller import affirmed, label

_KEY = b"benchmark of the labeller"
# Terms that the indexers use for one thing; the second number takes each row as one term.
_SAME = {
    "pulmonary emphysema": "emphysema",
    "cardiac shadow": "cardiomegaly",
    "diaphragm flattened": "diaphragm bilateral",
    "aorta, thoracic": "aorta tortuous",
}
_MIN_REPORTS = 5
# The findings that most collections of chest X-rays label, and the terms that say so.
_COMMON = {
    "atelectasis": ("pulmonary atelectasis",),
    "cardiomegaly": ("cardiomegaly", "cardiac shadow"),
    "consolidation": ("consolidation",),
    "edema": ("pulmonary edema",),
    "effusion": ("pleural effusion", "hydropneumothorax"),
    "emphysema": ("emphysema", "pulmonary emphysema", "bullous emphysema"),
    "fibrosis": ("pulmonary fibrosis", "fibrosis"),
    "hernia": ("hernia, hiatal", "hernia, diaphragmatic", "hernia"),
    "infiltrate": ("infiltrate",),
    "mass": ("mass",),
    "nodule": ("nodule", "multiple pulmonary nodules", "solitary pulmonary nodule"),
    "pleural thickening": ("thickening",),
    "pneumonia": ("pneumonia", "bronchopneumonia", "pneumonia, aspiration"),
    "pneumothorax": ("pneumothorax", "hydropneumothorax"),
}


def _common(annotations: Iterable[Annotation]) -> set[str]:
    diseases = {
        a.disease
        for a in annotations
        if a.disease != "thickening" or "pleura" in (word.text for word in a.words)
    }
    return {name for name, terms in _COMMON.items() if diseases.intersection(terms)}


def _part(study: str, split: str) -> str:
    if split != "train":
        return split
    return "build" if hashlib.sha256(study.encode()).digest()[0] < 128 else "held"


def _reports(folder: Path, part: str) -> list[Report]:
    with (folder / "images.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    studies = sorted({r["uid"] for r in rows if _part(r["uid"], r["split"]) == part})
    paths = [folder / "ecgen-radiology" / f"{study}.xml" for study in studies]
    reports = [parse_report(path.read_bytes(), path.name, _KEY) for path in paths]
    return [report for report in reports if report.annotations]


def _scores(human: list[set[str]], found: list[set[str]]) -> tuple[dict[str, Any], dict[str, Any]]:
    true: Counter[str] = Counter()
    counted: Counter[str] = Counter()
    truth: Counter[str] = Counter()
    for want, got in zip(human, found, strict=True):
        true.update(want & got)
        counted.update(got)
        truth.update(want)

    def both(hits: int, answers: int, wanted: int) -> dict[str, Any]:
        return {
            "precision": round(hits / answers, 3) if answers else None,
            "recall": round(hits / wanted, 3) if wanted else None,
            "human": wanted,
            "found": answers,
        }

    terms = {
        term: both(true[term], counted[term], count)
        for term, count in truth.most_common()
        if count >= _MIN_REPORTS
    }
    return both(true.total(), counted.total(), truth.total()), terms


def main(folder: Path, part: str) -> None:
    """Print and keep precision and recall, over all terms and for each."""
    reports = _reports(folder, part)
    started = time.process_time()
    mentions = [label(report.sections) for report in reports]
    milliseconds = (time.process_time() - started) / len(reports) * 1000
    found = [{a.disease for a in affirmed(m)} for m in mentions]
    human = [{a.disease for a in report.annotations} for report in reports]
    overall, terms = _scores(human, found)
    abnormal, _ = _scores([h - {"normal"} for h in human], [f - {"normal"} for f in found])
    merged, _ = _scores(
        [{_SAME.get(t, t) for t in h} for h in human], [{_SAME.get(t, t) for t in f} for f in found]
    )
    words = [
        {f"{a.disease}/{w.text}" for a in report.annotations for w in a.words[1:]}
        for report in reports
    ]
    given = [{f"{a.disease}/{w.text}" for a in affirmed(m) for w in a.words[1:]} for m in mentions]
    qualifiers, _ = _scores(words, given)
    common, each = _scores(
        [_common(report.annotations) for report in reports],
        [_common(affirmed(m)) for m in mentions],
    )
    write_result(
        "labeller" if part == "val" else f"labeller_{part}",
        {
            "command": f"python -m benchmarks.labeller OPENI {part}",
            "part": part,
            "reports": len(reports),
            "cpu_milliseconds_per_report": round(milliseconds, 2),
            "all_terms": overall,
            "without_normal": abnormal,
            "synonyms_as_one_term": merged,
            "term_and_qualifier": qualifiers,
            "common_findings": common,
            "each_common_finding_of_at_least_5_reports": each,
            "terms_of_at_least_5_reports": terms,
        },
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "val")
