from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.annotation import NORMAL, qualifiers, word_kind
from indexer.cascade.bundle import Bundle
from indexer.database.text.documents import Document
from indexer.database.text.schema import analyzer
from indexer.database.text.tantivy.store import EmbeddedTextStore
from indexer.errors import NotFoundError, QueryError
from indexer.words.labeller_rules import FINDINGS
from search.highlights import Highlighter
from search.language.fields import Vocabulary
from search.language.filters import parse_filters
from search.language.lexicon import (
    MAX_ALTERNATIVES,
    MAX_LEAVES,
    Heading,
    Lexicon,
    unsayable,
)
from search.language.query import MAX_TERMS, parse
from search.language.tree import (
    And,
    Boost,
    Finding,
    Fuzzy,
    MatchAll,
    Node,
    Not,
    Or,
    Phrase,
    Prefix,
    Range,
    Term,
    Value,
    leaves,
    written,
)
from search.stores.tantivy.backend import EmbeddedBackend
from tests.search.corpus import image_document

LEXICON = Lexicon.load()


def _ways(node: Node) -> list[Node]:
    return list(node.nodes) if isinstance(node, Or) else [node]


def _expanded(query: str) -> list[Node]:
    return _ways(LEXICON.expand(parse(query, Vocabulary())))


# ---- the data ------------------------------------------------------------------------------------


def test_there_is_enough_of_it() -> None:
    assert len(LEXICON.headings) >= 150
    assert len(LEXICON.forms) >= 600
    # Plurals and spellings that the stemmer joins count once here.
    assert len({tuple(analyzer().analyze(form)) for form in LEXICON.forms}) >= 600


def test_every_form_can_be_asked_for_and_is_written_as_others_are() -> None:
    for form in LEXICON.forms:
        assert LEXICON.senses(form), form
        assert form == " ".join(form.lower().split())
        assert form.isascii()
    every = [form for heading in LEXICON.headings.values() for form in heading.forms]
    assert len(every) == len(set(every)), "a form stands twice"
    assert not set(every) & set(LEXICON.headings)
    assert not set(every) & set(LEXICON.loose)


def test_kinds_are_those_of_annotations() -> None:
    for heading in LEXICON.headings.values():
        for kind in heading.kinds:
            if kind != "disease" and not heading.means:
                assert word_kind(heading.name) == kind, heading.name
        for kind, word in heading.means:
            assert kind in LEXICON.headings[word].kinds
            assert heading.kinds[0] != "disease"
    for kind, words in qualifiers().items():
        for word in words:
            assert kind in LEXICON.headings[word].kinds, word


def test_all_that_annotations_say_is_known() -> None:
    bundle = Bundle.load()
    diseases = {*bundle.findings, *(rule.disease for rule in FINDINGS), NORMAL}
    assert not diseases - LEXICON.headings.keys()
    for disease in diseases:
        assert "disease" in LEXICON.headings[disease].kinds
    for word in bundle.labels.vocabulary[1:]:
        assert LEXICON.senses(word), word


@pytest.mark.parametrize(
    ("headings", "loose", "message"),
    [
        ([("a", ["b"]), ("b", ["c"]), ("c", ["a"])], {}, "go in a circle: a < c < b < a"),
        ([("a", ["a"])], {}, "go in a circle"),
        ([("a", ["z"])], {}, 'no heading "z"'),
        ([("a", [])], {"b": ["z"]}, 'no heading "z"'),
        ([("a", []), ("a", [])], {}, "stands twice"),
        ([("nodule", []), ("nodules", [])], {}, '"nodules" is a form of nodule and nodules'),
        ([("a", []), ("b", [])], {"a": ["b"]}, '"a" is a form of a, and loose'),
        ([("a", []), *((f"b{i}", ["a"]) for i in range(MAX_ALTERNATIVES))], {}, "so many"),
    ],
)
def test_broken_data_is_refused(
    headings: list[tuple[str, list[str]]], loose: dict[str, list[str]], message: str
) -> None:
    made = [Heading(name, ("disease",), broader=tuple(broader)) for name, broader in headings]
    with pytest.raises(ValueError, match=message):
        Lexicon(made, loose)


# ---- what terms become ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "finds", "finds_not"),
    [
        ("PTX", ["PTX", "pneumothorax", "hydropneumothorax"], ["collapsed lung"]),
        ("CHF", ["CHF", "heart failure", "cardiac failure"], []),
        ("collapsed lung", ["pneumothorax", "ptx", "atelectasis"], ["pulmonary atelectasis"]),
        ("oedema", ["oedema", "pulmonary edema"], ["edema"]),
        ("haemothorax", ["haemothorax", "hemothorax", "hemopneumothorax"], ["pneumothorax"]),
        ("tumour", ["tumour", "neoplasms", "mass", "lung tumor"], []),
        ("COPD", ["pulmonary disease, chronic obstructive"], []),
        ("TB", ["tuberculosis", "mtb"], []),
        ("ILD", ["lung diseases, interstitial", "pulmonary fibrosis"], []),
        ("PICC", ["catheter", "central line"], []),
        ("CABG", ["coronary artery bypass"], []),
        ("effusions", ["effusions", "hydrothorax"], ["pleural effusion"]),
        ("pleural effusion", ["pleural effusion", "hydrothorax"], ["effusion"]),
        ("lung diseases", ["pneumonia", "emphysema", "atelectasis", "lung diseases"], ["opacity"]),
        ("RLL", ["RLL", "right lower lobe", "lower lobe right"], ["lower lobe"]),
        ("PE", ["pulmonary embolism", "pleural effusion"], []),
    ],
)
def test_words(query: str, finds: list[str], finds_not: list[str]) -> None:
    ways = _expanded(query)
    for text in finds:
        assert Phrase(text) in ways
    for text in finds_not:
        assert Phrase(text) not in ways


def test_words_side_by_side_are_one_term_and_stay_findable_as_they_are() -> None:
    tree = LEXICON.expand(parse("collapsed lung xyzzy"))
    assert isinstance(tree, And)
    assert tree.nodes[1:] == (Term("xyzzy"),)
    assert _ways(tree.nodes[0])[0] == And((Phrase("collapsed"), Phrase("lung")))
    # The longest form counts, and only where words are of one field.
    both = LEXICON.expand(parse("right lower lobe opacity"))
    assert isinstance(both, And)
    assert len(both.nodes) == 2
    mixed = LEXICON.expand(parse("report:collapsed lung"))
    assert isinstance(mixed, And)
    assert Phrase("pneumothorax") not in [*leaves(mixed)]


def test_fields_and_origins_stay() -> None:
    assert Phrase("pneumothorax", "impression") in _expanded("impression:ptx")
    inside = list(leaves(LEXICON.expand(Term("ptx", "annotation"))))
    assert all(isinstance(leaf, Phrase) and leaf.field == "annotation" for leaf in inside)
    assert Phrase("pneumothorax", None, "human") in _ways(
        LEXICON.expand(Term("ptx", None, "human"))
    )


def test_values() -> None:
    assert _expanded("disease:PTX") == [
        Value("disease", name) for name in LEXICON.within("pneumothorax")
    ]
    groups = _expanded('disease:"lung diseases"')
    assert groups[0] == Value("disease", "lung diseases")
    for name in ("pneumonia", "pulmonary atelectasis", "bullous emphysema", "calcified granuloma"):
        assert Value("disease", name) in groups
    assert Value("disease", "pleural effusion") not in groups
    assert _expanded("disease:pe")[1] == Value("disease", "pulmonary embolism")
    assert _expanded("side:bilaterally") == [Value("side", "bilateral")]
    assert _expanded("severity:tiny") == [Value("severity", "small")]
    assert LEXICON.expand(parse("location:RLL", Vocabulary())) == And(
        (
            Value("location", "lower lobe"),
            Or((Value("side", "right"), Value("side", "bilateral"))),
        )
    )
    # What is on both sides is on either.
    assert _expanded("side:left") == [Value("side", "left"), Value("side", "bilateral")]
    assert _expanded("side:bilateral") == [Value("side", "bilateral")]
    assert Phrase("lower lobe bilateral") in _ways(LEXICON.expand(Term("RLL")))
    assert _expanded("organ:cardiac")[0] == Value("organ", "heart")
    assert _ways(LEXICON.expand(Value("disease", "zebra lung"))) == [Value("disease", "zebra lung")]
    assert _ways(LEXICON.expand(Value("study", "ptx"))) == [Value("study", "ptx")]
    filtered = LEXICON.expand(parse_filters(["-disease:effusions"], Vocabulary()))
    assert isinstance(filtered, Not)
    assert Value("disease", "hydropneumothorax") in _ways(filtered.node)


def test_a_wrong_value_is_refused_with_a_form_of_the_lexicon() -> None:
    with pytest.raises(QueryError, match='did you mean disease:"pneumothorax"'):
        parse("disease:pneumotorax", Vocabulary())
    # An adjective is no disease, though its noun may be one.
    with pytest.raises(QueryError, match="no disease is called"):
        parse("disease:pleural", Vocabulary())
    # A database's own values go first.
    own = Vocabulary({"disease": ["ptx"]})
    assert parse("disease:PTX", own) == Value("disease", "ptx")


_TEXTS = st.sampled_from(
    ["ptx", "chf", "collapsed", "lung", "free", "air", "right", "lower", "lobe"]
) | (
    st.sampled_from(
        ["tumour", "pleural", "effusions", "x-ray", "xyzzy", "heart", "failure", "ö", "!"]
    )
)
_TEXT_FIELDS = st.sampled_from([None, None, None, "report", "annotation"])
_WORDS = st.builds(Term, _TEXTS, _TEXT_FIELDS)
_VALUES = st.builds(
    Value,
    st.sampled_from(["disease", "location", "organ", "study"]),
    st.sampled_from(sorted(LEXICON.headings)) | st.sampled_from(["ptx", "rll", "pe", "xyzzy"]),
)
_PHRASES = st.builds(Phrase, _TEXTS, _TEXT_FIELDS)
_OTHERS: st.SearchStrategy[Node] = st.sampled_from(
    [MatchAll(), Prefix("ptx"), Fuzzy("ptx"), Range("age", 1, 2)]
)
_TREES: st.SearchStrategy[Node] = st.recursive(
    st.one_of(_WORDS, _WORDS, _VALUES, _PHRASES, _OTHERS),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=5).map(lambda nodes: And(tuple(nodes)))
        | st.lists(inner, min_size=1, max_size=4).map(lambda nodes: Or(tuple(nodes)))
        | inner.map(Not)
        | inner.map(lambda node: Boost(node, 2.0))
        | inner.map(Finding)
    ),
    max_leaves=12,
)


@given(_TREES)
def test_expanding_twice_is_expanding_once(tree: Node) -> None:
    once = LEXICON.expand(tree)
    assert LEXICON.expand(once) == once
    found = list(leaves(once))
    # What is no word and no label's value is as it was.
    for leaf in leaves(tree):
        if isinstance(leaf, Phrase | Prefix | Fuzzy | Range):
            assert leaf in found
    assert len(found) <= (MAX_ALTERNATIVES + 4) * max(sum(1 for _ in leaves(tree)), 1)


@given(st.text(max_size=20) | st.sampled_from(LEXICON.forms))
def test_phrases_are_untouched(text: str) -> None:
    assert LEXICON.expand(Phrase(text)) == Phrase(text)
    assert LEXICON.expand(Boost(Phrase(text, "report"), 2)) == Boost(Phrase(text, "report"), 2)


def test_no_term_becomes_too_much() -> None:
    for form in LEXICON.forms:
        entry = LEXICON.describe(form)
        assert len(_ways(entry.expanded)) <= MAX_ALTERNATIVES, form
        # What is shown is a query that means the same.
        assert parse(written(entry.expanded)) == entry.expanded


def test_a_query_of_many_terms_is_refused() -> None:
    few = parse(" ".join(["neoplasms"] * 20))
    assert sum(1 for _ in leaves(LEXICON.expand(few))) <= MAX_LEAVES
    with pytest.raises(QueryError, match=f"more than {MAX_LEAVES} words"):
        LEXICON.expand(parse(" ".join(["neoplasms"] * MAX_TERMS)))


def test_describe() -> None:
    entry = LEXICON.describe("Collapsed  Lungs")
    assert [h.name for h in entry.headings] == ["pneumothorax", "pulmonary atelectasis"]
    assert entry.headings[0].broader == ("pleural diseases",)
    assert "hydropneumothorax" in entry.headings[0].narrower
    assert entry.to_json()["query"].startswith('("Collapsed" AND "Lungs") OR "pneumothorax"')
    with pytest.raises(NotFoundError, match='know "pneumotorax"; did you mean "pneumothorax"'):
        LEXICON.describe("pneumotorax")
    with pytest.raises(NotFoundError) as caught:
        LEXICON.describe("\x1b[1m")
    assert str(caught.value).isprintable()


def test_unsayable() -> None:
    known = ["pneumothorax", "pleural effusion", "pneumonia", "lower lobe"]

    def missing(query: str) -> list[str]:
        return unsayable(parse(query, Vocabulary({"disease": ["zebra lung"]})), known)

    assert missing("ptx OR effusion") == []
    assert missing("sarcoid left") == ["sarcoidosis"]
    assert missing('"sarcoid" disease:sarcoidosis OR (pe RLL)') == [
        "sarcoidosis",
        "pulmonary embolism",
    ]
    # What can be said of a narrower one counts.
    assert missing('disease:"lung diseases" NOT tuberculosis') == []
    assert missing('disease:"zebra lung"') == ["zebra lung"]
    assert missing("xyzzy view:frontal") == []


# ---- in a store ---------------------------------------------------------------------------------

DOCUMENTS: list[Document] = [
    image_document("0" * 15 + "1", [("human", "pneumothorax; right; large")]),
    image_document("0" * 15 + "2", [("predicted", "opacity; lung; lower lobe; right")]),
    image_document(
        "0" * 15 + "3",
        [("human", "opacity; lung; lower lobe; left"), ("human", "nodule; lung; apex; right")],
    ),
    image_document(
        "0" * 15 + "4", [("human", "normal")], {"findings": "Small haemothorax. RLL opacity."}
    ),
    image_document("0" * 15 + "5", [("predicted", "pulmonary edema; mild")]),
    image_document("0" * 15 + "6", [("human", "lung hilum; prominent")]),
    image_document("0" * 15 + "7", [("human", "calcinosis; lung; hilum; left")]),
]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("PTX", [1]),
        ("collapsed lung", [1]),
        ("ptx origin:predicted", []),
        ("disease:ptx origin:human", [1]),
        ('disease:"pleural diseases"', [1]),
        ("pleural diseases", [1, 4]),
        # Lobe and side must be of one annotation.
        ("RLL", [2, 4]),
        ("right lower zone opacity", [2, 4]),
        ("oedema", [5]),
        ('"oedema"', []),
        ("opacity -RLL", [3]),
        # The place of another finding is no finding of that name.
        ("hilar adenopathy", [6]),
        ("hilar adenopathy origin:human", [6]),
        ("annotation:hilar-adenopathy", [6]),
        ("lung hilum", [6, 7]),
    ],
)
def test_searching(tmp_path: Path, query: str, numbers: list[int]) -> None:
    store = EmbeddedTextStore(tmp_path / "text", create=True)
    store.apply(DOCUMENTS, [])
    keys = EmbeddedBackend(store).keys(LEXICON.expand(parse(query, Vocabulary())))
    store.close()
    assert keys.tolist() == numbers


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("finding:(effusion AND right)", [1, 2]),
        ("finding:(effusion AND left)", [1, 3]),
        ("finding:(disease:effusion AND side:left)", [1, 3]),
        ("side:right", [1, 2, 4]),
        ("side:bilateral", [1, 4]),
        ("right effusion", [1, 2]),
        ("location:RLL", [4]),
        ("RLL", [4]),
        ("finding:(effusion -left)", [2]),
    ],
)
def test_what_is_bilateral_is_on_each_side(tmp_path: Path, query: str, numbers: list[int]) -> None:
    store = EmbeddedTextStore(tmp_path / "text", create=True)
    texts = ["effusion; bilateral", "effusion; right", "effusion; left"]
    texts = [f"pleural {text}" for text in texts] + ["opacity; lung; lower lobe; bilateral"]
    store.apply(
        [image_document(f"{n:016x}", [("human", text)]) for n, text in enumerate(texts, 1)], []
    )
    keys = EmbeddedBackend(store).keys(LEXICON.expand(parse(query, Vocabulary())))
    store.close()
    assert keys.tolist() == numbers


def test_highlights_mark_synonyms() -> None:
    def marks(query: str, document: Document) -> list[str]:
        found = Highlighter(LEXICON.expand(parse(query, Vocabulary()))).mark(document)
        return [f.marked("[", "]") for f in (*found.annotations, *found.report)]

    assert marks("ptx", DOCUMENTS[0]) == ["[pneumothorax], right, large"]
    assert marks("disease:ptx", DOCUMENTS[0]) == ["[pneumothorax], right, large"]
    assert marks("rll", DOCUMENTS[1]) == ["opacity, lung, [lower lobe, right]"]
    assert marks("hemothorax", DOCUMENTS[3]) == ["Small [haemothorax]."]
