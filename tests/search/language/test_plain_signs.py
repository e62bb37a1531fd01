"""Free text with signs, zeros, brackets and letters for words, as it is typed in a hurry."""

from __future__ import annotations

import pytest

from benchmarks.plain_queries import Case, is_understood

# What is typed, what it means, and what cannot be judged and is named as left out.
ROWS: tuple[tuple[str, str, str], ...] = (
    ("0 effusion", "NOT effusion", ""),
    ("Effusion denied.", "NOT effusion", ""),
    ("effusion: 0", "NOT effusion", ""),
    ("effusion 0", "NOT effusion", ""),
    ("effusion (-)", "NOT effusion", ""),
    ("effusion -ve", "NOT effusion", ""),
    ("-ve for PTX", "NOT PTX", ""),
    ("no PTX identified", "NOT PTX", ""),
    ("no PTX or eff appreciated", "NOT (PTX OR effusion)", ""),
    ("PTX r/o'd", "NOT PTX", ""),
    ("fails to demonstrate effusion", "NOT effusion", ""),
    ("CXR neg", "disease:normal", ""),
    ("clear CXR", "disease:normal", ""),
    ("no signs or symptoms of pneumonia", "NOT pneumonia", ""),
    ("fever denied", "NOT indication:(fever OR febrile)", ""),
    ("afebrile", "NOT indication:(fever OR febrile)", ""),
    ("nothing acute", "disease:normal", ""),
    ("mid-40s", "age:[40 TO 49]", ""),
    ("no older than 30", "age:<=30", ""),
    ("not older than 30", "age:<=30", ""),
    ("no younger than 60", "age:>=60", ""),
    ("younger than 5", "age:<5", ""),
    ("5 yrs and under", "age:<=5", ""),
    ("M, 45", "sex:M AND age:45", ""),
    ("45 male", "age:45 AND sex:M", ""),
    ("nodule 8-mm", "nodule", "8-mm"),
    ("nodule ~1 cm", "nodule", "~1 cm"),
    ("500 ml effusion", "effusion", "500 ml"),
    ("500cc effusion", "effusion", "500cc"),
    ("large-volume effusion", "finding:(effusion AND large)", ""),
    ("post MVA", 'indication:(MVA OR MVC OR "motor vehicle")', ""),
    ("post thoracentesis PTX", "thoracentesis AND PTX", ""),
    ("effusion (L)", "finding:(effusion AND left)", ""),
    ("(R) effusion", "finding:(effusion AND right)", ""),
    ("BL effusions", "finding:(effusions AND bilateral)", ""),
    ("either-sided effusion", "finding:(effusion AND (left OR right))", ""),
    ("c/f PNA", "uncertain:pneumonia", ""),
    ("eval PTX", "uncertain:pneumothorax OR indication:PTX", ""),
    ("susp. PNA", "uncertain:pneumonia", ""),
    ("poss. PNA", "uncertain:pneumonia", ""),
    ("prob PNA", "uncertain:pneumonia", ""),
    ("PNA not r/o", "uncertain:pneumonia", ""),
    ("suspect pneumonia", "uncertain:pneumonia", ""),
    ("concern of mass", "uncertain:mass", ""),
    ("DOE", 'indication:("shortness-of-breath" OR dyspnea OR SOB)', ""),
    ("vol overload", "volume-overload", ""),
    ("age 0", "age:0", ""),
    ("0-5 years", "age:[0 TO 5]", ""),
    ("nodule 0.5 cm", "nodule", "0.5 cm"),
    ("children younger than 5", "age:<5", ""),
)


@pytest.mark.parametrize(("text", "meaning", "left_out"), ROWS)
def test_it_is_understood_as_meant(text: str, meaning: str, left_out: str) -> None:
    assert is_understood(Case(text, meaning, "", (left_out,) if left_out else ()))
