from __future__ import annotations

from pathlib import Path

import pytest

from indexer.archive.reports import parse_report
from indexer.words.labeller import affirmed, label, statements
from indexer.words.language import denies, is_english, is_english_report

FOREIGN = {
    "German": [
        "Kein Pneumothorax.",
        "Kein Pleuraerguss. Herz normal groß.",
        "Thorax in zwei Ebenen: Kein Hinweis auf Pneumonie. Zwerchfellwinkel frei.",
        "Beurteilung: Ausgedehnte Atelektase links basal mit kleinem Erguss.",
        "Unauffaelliger Thorax ohne Infiltrate.",
        "Emphysem. Atelektase. Pneumothorax ausgeschlossen.",
        "Pneumothorax: nein. Pneumonie: nein.",
        "Grosser Pneumothorax.",
        "Pneumothorax regredient.",
    ],
    "French": [
        "Pas de pneumothorax.",
        "Pas d'épanchement pleural. Silhouette cardiaque normale.",
        "Absence de foyer de condensation, pas de nodule.",
        "Opacité alvéolaire de la base droite en rapport avec une pneumonie.",
        "Discret emphysème, sans opacité suspecte.",
        "Fractures costales multiples.",
        "Volume cardiaque normal. Infiltration bilaterale.",
    ],
    "Spanish": [
        "Sin neumotórax.",
        "No hay derrame pleural ni neumotorax.",
        "Silueta cardiaca de tamaño normal, sin consolidaciones.",
        "No se observan nódulos pulmonares.",
        "Edema pulmonar.",
        "Granuloma calcificado. Fibrosis pulmonar.",
    ],
    "Portuguese": [
        "Sem pneumotórax.",
        "Ausência de derrame pleural ou pneumotórax.",
        "Coração de tamanho normal, pulmões limpos.",
    ],
    "Italian": [
        "Non versamento pleurico. Ombra cardiaca nei limiti.",
        "Assenza di lesioni pleuroparenchimali in atto.",
        "Esiti di pleurite, senza noduli sospetti.",
        "Edema interstiziale. Ernia jatale.",
    ],
    "Dutch": [
        "Geen pneumothorax.",
        "Geen pleuravocht, hart niet vergroot.",
        "Apicaal pneumothorax. Emfyseem.",
    ],
    "Norwegian": ["Ingen tegn til pneumothorax eller infiltrat."],
    "Swedish": ["Hjärtat är inte förstorat."],
    "Polish": ["Bez zmian ogniskowych w płucach."],
    "Czech": ["Plíce bez infiltrace, srdce není zvětšené."],
    "Hungarian": ["Nincs pneumothorax."],
    "Romanian": ["Fără pneumothorax.", "Fara pneumothorax. Opacitate."],
    "Turkish": ["Pnömotoraks yok."],
    "Finnish": ["Ei pneumothoraxia, keuhkot normaalit."],
    "Indonesian": ["Tidak tampak pneumothorax dan efusi pleura."],
    "Vietnamese": ["Không có tràn khí màng phổi."],
    "Russian": ["Пневмоторакса нет."],
    "Greek": ["Δεν υπάρχει πνευμοθώρακας."],
    "Japanese": ["気胸なし、pneumothorax なし。"],
    "Korean": ["폐에 기흉 없음."],
    "Arabic": ["لا يوجد استرواح الصدر"],
}
SENTENCES = [sentence for sentences in FOREIGN.values() for sentence in sentences]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_sentence_in_another_language_is_told(sentence: str) -> None:
    assert not is_english(sentence)
    assert label({"findings": sentence}) == ()


@pytest.mark.parametrize(
    "sentence",
    [
        "No pneumothorax.",
        "ET tube in satisfactory position.",
        "Cardiomegaly.",
        "Pre-op evaluation, F/U pneumonia, W/U lymphoma.",
        "AV pacer. LA enlargement.",
        "De novo emphysema.",
        "Normal.",
        "Stable mild edema.",
        "",
        "XXXX",
    ],
)
def test_english_is_told(sentence: str) -> None:
    assert is_english(sentence)


@pytest.mark.parametrize(
    "text",
    [
        "Effusion pleurale.",
        "Absence de pneumothorax.",
        "Effusion péricardique.",
        "Pas d'effusion.",
        "Pneumothorax negativ.",
        "Pneumothorax ausgeschl.",
        "Pneumothorax fehlt.",
        "Z.n. Pneumothorax.",
        "Atelectasis laminar.",
        "Edema ausente.",
        "Fibrosis resuelta.",
        "Edema risolto.",
        "Granuloma calcifico.",
        "Pneumonia resolvida.",
        "Pneumothorax nihil.",
        "Pneumothorax is afwezig.",
        "Pneumothorax negatief.",
        "Pneumothorax saknas.",
    ],
)
def test_a_report_of_few_words_in_another_language_is_told(text: str) -> None:
    assert label({"findings": text}) == ()


@pytest.mark.parametrize(
    "text",
    [
        "Interval resolution of og tube.",
        "OG tubes.",
    ],
)
def test_english_that_looks_foreign_is_told(text: str) -> None:
    assert is_english_report(text)


@pytest.mark.parametrize(
    ("text", "diseases"),
    [
        ("Effusion.", ["pleural effusion"]),
        ("Stable cardiomegaly.", ["cardiomegaly"]),
        ("Bibasilar atelectasis.", ["pulmonary atelectasis"]),
        ("Tiny right apical pneumothorax, decreasing.", ["pneumothorax"]),
        ("NG tube coiled in the stomach.", ["tube, inserted"]),
        ("S/P CABG with cardiomegaly.", ["cardiomegaly"]),
        ("Pneumothorax versus skin fold.", ["pneumothorax"]),
    ],
)
def test_an_english_report_of_few_words_is_read(text: str, diseases: list[str]) -> None:
    assert [a.disease for a in affirmed(label({"findings": text}))] == diseases


@pytest.mark.parametrize("text", ["Pneumothorax: neg.", "Edema no.", "Pneumothorax non visible."])
def test_denials_of_one_word(text: str) -> None:
    assert [mention.status for mention in label({"findings": text})] == ["negated"]


def test_english_headings_make_no_english_report() -> None:
    sections = {"findings": "Kein Infiltrat, Pneumothorax.", "impression": "Thorax unauffällig."}
    assert label(sections) == ()
    assert "Pneumothorax" not in statements(sections)["findings"]


def test_words_of_another_language_are_kept_where_nothing_denies_them() -> None:
    text = "Pleuraerguss links. Kein Pneumothorax."
    kept = statements({"findings": text})["findings"]
    assert kept == "Pleuraerguss links." + " " * len(" Kein Pneumothorax.")
    assert statements({"findings": "気胸なし。"})["findings"].strip() == ""


def test_one_foreign_sentence_in_an_english_report_is_not_read() -> None:
    text = "The lungs are clear and the heart is normal in size. Kein Pneumothorax."
    assert {m.annotation.disease for m in label({"findings": text})} == {"normal"}
    text = "Left pleural effusion. No pneumothorax. Großes Herz."
    assert [m.annotation.disease for m in label({"findings": text})] == [
        "pleural effusion",
        "pneumothorax",
    ]


@pytest.mark.parametrize(
    "sentence",
    [
        "Kein Pneumothorax.",
        "Pneumothorax: nein",
        "Pneumothorax ausgeschlossen.",
        "Pas de pneumothorax.",
        "Neumotorax descartado.",
        "No hay derrame pleural.",
        "Sem derrame.",
        "Non versamento.",
        "Žádný pneumothorax.",
        "Žiadny pneumotorax.",
        "Pneumothorax - nee.",
        "Nav pneimotoraksa.",
        "Nėra pneumotorakso.",
        "Brez pnevmotoraksa.",
        "Ez dago pneumotoraxik.",
        "Tiada pneumotoraks.",
        "Walang pneumothorax.",
        "Geen pneumothorax.",
        "Ikke pneumothorax.",
        "Bez zmian.",
        "Пневмоторакса нет.",
        "気胸なし。",
        # Taken for foreign by its words, and it denies in English.
        "Cardiomegalia: none.",
    ],
)
def test_denials_of_other_languages(sentence: str) -> None:
    assert denies(sentence)


def test_every_open_i_report_is_english(shared: Path) -> None:
    folder = shared / "openi" / "ecgen-radiology"
    if not folder.is_dir():
        pytest.skip(f"no Open-i reports at {folder}")
    for path in folder.glob("*.xml"):
        report = parse_report(path.read_bytes(), path.name, b"k" * 32)
        text = " ".join(report.sections.values())
        assert is_english(text), path.name
        # One has four words, one of which is the name of a test.
        assert is_english_report(text) or len(text.split()) < 6, path.name
