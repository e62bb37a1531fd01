"""Free text as radiologists write it in their notes: shorthand, remarks in brackets, durations."""

from __future__ import annotations

import pytest

from benchmarks.plain_queries import Case, is_understood
from search.language.plain.free_text import is_free

_SOB = 'indication:("shortness-of-breath" OR dyspnea OR SOB)'
_SMOKER = "indication:(smoker OR smoking OR tobacco)"
# What is typed, what it means, and what cannot be judged and is named as left out.
ROWS: tuple[tuple[str, str, str], ...] = (
    ("COPD exac", "COPD AND indication:exacerbation", ""),
    ("65 yo woman c/o SOB", f"age:65 AND sex:F AND {_SOB}", ""),
    ("f/u nodule", "nodule", ""),
    ("w/u cough", "indication:cough", ""),
    ("effusion a/w fracture", "effusion AND fracture", ""),
    ("effusion in the setting of CHF", "effusion AND CHF", ""),
    ("asp pna", "aspiration AND pna", ""),
    ("HIV pos", "indication:HIV", ""),
    ("ex-smoker with nodule", f"{_SMOKER} AND nodule", ""),
    ("hydroptx", "hydroptx", ""),
    ("uncalcified nodule", "finding:(nodule AND NOT calcified)", ""),
    ("cardiomegaly with out effusion", "cardiomegaly AND NOT effusion", ""),
    ("?? pneumonia", "uncertain:pneumonia OR indication:pneumonia", ""),
    ("pneumonia, ?", "uncertain:pneumonia OR indication:pneumonia", ""),
    ("rule in pneumonia", "uncertain:pneumonia OR indication:pneumonia", ""),
    ("good example of kerley lines", "kerley-lines", ""),
    # People.
    ("elderly M with effusion", "age:>=65 AND sex:M AND effusion", ""),
    ("60-70yo M w COPD", "age:[60 TO 70] AND sex:M AND COPD", ""),
    ("f/45", "age:45 AND sex:F", ""),
    ("45/m", "age:45 AND sex:M", ""),
    ("3 mo infant with pneumonia", "age:<2 AND pneumonia", ""),
    ("women of childbearing age", "sex:F AND age:[15 TO 49]", ""),
    ("preemie", "age:<1", ""),
    # What is normal, and the heart's size in other words.
    ("non-normal", "NOT disease:normal", ""),
    ("lungs clear bilaterally", "disease:normal", ""),
    ("everything normal except cardiomegaly", "cardiomegaly", "everything normal except"),
    ("normal chest except for granuloma", "granuloma", "normal chest except for"),
    ("not normal except for granuloma", "NOT disease:normal AND NOT granuloma", ""),
    ("cardiac silhouette enlarged", "cardiomegaly", ""),
    ("heart is mildly enlarged", "finding:(cardiomegaly AND mildly)", ""),
    ("normal lateral", "disease:normal AND view:lateral", ""),
    # Degrees and places that share a finding.
    ("no more than trace effusion", "finding:(effusion AND (trace OR minimal OR tiny))", ""),
    ("at least moderate effusion", "finding:(effusion AND (moderate OR large OR severe))", ""),
    (
        "small, moderate or large effusion",
        "finding:(effusion AND (small OR moderate OR large))",
        "",
    ),
    (
        "large right and small left effusion",
        "finding:(effusion AND large AND right) AND finding:(effusion AND small AND left)",
        "",
    ),
    (
        "RUL, RML and RLL opacity",
        "finding:(opacity AND location:RUL) AND finding:(opacity AND location:RML)"
        " AND finding:(opacity AND location:RLL)",
        "",
    ),
    (
        "RUL, RML or RLL nodule",
        "finding:(nodule AND (location:RUL OR location:RML OR location:RLL))",
        "",
    ),
    ("air under rt hemidiaphragm", "finding:(free-air-under-diaphragm AND right)", ""),
    # What no label tells.
    ("fever x 3 days", "indication:(fever OR febrile)", "x 3 days"),
    ("2 weeks of cough", "indication:cough", "2 weeks"),
    ("sarcoid stage 2", "sarcoid", "stage 2"),
    ("2 view chest", "*", "2 view"),
    ("5 mm", "*", "5 mm"),
    # Remarks in brackets.
    ("cardiomegaly (no effusion)", "cardiomegaly AND NOT effusion", ""),
    ("cardiomegaly [no effusion] with edema", "cardiomegaly AND NOT effusion AND edema", ""),
    ("effusion (small) left", "finding:(effusion AND small AND left)", ""),
    ("pneumonia (possible)", "uncertain:pneumonia", ""),
    ("effusion w/wo edema", "effusion", "edema"),
    ("effusion w/ or w/o edema", "effusion", "edema"),
    ("effusion with/without edema", "effusion", "edema"),
    ("Indication: cough", "indication:cough", ""),
    ("between ages 20 and 30", "age:[20 TO 30]", ""),
    ("cardiomegaly without lateral", "cardiomegaly AND NOT view:lateral", ""),
    ("AP film not PA", "projection:AP AND NOT projection:PA", ""),
    ("lat", "view:lateral", ""),
    ("effusion (R/L)", "finding:(effusion AND (left OR right))", ""),
    ("edema or pneumonia, but not both", "edema OR pneumonia", "but not both"),
    ("cardiomegaly (no effusion or edema)", "cardiomegaly AND NOT (effusion OR edema)", ""),
    ("nodule (3 mm) RUL", "finding:(nodule AND location:RUL)", "3 mm"),
)


@pytest.mark.parametrize(
    "text", ["pneumonia or (edema and effusion)", "finding:(effusion left)", "(a AND b) c"]
)
def test_brackets_that_group_are_of_the_query_language(text: str) -> None:
    assert not is_free(text)


@pytest.mark.parametrize(("text", "meaning", "left_out"), ROWS, ids=[row[0] for row in ROWS])
def test_it_is_understood_as_meant(text: str, meaning: str, left_out: str) -> None:
    assert is_understood(Case(text, meaning, "", (left_out,) if left_out else ()))
