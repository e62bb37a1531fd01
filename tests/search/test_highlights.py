from __future__ import annotations

import pytest

from search.highlights import Highlighter
from search.language.query import parse
from search.language.tree import narrow
from search.results import Fragment
from tests.search.corpus import image_document

DOCUMENT = image_document(
    "a" * 16,
    [
        ("predicted", "pleural effusion; left; small"),
        ("human", "opacity; lung; base; left"),
        ("human", "tube, inserted"),
    ],
    {
        "findings": "Heart size is normal.\n"
        "Small effusions <1 cm, left & right. No effusion above.",
        "impression": "Pleural effusion.",
    },
)


@pytest.mark.parametrize(
    ("query", "annotations", "report"),
    [
        (
            "effusion",
            ["pleural [effusion], left, small", "pleural [effusion], bilateral, small"],
            ["Small [effusions] <1 cm, left & right.", "Pleural [effusion]."],
        ),
        (
            "report:effusion",
            [],
            [
                "Small [effusions] <1 cm, left & right.",
                "No [effusion] above.",
                "Pleural [effusion].",
            ],
        ),
        (
            '"pleural effusions"',
            ["[pleural effusion], left, small", "[pleural effusion], bilateral, small"],
            ["[Pleural effusion]."],
        ),
        (
            "finding:(effusion left)",
            ["pleural [effusion], [left], small"],
            [],
        ),
        ("finding:(left -opacity)", ["pleural effusion, [left], small"], []),
        ("finding:(left AND *acity) -x", ["[opacity], lung, base, [left]"], []),
        ("finding:(effusion origin:human)", [], []),
        ("*fusion*", None, ["Small [effusions] <1 cm, left & right.", "Pleural [effusion]."]),
        (
            "(efusion~ opacity)^2",
            None,
            ["Small [effusions] <1 cm, left & right.", "Pleural [effusion]."],
        ),
        ("location:bas*", ["opacity, lung, [base], left"], []),
        ("disease:opactiy~", ["[opacity], lung, base, left"], []),
        ('composite:"opacity, lung, base, left"', ["[opacity, lung, base, left]"], []),
        ('"effusion pleural"', [], []),
        ('"opacity left"', [], []),
        ("annotation:left", ["pleural effusion, [left], small", "opacity, lung, base, [left]"], []),
        ("left origin:human", ["opacity, lung, base, [left]"], []),
        ("impression:effusion", [], ["Pleural [effusion]."]),
        ("disease:opacity", ["[opacity], lung, base, left"], []),
        ('disease:"tube, inserted"', ["[tube, inserted]"], []),
        ("side:left", ["pleural effusion, [left], small", "opacity, lung, base, [left]"], []),
        ("disease:opacity origin:predicted", [], []),
        (
            "effusio* -opacity",
            ["pleural [effusion], left, small", "pleural [effusion], bilateral, small"],
            None,
        ),
        ("NOT opacity", [], []),
        ("hearts OR opacities", ["[opacity], lung, base, left"], ["[Heart] size is normal."]),
        ("small left -x", None, ["[Small] effusions <1 cm, [left] & right."]),
        ("view:frontal age:>3 *", [], []),
    ],
)
def test_marks(query: str, annotations: list[str] | None, report: list[str] | None) -> None:
    marked = Highlighter(narrow(parse(query))).mark(DOCUMENT)
    if annotations is not None:
        assert [f.marked("[", "]") for f in marked.annotations] == annotations
    if report is not None:
        assert [f.marked("[", "]") for f in marked.report] == report


def test_who_said_what_matched() -> None:
    def origins(query: str) -> tuple[str, ...]:
        return Highlighter(narrow(parse(query))).mark(DOCUMENT).origins

    assert origins("effusion") == ("predicted", "report")
    assert origins("left") == ("predicted", "human", "report")
    assert origins("inserted") == ("human",)
    assert origins("report:heart") == ("report",)
    assert origins("view:frontal") == ()


def test_what_was_asked_for_as_denied_or_doubted() -> None:
    text = "No pneumothorax. No left effusion. Possible nodule."
    document = image_document("e" * 16, [("human", "scar")], {"findings": text})
    asked = "absent:pneumo* OR uncertain:nodule OR absent:nodule"
    marked = Highlighter(parse(asked)).mark(document)
    assert [f.marked("[", "]") for f in marked.absent] == ["[pneumothorax]"]
    assert [f.marked("[", "]") for f in marked.uncertain] == ["[nodule], lung"]
    assert (marked.annotations, marked.report, marked.origins) == ((), (), ("report",))
    assert marked.to_json()["absent"] == ["<em>pneumothorax</em>"]
    assert Highlighter(parse("pneumothorax nodule")).mark(document).origins == ()
    other = Highlighter(parse("scar")).mark(document).to_json()
    assert (other["absent"], other["uncertain"]) == ([], [])


def test_html_is_escaped() -> None:
    json = Highlighter(parse("small")).mark(DOCUMENT).to_json()
    assert json["report"] == ["<em>Small</em> effusions &lt;1 cm, left &amp; right."]


def test_fragments_of_long_and_foreign_text() -> None:
    long = "word " * 200 + "Ödem 😀 here " + "word " * 200
    document = image_document("b" * 16, report={"findings": long})
    (fragment,) = Highlighter(parse("odem")).mark(document).report
    assert "[Ödem] 😀 here" in fragment.marked("[", "]")
    assert len(fragment.text) <= 250
    many = image_document("c" * 16, report={"findings": "Effusion here. " * 50})
    assert len(Highlighter(parse("effusion")).mark(many).report) == 5
    split = image_document("d" * 16, report={"findings": "See no. 5 opacity. Next opacity."})
    marked = Highlighter(parse('"5 opacity" OR "no 5"')).mark(split).report
    assert [f.marked("[", "]") for f in marked] == ["See [no. 5 opacity]"]


def test_pieces_of_a_fragment() -> None:
    assert Fragment("abc", ((0, 1), (2, 3))).pieces() == [("a", True), ("b", False), ("c", True)]
    assert Fragment("abc", ()).marked("[", "]") == "abc"
